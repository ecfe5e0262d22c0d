"""Mixtures of Gaussians over weights, and words that keep a layer's response."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwc.models import load_data
from hwc.models.compress import compress, parse
from hwc.models.compress.recipe import Training
from hwc.models.compress.training import Trainer
from hwc.models.sharing.codebook import share_by_mixture
from hwc.models.sharing.indirect import SharingError
from hwc.models.sharing.kmeans import vector_kmeans
from hwc.models.sharing.mixture import Mixture
from hwc.models.sharing.response import Response, corrected
from hwc.models.sharing.vectors import share_pieces


def mixture(means: list[float], deviations: list[float], zero: float = 0.5) -> Mixture:
    """With equal shares; the first deviation is that of the zero component."""
    made = Mixture(len(means), zero, 1.0, 1.0)
    with torch.no_grad():
        made.means.copy_(torch.tensor(means))
        made.logs.copy_(torch.tensor(deviations).log())
    return made


def density(x: float, mean: float, deviation: float) -> float:
    z = (x - mean) / deviation
    return math.exp(-z * z / 2) / (deviation * math.sqrt(2 * math.pi))


def test_the_penalty_is_the_likelihood_and_the_priors() -> None:
    made = mixture([-0.5, 0.75], [0.1, 0.2, 0.3], 0.6)
    weights = [torch.tensor([0.1, -0.6]), torch.tensor([[0.8]])]
    likelihood = 0.0
    for x in (0.1, -0.6, 0.8):
        parts = 0.6 * density(x, 0, 0.1) + 0.2 * (density(x, -0.5, 0.2) + density(x, 0.75, 0.3))
        likelihood -= math.log(parts)
    priors = 0.0
    for deviation, (shape, rate) in ((0.1, made.tight), (0.2, made.loose), (0.3, made.loose)):
        precision = deviation**-2
        priors -= (shape - 1) * math.log(precision) - rate * precision
    assert float(made.penalty(weights).detach()) == pytest.approx(likelihood + priors, rel=1e-5)


def test_gradients_are_those_of_differences() -> None:
    made = mixture([-0.5, 0.75], [0.1, 0.2, 0.3]).double()
    weights = torch.tensor([0.1, -0.6, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: made.penalty([w]), (weights,))


def test_near_components_become_one_and_weights_their_mean() -> None:
    made = mixture([0.5, -0.8, 0.52], [0.05, 0.1, 0.1, 0.1])
    made.merge()
    assert len(made.means) == 2
    torch.testing.assert_close(made.means.detach(), torch.tensor([-0.8, 0.51]))
    fc = nn.Linear(5, 1, bias=False)
    with torch.no_grad():
        fc.weight.copy_(torch.tensor([[-0.7, 0.01, 0.6, 0.48, -0.03]]))
    book = share_by_mixture(fc, made)
    assert book.indices.tolist() == [[0, 2, 1, 1, 2]]
    torch.testing.assert_close(book.values.detach(), torch.tensor([-0.8, 0.51]))
    assert fc.weight[0, 1] == fc.weight[0, 4] == 0


def test_a_layer_without_the_zero_component_has_no_zeros() -> None:
    fc = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        fc.weight.copy_(torch.tensor([[-0.8, 0.5]]))
    book = share_by_mixture(fc, mixture([-0.8, 0.5], [0.05, 0.1, 0.1]))
    assert book.indices.tolist() == [[0, 1]]
    with torch.no_grad():
        other = nn.Linear(2, 1, bias=False)
        other.weight.zero_()
    with pytest.raises(SharingError, match="every weight for 0"):
        share_by_mixture(other, mixture([-0.8, 0.5], [0.05, 0.1, 0.1]))
    with pytest.raises(SharingError, match="a mixture needs"):
        Mixture(0, 0.5, 1.0, 1.0)


def case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Correlated inputs, a weight, the response."""
    g = torch.Generator().manual_seed(seed)
    rows = torch.randn(300, 12, generator=g) @ torch.randn(12, 12, generator=g)
    weight = torch.randn(40, 12, generator=g)
    return rows, weight, rows @ weight.T


def quantized(weight: Tensor, places: int, k: int) -> tuple[Tensor, Tensor]:
    """Plain product quantization."""
    found = [
        vector_kmeans(part, k, torch.Generator().manual_seed(0))
        for part in weight.split(weight.shape[1] // places, 1)
    ]
    return torch.stack([c for c, _ in found]), torch.stack([z for _, z in found], 1)


def dense(words: Tensor, codes: Tensor) -> Tensor:
    return words[torch.arange(len(words)), codes].reshape(len(codes), -1)


@pytest.mark.parametrize("seed", range(4))
def test_the_response_is_nearer_than_with_plain_words(seed: int) -> None:
    rows, weight, target = case(seed)
    words, codes = quantized(weight, 3, 5)
    before = float((target - rows @ dense(words, codes).T).square().sum())
    new, places = corrected(rows, target, words, codes)
    after = float((target - rows @ dense(new, places).T).square().sum())
    assert after < 0.8 * before


def test_words_and_codes_are_the_best_for_each_other() -> None:
    """At the end no single code and no word of a place can be bettered."""
    rows, weight, target = (x.double() for x in case(9))
    words, codes = corrected(rows, target, *quantized(weight, 2, 3), rounds=2000)

    def error(w: Tensor, c: Tensor) -> float:
        return float((target - rows @ dense(w, c).T).square().sum())

    least = error(words, codes)
    for n in range(len(codes)):
        for place in range(2):
            for k in range(3):
                other = codes.clone()
                other[n, place] = k
                assert error(words, other) >= least * (1 - 1e-9)
    for place in range(2):
        for k in range(3):
            for step in (1e-3, -1e-3):
                moved = words.clone()
                moved[place, k] += step
                assert error(moved, codes) >= least * (1 - 1e-6)


def test_errors_of_earlier_layers_are_made_up_for() -> None:
    """Inputs that lost a tenth of their size: the words grow to make up for it."""
    rows, weight, target = case(2)
    words, codes = quantized(weight, 3, 8)
    new, places = corrected(0.9 * rows, target, words, codes)
    plain: Any = (target - 0.9 * rows @ dense(words, codes).T).square().sum()
    assert float((target - 0.9 * rows @ dense(new, places).T).square().sum()) < 0.8 * float(plain)


@pytest.mark.parametrize("samples", [3, 300])
@pytest.mark.parametrize("seed", range(4))
def test_before_rounding_the_error_is_never_above_that_of_plain_words(
    seed: int, samples: int
) -> None:
    """Also with unused inputs, fewer samples than inputs, inputs of very different size, and words
    that are exact already."""
    rows, weight, _ = (x.double() for x in case(seed))
    rows = rows[:samples] * torch.logspace(-5, 3, 12, dtype=torch.float64)
    rows[:, seed] = 0
    for k in (1, 4, 40):
        words, codes = quantized(weight, 3, k)
        for shared in (weight, dense(words, codes)):
            response = Response(rows, rows @ shared.T)
            before = response.error(dense(words, codes))
            for rounds, ridge in itertools.product((1, 2, 7), (1e-6, 0.1, 10)):
                after = response.error(
                    dense(*corrected(rows, response.target, words, codes, rounds, ridge))
                )
                size = float(response.target.square().mean())
                assert after <= before * (1 + 1e-9) + 1e-20 * size


def test_error_and_way_from_plain_words_fall_together() -> None:
    rows, weight, target = (x.double() for x in case(0))
    words, codes = quantized(weight, 3, 5)
    size, ridge = float(rows.square().mean()), 3.0

    def goal(new: Tensor, places: Tensor) -> float:
        way = dense(new, places) - dense(words, places)
        missed = target - rows @ dense(new, places).T
        return float(missed.square().sum() / len(rows) + ridge * size * way.square().sum())

    goals = [goal(*corrected(rows, target, words, codes, rounds, ridge)) for rounds in range(6)]
    assert goals[0] == goal(words, codes)
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(goals))
    new, places = corrected(rows, target, words, codes, 2000, ridge)
    least = goal(new, places)
    assert least < 0.9 * goals[0]
    for n, place, k in itertools.product(range(len(codes)), range(3), range(5)):
        other = places.clone()
        other[n, place] = k
        assert goal(new, other) >= least * (1 - 1e-9)
    for at, step in itertools.product(np.ndindex(*new.shape), (1e-3, -1e-3)):
        moved = new.clone()
        moved[at] += step
        assert goal(moved, places) >= least * (1 - 1e-9)


def test_words_of_inputs_that_are_always_0_become_0() -> None:
    rows, weight, target = case(1)
    rows[:, 4:9] = 0
    new, places = corrected(rows, target, *quantized(weight, 3, 5))
    kept = dense(new, places)
    assert not kept[:, 4:9].any()
    assert bool(kept[:, :4].all() and kept[:, 9:].all())


def test_the_error_of_a_response_is_the_mean_square_of_what_is_missed() -> None:
    response = Response(torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[1.0], [-1.0]]))
    assert response.error(torch.tensor([[2.0, 1.0]])) == (3**2 + 4**2) / 2


def test_after_rounding_the_better_words_are_kept() -> None:
    """Corrected words may reach so far that the grid gets too coarse for them."""
    kept = set()
    for seed in range(4):
        rows, weight, target = case(seed)
        for samples, bits in ((3, 2), (300, 8)):
            layers = []
            response = Response(rows[:samples], target[:samples])
            for wanted in (None, response):
                fc = nn.Linear(12, 40, bias=False)
                with torch.no_grad():
                    fc.weight.copy_(weight)
                made = share_pieces(fc, 3, 8, torch.Generator().manual_seed(0), bits, wanted)
                layers.append((response.error(fc.weight), made.words))
            (plain, words), (better, others) = layers
            assert better <= plain
            kept.add((bits, torch.equal(words, others)))
    assert {(2, True), (8, False)} <= kept


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained(digits: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    Trainer(net, None, digits, Training(), 0)(10, 1e-2)
    return net


def test_response_by_recipe_beats_plain_words_without_training(
    trained: nn.Module, digits: Any
) -> None:
    text = '[[step]]\nmethod = "product_quantization"\nk = 4\nlength = 4\nepochs = 0\nresponse = {}'
    plain, better = (
        compress(trained, parse(text.format(r)), digits, progress=False).report.accuracy
        for r in ("false", "true")
    )
    assert better["fake_quant"] > plain["fake_quant"] + 0.05


def test_soft_sharing_by_recipe_leaves_few_values(trained: nn.Module, digits: Any) -> None:
    text = '[[step]]\nmethod = "soft_sharing"\nzero = 0.8\ntau = 0.05\nmixture_lr = 5e-3\n'
    made = compress(trained, parse(text + "epochs = 20\nlr = 2e-3"), digits, progress=False)
    assert made.report.accuracy["fake_quant"] > 0.85
    assert made.report.nonzero_ratio > 1.3
