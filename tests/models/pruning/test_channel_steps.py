"""Structured pruning by recipe: smaller layers, saved, read back and lowered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.calibrate import Config, calibrate
from hwc.compiler.graph import MatMul
from hwc.compiler.lower import lower
from hwc.models import load, load_data
from hwc.models.compress import compress, parse
from hwc.models.compress.recipe import Training
from hwc.models.compress.training import Trainer
from hwc.models.pruning.mask import PruningError


class Residual(nn.Module):
    """A stem, a residual block with a depthwise convolution, pooling, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.act1, self.between = nn.ReLU(), nn.ReLU()
        self.depth = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.point, self.norm2 = nn.Conv2d(12, 12, 1), nn.BatchNorm2d(12)
        self.act2, self.pool, self.flatten = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        self.fc1, self.act3 = nn.Linear(12 * 16, 24), nn.ReLU()
        self.fc2 = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act1(self.norm(self.stem(x)))
        x = self.act2(x + self.norm2(self.point(self.between(self.depth(x)))))
        return self.fc2(self.act3(self.fc1(self.flatten(self.pool(x)))))


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained(digits: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Residual()
    Trainer(model, None, digits, Training(), 0)(8, 5e-3)
    return model


RECIPE = """
[[step]]
method = "channels"
except = ["fc2"{more}]
{options}
epochs = 8
lr = 5e-3
[[step]]
method = "uniform"
"""
WAYS = {
    "taylor": 'by = "taylor"\nkeep = 0.4',
    "magnitude": 'by = "magnitude"\nkeep = 0.4\nof = "parameters"\nround_to = 4',
    "lasso": 'by = "lasso"\nkeep = 0.4',
}


@pytest.mark.parametrize("way", WAYS)
def test_channels_by_recipe(way: str, trained: Any, digits: Any, tmp_path: Any) -> None:
    recipe = parse(RECIPE.format(options=WAYS[way], more=""))
    made = compress(trained, recipe, digits, progress=False)
    made.save(tmp_path / "small.pt")
    source = load(tmp_path / "small.pt").source
    assert source == made.checkpoint.source
    report = made.report
    assert report.weights == sum(
        m.weight.numel() for m in trained.modules() if isinstance(m, (nn.Linear, nn.Conv2d))
    )
    left = sum(layer.weights for layer in report.layers)
    macs = sum(layer.macs for layer in report.layers)
    whole = 108 * 64 + 108 * 64 + 144 * 64 + 12 * 16 * 24 + 240
    assert left <= 0.4 * report.weights if way == "magnitude" else macs <= 0.4 * whole
    assert report.nonzero_ratio > 1.2
    assert report.validation["compressed"] > 0.85
    # The summand without an activation gets its quantizer from a calibration, as `hwc build` does.
    frames = {source.inputs[0].name: digits.x_train[:64].astype(np.int64)}
    lowered = lower(calibrate(source, frames, Config()).source)
    shapes = [n.op.weight.shape for n in lowered.graph.nodes if isinstance(n.op, MatMul)]
    assert shapes[-1][1] < 24
    if way == "magnitude":
        assert shapes[-1][1] % 4 == 0
    assert trained.stem.out_channels == 12, "the network that came in is left alone"


def test_slimming_wants_batch_norm_behind_every_layer(trained: Any, digits: Any) -> None:
    options = 'by = "gamma"\nkeep = 0.6\nsparse_epochs = 2\nrate = 1e-3'
    with pytest.raises(PruningError, match="the channels of fc1 pass no batch-norm"):
        compress(trained, parse(RECIPE.format(options=options, more="")), digits, progress=False)
    recipe = parse(RECIPE.format(options=options, more=', "fc1"'))
    made = compress(trained, recipe, digits, progress=False)
    (fc1,) = (layer for layer in made.report.layers if layer.name == "fc1")
    assert 24 * 16 <= fc1.weights < 24 * 192
    assert made.report.validation["compressed"] > 0.85


def test_what_has_to_stay_is_named(trained: Any, digits: Any) -> None:
    def run(model: Any, more: str, step: str = "channels") -> None:
        text = f'validation = 0\n[[step]]\nmethod = "{step}"\nepochs = 0\nexcept = [{more}]'
        if step == "regularized":
            text += '\npenalty = "group"\ntune = 0'
        compress(model, parse(text), digits, progress=False)

    for step in ("channels", "biased_decay", "regularized"):
        with pytest.raises(PruningError, match=r"'fc2' have to stay \(an output of the network\)"):
            run(trained, "", step)
    with pytest.raises(PruningError, match=r"'point' have to stay \(they are added to .* stem\)"):
        run(trained, '"fc2", "stem"')

    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 8, 3), nn.Linear(8 * 36, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x).view(-1, 288))

    with pytest.raises(PruningError, match="has sizes written into it"):
        run(Written(), '"fc"')


def test_units_that_biased_decay_takes_out_are_gone(digits: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))
    text = '[[step]]\nmethod = "biased_decay"\nexcept = ["3"]\nepochs = 20\nlr = 5e-3\nweight = 0.1'
    made = compress(model, parse(text + "\nleast = 0.2"), digits, progress=False)
    first, second = made.report.layers
    units = second.weights // 10
    assert units < 30
    assert (first.weights, second.weights) == (64 * units, 10 * units)
    assert made.report.weights == 64 * 30 + 300
    assert made.report.accuracy["fake_quant"] > 0.8
    assert np.isfinite(made.report.ratio)
