"""Snapping: dyadic constants, near the original, exact in float64, idempotent."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source import evaluate
from hwc.models.capture import InputMap, capture
from hwc.models.quantize.activation import QuantAct
from hwc.models.quantize.snap import INTERCEPT_GRID, SLOPE_BITS, Affine, snap
from hwc.models.quantize.weight import BinaryWeight, IntWeight, quantize_weight


def network() -> nn.Module:
    torch.manual_seed(3)
    model = nn.Sequential(
        quantize_weight(nn.Conv2d(2, 6, 3, bias=False), IntWeight(4)),
        nn.BatchNorm2d(6),
        QuantAct(4),
        nn.Flatten(),
        quantize_weight(nn.Linear(6 * 36, 5), BinaryWeight()),
        nn.BatchNorm1d(5, affine=False),
    )
    for _ in range(20):
        model(torch.randn(16, 2, 8, 8))
    with torch.no_grad():
        model.get_buffer("1.running_var")[3] = 1e-5  # as small as eps
        model.get_parameter("1.weight").copy_(torch.tensor([1.3, -0.7, 0.0, 1e-4, 2.9, 1.0]))
        model.get_parameter("1.bias").copy_(torch.tensor([0.1, -0.2, 0.3, 7.7, 0.0, 123.456]))
    return model


def weight(model: nn.Module, path: str) -> torch.Tensor:
    found = getattr(model.get_submodule(path), "weight", None)
    assert isinstance(found, torch.Tensor)
    return found


def affines(model: nn.Module) -> list[Affine]:
    return [module for module in model.modules() if isinstance(module, Affine)]


def test_constants_are_dyadic():
    found = affines(snap(network()))
    assert len(found) == 2
    for affine in found:
        mantissa = torch.frexp(affine.scale.double())[0] * 2**SLOPE_BITS
        assert torch.equal(mantissa, mantissa.round())
        steps = affine.shift.double() / INTERCEPT_GRID
        assert torch.equal(steps, steps.round())


def test_each_affine_is_near_its_batch_norm():
    model = network().eval()
    x = torch.randn(50, 6, 3, 3) * 5
    norm = model.get_submodule("1")
    near = affines(snap(model))[0]
    error = (near(x) - norm(x)).abs()
    assert (error <= norm(x).abs() * 2.0**-13 + 2.0**-13 * 5 * 5).all()


def test_model_is_left_alone_and_weights_are_on_the_grid():
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    snapped = snap(model)
    assert model.training
    assert not snapped.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    for path in ("0", "4"):
        latent = snapped.get_parameter(f"{path}.parametrizations.weight.original")
        assert torch.equal(latent, weight(snapped, path))
        assert torch.equal(latent, weight(model.eval(), path))


def test_float64_is_near_the_original_and_float32_agrees():
    model = network().eval()
    x = torch.randn(64, 2, 8, 8)
    snapped = snap(model)
    original, got = model(x), snapped(x)
    assert (original - got).abs().max() < 0.05 * original.std()
    exact = snap(model).double()(x.double())
    assert (exact - got).abs().max() < 1e-3


def test_float64_is_exact():
    """No rounding at all: the forward pass in float64 equals exact rational arithmetic."""
    snapped = snap(network())
    raw = np.random.default_rng(0).integers(0, 256, size=(3, 2, 8, 8))
    source = capture(snapped, torch.zeros(1, 2, 8, 8), InputMap())
    exact = evaluate(source, {source.inputs[0].name: raw}, dtype=object)[source.outputs[0]]
    got = snapped.double()(torch.from_numpy(raw).double() / 256).numpy()
    assert [Fraction(float(v)) for v in got.flat] == list(exact.flat)


def test_snapping_twice_changes_nothing():
    once = snap(network())
    twice = snap(once)
    states = (once.state_dict(), twice.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_batch_norm_alone_and_one_without_statistics():
    assert isinstance(snap(nn.BatchNorm1d(3)), Affine)
    model = nn.Sequential(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)))
    with pytest.raises(HwcError, match=r"0\.0: batch-norm without running statistics"):
        snap(model)


def test_one_batch_norm_in_two_places_is_snapped_in_both():
    norm = nn.BatchNorm2d(3)
    snapped = snap(nn.Sequential(norm, nn.Conv2d(3, 3, 1), norm))
    assert [type(m).__name__ for m in snapped.children()] == ["Affine", "Conv2d", "Affine"]
