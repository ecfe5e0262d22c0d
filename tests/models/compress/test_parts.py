"""Augmentation, fine-tuning, few levels, copies."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from hwc.models.compress.augment import moved
from hwc.models.compress.layers import check_coverage, treated
from hwc.models.compress.networks import network
from hwc.models.compress.recipe import Training, parse
from hwc.models.compress.report import kind_of
from hwc.models.compress.steps import KeptLevels
from hwc.models.compress.training import Trainer, entering, twin_of
from hwc.models.copying import copy_of
from hwc.models.quantize.twin import without_quantizers
from hwc.models.quantize.weight import IntWeight, quantize_weight
from hwc.models.zoo import NETS


def test_no_augmentation_is_the_identity():
    images = torch.randint(0, 256, (3, 1, 5, 5), dtype=torch.uint8)
    assert torch.equal(moved(images, Training(), np.random.default_rng(0)), images.float())


def test_shifts_move_a_point_by_at_most_that_much():
    images = torch.zeros(200, 1, 15, 15)
    images[:, 0, 7, 7] = 255
    out = moved(images, Training(shift=2.0), np.random.default_rng(0))
    rows, columns = torch.meshgrid(torch.arange(15.0), torch.arange(15.0), indexing="ij")
    weight = out[:, 0].sum((1, 2))
    for axis in (rows, columns):
        centre = (out[:, 0] * axis).sum((1, 2)) / weight - 7
        assert centre.abs().max() < 2.05
        assert centre.max() > 1.5
        assert centre.min() < -1.5
    assert torch.equal(out, out.round())


def test_rotation_keeps_the_centre_and_turns_the_rest():
    images = torch.zeros(100, 1, 15, 15)
    images[:, 0, 7, :] = 200
    out = moved(images, Training(rotate=30), np.random.default_rng(1))
    assert (out[:, 0, 7, 7] > 150).all()
    assert (out[:, 0, 4, :].max(1).values > 100).any()
    assert (out[:, 0, :, 7] <= 200).all()


def test_same_seed_same_images():
    images = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    how = Training(shift=1, rotate=9, zoom=0.1, shear=0.1)
    a, b, c = (moved(images, how, np.random.default_rng(s)) for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_distillation_is_the_weighted_divergence(digits):
    torch.manual_seed(2)
    model, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    images, labels = torch.rand(7, 1, 8, 8), torch.arange(7)
    how = Training(distill=0.25, temperature=3.0)
    got = Trainer(model, teacher, digits, how, 0)._loss(images, labels, None)
    p = torch.softmax(teacher(images) / 3, 1)
    q = torch.softmax(model(images) / 3, 1)
    divergence = (p * (p / q).log()).sum(1).mean()
    hard = F.cross_entropy(model(images), labels)
    torch.testing.assert_close(got, 0.75 * hard + 0.25 * 9 * divergence)


def test_trainer_is_seeded_and_its_hooks_run(digits):
    seen, results = [], []
    for seed in (0, 0, 1):
        torch.manual_seed(3)
        model: Any = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        trainer = Trainer(model, None, digits, Training(), seed)
        penalties = []

        def penalty(model=model, penalties=penalties):
            penalties.append(1)
            return 0 * model[1].weight.sum()

        trainer(1, 1e-2, penalty=penalty, after_step=lambda s, n: seen.append((s, n)))
        results.append(model[1].weight.detach().clone())
        assert len(penalties) == len(digits.x_train) // 100
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert seen[0] == (0, len(digits.x_train) // 100)


def test_before_is_called_once_and_before_any_change(digits):
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    start, seen = model[1].weight.detach().clone(), []
    trainer = Trainer(model, None, digits, Training(), 0)
    trainer.before = lambda: seen.append(torch.equal(model[1].weight, start))
    trainer(1, 1e-2)
    trainer(1, 1e-2)
    assert seen == [True]


def test_activations_that_enter_a_layer(trained, digits):
    images = torch.from_numpy(digits.x_train[:600]).float() * digits.scale
    got = entering(trained, "fc2", images)
    torch.testing.assert_close(got, trained[:3](images))
    assert not trained.fc2._forward_pre_hooks


@given(st.integers(1, 7), st.integers(0, 99))
def test_kept_levels_neither_lose_nor_gain_a_zero(hi, seed):
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(20, 30, generator=rng) * (torch.rand(20, 30, generator=rng) < 0.2)
    quantizer = KeptLevels(hi)
    quantizer.observe(weight)
    value = quantizer.quantize(weight)
    codes = value / quantizer.scale
    assert torch.equal(codes, codes.round())
    assert torch.equal(value != 0, weight != 0)
    assert codes.abs().max() <= hi
    assert torch.equal(torch.sign(value), torch.sign(weight))
    assert torch.equal(quantizer.quantize(value), value)


def test_ternary_step_is_the_best_for_what_is_kept():
    weight = torch.randn(400, generator=torch.Generator().manual_seed(1)) * 3
    weight[::2] = 0
    quantizer = KeptLevels(1)
    quantizer.observe(weight)
    errors = {
        s: float((weight - s * torch.sign(weight)).square().sum())
        for s in (quantizer.scale * f for f in (0.9, 1.0, 1.1))
    }
    assert min(errors, key=errors.__getitem__) == quantizer.scale


def test_kept_levels_pass_gradients():
    weight = torch.tensor([0.0, 0.01, -0.02, 1.0], requires_grad=True)
    quantizer = KeptLevels(1)
    quantizer.observe(weight.detach())
    quantizer.quantize(weight).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.tensor([1.0, 1.0, 1.0, 0.0]))  # the last is clipped


def test_copies_do_not_share_parametrizations():
    layer: Any = quantize_weight(nn.Linear(3, 2), IntWeight(4))
    copied = copy_of(nn.Sequential(layer))
    parametrize.remove_parametrizations(copied[0], "weight")
    assert torch.equal(layer.weight, layer.parametrizations.weight[0].quantize(layer.weight))
    other = twin_of(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert other.weight.shape == (2, 3)


@pytest.mark.parametrize("value", [0.2, 1.0])
def test_twin_does_not_train(value):
    layer = nn.Linear(2, 2)
    twin = twin_of(layer)
    with torch.no_grad():
        layer.weight.fill_(value)
    assert not torch.equal(twin.get_parameter("weight"), layer.weight)
    assert not any(p.requires_grad for p in twin.parameters())


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ([-1, 1, 1, -1], ("binary", 1)),
        ([-1, 0, 1, 0], ("ternary", 2)),
        ([0, *(s * 2**e for s in (-1, 1) for e in range(5))] * 9, ("power of two", 4)),
        ([-90, 0, 7, 90, 55] * 20, ("codebook of 5", 3)),
        ([0] * 90 + [3, 99], ("codebook of 3", 2)),
        (list(range(-7, 8)) * 9, ("int4", 4)),
        ([0, 5, 6, 7, 3] * 9, ("uint3", 3)),
    ],
)
def test_kinds_of_weights_are_those_that_the_compiler_recognizes(
    codes: list[int], kind: tuple[str, int]
) -> None:
    assert kind_of(np.array([codes])) == kind
    assert kind_of(None) == ("float", 32)


def test_every_network_of_the_zoo_comes_plain_to_its_compression(digits):
    """So that every method may treat its layers."""
    model = network("tfc-w1a1", digits, 0)
    assert not any(map(parametrize.is_parametrized, model.modules()))
    recipe = parse('[[step]]\nmethod = "magnitude"\ndensity = 0.5\nepochs = 0')
    check_coverage(recipe, model)
    assert treated(recipe.steps[0], 1, model)
    trained = NETS["tfc-w1a1"].build(digits)
    before = {name: p.clone() for name, p in trained.named_parameters()}
    without_quantizers(trained)
    assert all(map(torch.equal, trained.parameters(), before.values()))
    assert parametrize.is_parametrized(trained.get_submodule("fc1"), "weight")


def test_levels_of_a_large_layer():
    """More than the 2**24 values that torch.quantile takes."""
    weight = torch.linspace(-1, 1, 2**24 + 2)
    assert float(KeptLevels(127).ideal_scale(weight)) == pytest.approx(0.98 / 127, rel=1 / 64)
