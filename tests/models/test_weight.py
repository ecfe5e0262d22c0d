"""Weight quantizers as parametrizations: codes, snapped scales, freezing, clipping."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.quantize.weight import (
    GAUSSIAN_STEP,
    BinaryWeight,
    IntWeight,
    TernaryWeight,
    clip_weights,
    quantize_weight,
)


def linear(quantizer, seed: int = 0, **options) -> nn.Linear:
    torch.manual_seed(seed)
    return quantize_weight(nn.Linear(40, 12, **options), quantizer)


def latent(layer: nn.Module) -> nn.Parameter:
    return layer.get_parameter("parametrizations.weight.original")


def is_dyadic(scale: torch.Tensor, bits: int) -> bool:
    """Every value is an integer below 2**bits times a power of two."""
    mantissas = [math.frexp(float(s))[0] * 2**bits for s in scale.flatten()]
    return all(m == int(m) and m > 0 for m in mantissas)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", range(2, 9))
def test_int_weight_codes_and_scale(bits, per_channel):
    layer = linear(IntWeight(bits, per_channel))
    scale = layer.get_buffer("parametrizations.weight.0.scale")
    codes = (layer.weight / scale).detach()
    hi = 2 ** (bits - 1) - 1
    assert scale.shape == ((12, 1) if per_channel else ())
    assert is_dyadic(scale, 4)
    assert torch.equal(codes, codes.round())
    assert codes.min() >= -hi
    assert codes.max() <= hi
    error = (layer.weight - latent(layer)).abs()
    inside = latent(layer).abs() <= hi * scale
    assert (error[inside] <= (scale / 2).expand_as(error)[inside]).all()


def test_eight_bits_never_clip():
    layer = linear(IntWeight(8))
    scale = layer.get_buffer("parametrizations.weight.0.scale")
    assert latent(layer).abs().max() <= 127 * scale


@pytest.mark.parametrize("bits", GAUSSIAN_STEP)
def test_gaussian_step_is_the_best(bits):
    x = np.linspace(-8, 8, 40001)
    density = np.exp(-x * x / 2)
    hi = 2 ** (bits - 1) - 1

    def error(step: float) -> float:
        return float(((np.clip(np.round(x / step), -hi, hi) * step - x) ** 2 * density).sum())

    best = error(GAUSSIAN_STEP[bits])
    assert best < error(GAUSSIAN_STEP[bits] * 1.02)
    assert best < error(GAUSSIAN_STEP[bits] / 1.02)


def test_ternary_threshold_is_the_one_of_twn():
    layer = linear(TernaryWeight())
    scale = layer.get_buffer("parametrizations.weight.0.scale")
    mean = latent(layer).abs().mean()
    assert is_dyadic(scale, 4)
    assert abs(scale / 2 - 0.7 * mean) <= 0.7 * mean / 16
    assert set((layer.weight / scale).flatten().tolist()) == {-1.0, 0.0, 1.0}


def test_binary_scales():
    layer = linear(BinaryWeight())
    mean = latent(layer).abs().mean()
    value = layer.weight.abs().max()
    assert is_dyadic(value.detach(), 4)
    assert abs(value - mean) <= mean / 16
    assert torch.equal(layer.weight, torch.where(latent(layer) >= 0, value, -value))
    assert set(linear(BinaryWeight(scale=1.0)).weight.flatten().tolist()) == {-1.0, 1.0}
    rows = linear(BinaryWeight(per_channel=True)).weight.abs()
    assert torch.equal(rows, rows[:, :1].expand_as(rows))


def test_scale_follows_in_training_and_freezes_in_evaluation():
    layer = linear(IntWeight(4))
    layer.eval()
    before = layer.weight.detach().clone()
    with torch.no_grad():
        latent(layer).mul_(4)
    assert layer.weight.abs().max() == before.abs().max()
    layer.train()
    assert torch.equal(layer.weight, before * 4)


def test_a_layer_used_twice_goes_backward():
    layer = linear(IntWeight(4), bias=False)
    x = torch.randn(3, 40)
    (layer(x).sum() + layer(2 * x).sum()).backward()
    assert latent(layer).grad is not None


def test_convolutions_and_state_dict():
    torch.manual_seed(0)
    layer = quantize_weight(nn.Conv2d(3, 8, 3), IntWeight(4, per_channel=True))
    other = quantize_weight(nn.Conv2d(3, 8, 3), IntWeight(4, per_channel=True))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval().weight, other.eval().weight)
    assert layer.get_buffer("parametrizations.weight.0.scale").shape == (8, 1, 1, 1)


def test_a_zero_weight_has_a_scale():
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    quantize_weight(layer, IntWeight(8))
    assert layer.weight.abs().max() == 0


@pytest.mark.parametrize("quantizer", [IntWeight(2), IntWeight(8), TernaryWeight(), BinaryWeight()])
def test_clipped_latents_still_learn(quantizer):
    layer = linear(quantizer, bias=False)
    with torch.no_grad():
        latent(layer)[0, 0] = 100.0
    clip_weights(layer)
    layer.eval()
    layer(torch.ones(1, 40)).sum().backward()
    gradient = latent(layer).grad
    assert gradient is not None
    assert gradient[0, 0] != 0
    assert latent(layer)[0, 0] < 3


def test_errors():
    with pytest.raises(HwcError, match=r"bits must be 2\.\.8, got 1; for 1 bit use BinaryWeight"):
        IntWeight(1)
    with pytest.raises(HwcError, match="scale must be positive"):
        BinaryWeight(scale=0)
    with pytest.raises(HwcError, match="ReLU has no parameter 'weight'"):
        quantize_weight(nn.ReLU(), IntWeight(4))
