"""Activation quantizers: codes, how scales are found and shared, errors."""

import pytest
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.quantize.activation import BipolarAct, PowerOfTwoScale, QuantAct, QuantInput


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_ranges():
    assert (QuantAct(2).lo, QuantAct(2).hi) == (0, 3)
    assert (QuantAct(4, signed=True).lo, QuantAct(4, signed=True).hi) == (-8, 7)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_scale_is_the_power_of_two_of_least_error(bits, signed):
    act = QuantAct(bits, signed)
    x = normal(500, 16) * 1.7
    act(x)
    scale = float(act.scale.value)
    act.eval()
    ideal = x if signed else x.clamp(min=0)

    def error(step: float) -> float:
        return float(((x / step).round().clamp(act.lo, act.hi) * step - ideal).square().sum())

    assert torch.frexp(act.scale.value)[0] == 0.5
    assert error(scale) <= min(error(scale / 2), error(scale * 2))
    assert torch.equal(act(x) / scale, (x / scale).round().clamp(act.lo, act.hi))


def test_scale_settles_and_evaluation_never_changes_it():
    act = QuantAct(4, scale=PowerOfTwoScale(settle=2))
    act.eval()
    act(normal(10, 4) * 1000)
    assert float(act.scale.value) == 2.0**-3
    act.train()
    act(normal(10, 4))
    act(normal(10, 4, seed=1))
    settled = float(act.scale.value)
    act(normal(10, 4) * 1000)
    assert float(act.scale.value) == settled


def test_a_shared_scale_serves_both_and_survives_double():
    first = QuantAct(4)
    second = QuantAct(4, signed=True, scale=first.scale)
    model = nn.Sequential(first, second)
    model(normal(50, 8).requires_grad_()).sum().backward()
    assert first.scale.value is second.scale.value
    model.double()
    first.scale.value = torch.tensor(2.0, dtype=torch.float64)
    assert float(second.scale.value) == 2.0


def test_input_is_the_identity_on_its_grid():
    raw = torch.arange(256, dtype=torch.float32)
    assert torch.equal(QuantInput()(raw / 256), raw / 256)


def test_bipolar():
    assert BipolarAct(0.5)(torch.tensor([-3.0, -0.0, 3.0])).tolist() == [-0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuantAct(0), r"bits must be 1\.\.16, got 0"),
        (lambda: QuantAct(1, signed=True), r"use BipolarAct"),
        (lambda: PowerOfTwoScale(0.3), r"power of two, got 0\.3; use 0\.25"),
        (lambda: BipolarAct(-1.0), "scale must be positive"),
        (lambda: QuantInput(1.0, 5, 5), "lo < hi"),
    ],
)
def test_errors(make, message):
    with pytest.raises(HwcError, match=message):
        make()
