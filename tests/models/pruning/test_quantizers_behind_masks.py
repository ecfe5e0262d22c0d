"""A quantizer behind a mask fits what the mask leaves, also when nothing is trained after it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from hwc.models import load_data
from hwc.models.binary.weights import OptimalTernary
from hwc.models.compress import compress, parse
from hwc.models.compress.networks import start
from hwc.models.compress.steps import KeptLevels
from hwc.models.pruning.magnitude import keep_best
from hwc.models.pruning.mask import latent_of, set_mask
from hwc.models.quantize.power_of_two import PowerOfTwoWeight
from hwc.models.quantize.weight import IntWeight, WeightQuantizer, quantize_weight

MAKE: dict[str, Callable[[], WeightQuantizer]] = {
    "int2": lambda: IntWeight(2),
    "int4 per channel": lambda: IntWeight(4, per_channel=True),
    "int8": lambda: IntWeight(8),
    "ternary": OptimalTernary,
    "one level": lambda: KeptLevels(1),
    "levels": lambda: KeptLevels(127),
    "power of two": lambda: PowerOfTwoWeight(4),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", MAKE)
def test_scale_is_that_of_the_masked_weight(kind, training):
    """The same weight without a mask, zeros written into it, gives the same values."""
    weight = 0.1 * torch.randn(16, 32, generator=torch.Generator().manual_seed(3))
    keep = keep_best(weight.abs(), 0.3)
    masked, plain = nn.Linear(32, 16).train(training), nn.Linear(32, 16).train(training)
    with torch.no_grad():
        masked.weight.copy_(weight)
        plain.weight.copy_(torch.where(keep, weight, 0.0))
    set_mask(masked, keep)
    quantizer = quantize_weight(masked, MAKE[kind]()).parametrizations["weight"][1]  # pyright: ignore
    quantize_weight(plain, MAKE[kind]())
    assert torch.equal(quantizer.scale, plain.parametrizations["weight"][0].scale)  # pyright: ignore
    assert torch.equal(masked.eval().weight, plain.eval().weight)
    assert torch.equal(latent_of(masked), weight)
    error = (masked.weight - plain.parametrizations["weight"].original).square().sum()  # pyright: ignore
    assert error < 0.2 * torch.where(keep, weight, 0.0).square().sum()


@pytest.mark.parametrize("then", ["uniform", "power_of_two", "levels\nhi = 127"])
def test_pruned_then_quantized_without_training_is_still_right(then):
    name, _, more = then.partition("\n")
    text = '[start]\nepochs = 8\nlr = 1e-2\n[[step]]\nmethod = "magnitude"\ndensity = 0.4\n'
    text += f'epochs = 6\n[[step]]\nmethod = "{name}"\nepochs = 0\n{more}'
    data = load_data("digits")
    model = start("lenet-300-100", parse(text), data, progress=False)
    report = compress(model, parse(text), data, progress=False).report
    pruned, quantized = report.steps
    assert pruned.after > 0.9
    assert quantized.after > pruned.after - 0.03
