"""What a report counts, against numbers worked out by hand."""

import numpy as np
import torch
from torch import nn

from hwc.models.compress import compress, parse

UNIFORM = '[[step]]\nmethod = "uniform"\n'


def seeded(*layers: nn.Module) -> nn.Sequential:
    """The layers one after the other, with odd numbers as weights: none of them is 0 in 8 bits."""
    for number, parameter in enumerate(nn.Sequential(*layers).parameters()):
        rng = np.random.default_rng(number)
        values = (2 * rng.integers(-8, 8, parameter.shape) + 1) / 64
        parameter.data = torch.from_numpy(values).float()
    return nn.Sequential(*layers)


def test_a_layer_that_is_used_twice_is_stored_and_counted_once(digits):
    twice = nn.Linear(12, 12)
    model = seeded(
        nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), twice, nn.ReLU(), twice, nn.Linear(12, 10)
    )
    report = compress(model, parse(UNIFORM), digits, progress=False).report
    assert report.nonzero_ratio == 1.0
    assert sum(report.encoded_bits.values()) == 8 * report.file_bytes
    assert min(report.encoded_bits.values()) > 0
    _, first, second, _ = report.layers
    assert first.name == second.name == "3"
    assert first.methods == second.methods == ("uniform",)
    assert sum(first.encoded.values()) > 0 == sum(second.encoded.values())
    # Stored once, multiplied twice.
    assert sum(report.macs.values()) == 64 * 12 + 2 * 12 * 12 + 12 * 10


def test_tied_weights_count_once(digits):
    one, two = nn.Linear(12, 12), nn.Linear(12, 12)
    two.weight = one.weight
    model = seeded(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), one, nn.ReLU(), two)
    report = compress(model, parse(UNIFORM), digits, progress=False).report
    assert report.nonzero_ratio == 1.0
    assert min(report.encoded_bits.values()) > 0
    assert [layer.name for layer in report.layers] == ["1", "3", "5"]
    assert report.layers[2].encoded["indices"] == 0 < report.layers[2].encoded["biases"]


def test_a_transposed_convolution_multiplies_at_the_positions_of_its_input(digits):
    model = seeded(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * 64, 10),
    )
    recipe = parse('except = ["2"]\n' + UNIFORM)
    report = compress(model, recipe, digits, progress=False).report
    assert [(x.name, x.macs) for x in report.layers] == [
        ("0", 9 * 4 * 16),
        ("2", 4 * 2 * 4 * 16),
        ("5", 128 * 10),
    ]
    assert report.nonzero_ratio == 1.0  # of all weights, those of the exception too
