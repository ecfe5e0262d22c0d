"""The brain surgeon as a quantizer: a step of a recipe."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hwc.models import load_data
from hwc.models.compress import CompressError, compress
from hwc.models.compress.recipe import parse
from hwc.models.pruning.mask import latent_of

HEAD = "validation = 0\nactivations = false\nbiases = false\n"


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def made(text: str, data) -> nn.Sequential:
    recipe = parse(HEAD + f"[[step]]\nmethod = {text}")
    model = compress(copy.deepcopy(network()), recipe, data, progress=False).model
    assert isinstance(model, nn.Sequential)
    return model


def weight_of(layer: nn.Module) -> torch.Tensor:
    assert isinstance(layer.weight, torch.Tensor)
    return layer.weight.detach()


def test_responses_are_nearer_than_with_plain_rounding_on_the_same_grid(digits):
    x = digits.first(400)
    wanted = network()(x).detach()
    errors, steps = [], []
    for method in ('"obs_rounding"\nbits = 3', '"uniform"\nbits = 3'):
        net = made(method, digits)
        errors.append(float((net(x).detach() - wanted).square().mean()))
        first = weight_of(net[1])
        steps.append(first.abs()[first != 0].min())
        codes = first / steps[-1]
        assert torch.equal(codes, codes.round())
        assert codes.abs().max() <= 3
    assert steps[0] == steps[1]
    assert errors[0] < 0.7 * errors[1]


def test_zeros_of_a_mask_stay(digits):
    text = '"magnitude"\ndensity = 0.3\nepochs = 0\n[[step]]\nmethod = "obs_rounding"\nbits = 4'
    net = made(text, digits)
    for layer in (net[1], net[3]):
        kept = int((weight_of(layer) != 0).sum())
        assert 0 < kept <= round(0.3 * weight_of(layer).numel())


def test_a_later_step_takes_the_layer_over(digits):
    text = '"obs_rounding"\nbits = 3\n[[step]]\nmethod = "uniform"\nbits = 2'
    weight = latent_of(made(text, digits)[1]).detach()
    assert len(weight.unique()) <= 3


def test_refusals(digits):
    with pytest.raises(CompressError, match=r"bits must be 2\.\.8, got 9"):
        made('"obs_rounding"\nbits = 9', digits)
    twice = '"uniform"\n[[step]]\nmethod = "obs_rounding"'
    with pytest.raises(CompressError, match="is quantized already"):
        made(twice, digits)
