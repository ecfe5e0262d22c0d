"""Optimal Brain Surgeon against linear algebra and brute force."""

from itertools import combinations

import pytest
import torch
from torch import nn

from hwc.models.pruning.mask import PruningError
from hwc.models.pruning.surgeon import (
    hessian,
    quantize_rows,
    remove,
    rows_of,
    surgeon,
    without_idle,
)


def case(rows: int = 3, k: int = 6, samples: int = 40, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, k, generator=g, dtype=torch.float64)
    x = x @ torch.randn(k, k, generator=g, dtype=torch.float64)  # correlated inputs
    return x, torch.randn(rows, k, generator=g, dtype=torch.float64)


def best_without(row: torch.Tensor, h: torch.Tensor, gone: tuple[int, ...]) -> torch.Tensor:
    """The row of least error with these weights 0: a linear system for the others."""
    kept = [i for i in range(len(row)) if i not in gone]
    out = torch.zeros_like(row)
    out[kept] = torch.linalg.solve(h[kept][:, kept], (h @ row)[kept])
    return out


def error(a: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> float:
    return float((a - b) @ h @ (a - b))


@pytest.mark.parametrize("q", range(6))
def test_a_removal_is_the_constrained_optimum_and_its_cost_is_the_saliency(q: int) -> None:
    x, w = case()
    h = hessian(x)
    inverse = torch.linalg.inv(h)
    for old in w:
        new, rest = old.clone(), inverse.clone()
        remove(new, rest, q, new[q].clone())
        torch.testing.assert_close(new, best_without(old, h, (q,)))
        saliency = old[q] ** 2 / inverse[q, q]
        assert error(new, old, h) == pytest.approx(float(saliency))
        left = [i for i in range(6) if i != q]
        small = torch.linalg.inv(h[left][:, left])
        torch.testing.assert_close(rest[left][:, left], small, msg="the downdate is the inverse")


def test_many_removals_leave_the_optimum_for_what_is_left() -> None:
    x, w = case(seed=3)
    h = hessian(x)
    new = surgeon(w, h, 0.5)
    assert (new == 0).sum(1).tolist() == [3, 3, 3]
    for row, old in zip(new, w, strict=True):
        gone = tuple(torch.nonzero(row == 0).flatten().tolist())
        torch.testing.assert_close(row, best_without(old, h, gone))


def test_one_removal_is_the_cheapest_of_all_and_three_are_near_the_best_three() -> None:
    better = []
    for seed in range(20):
        x, w = case(1, seed=seed)
        h = hessian(x)
        one = surgeon(w, h, 5 / 6)[0]
        costs = [error(best_without(w[0], h, (q,)), w[0], h) for q in range(6)]
        assert error(one, w[0], h) == pytest.approx(min(costs))
        three = error(surgeon(w, h, 0.5)[0], w[0], h)
        best = min(error(best_without(w[0], h, g), w[0], h) for g in combinations(range(6), 3))
        plain = w[0].clone()
        plain[w[0].abs().argsort()[:3]] = 0
        assert three >= best - 1e-9
        better.append((three / best, error(plain, w[0], h) / best))
    ours, magnitude = (torch.tensor(v).median() for v in zip(*better, strict=True))
    assert ours < 1.5
    assert magnitude > 2 * ours


def test_quantizing_makes_up_for_its_errors() -> None:
    x, w = case(8, 12, 200, seed=4)
    h = hessian(x)

    def nearest(v: torch.Tensor) -> torch.Tensor:
        return torch.round(v / 0.5) * 0.5

    new = quantize_rows(w, h, nearest)
    assert torch.equal(new, nearest(new)), "on the grid"
    ours = sum(error(a, b, h) for a, b in zip(new, w, strict=True))
    plain = sum(error(a, b, h) for a, b in zip(nearest(w), w, strict=True))
    assert ours < 0.5 * plain


@pytest.mark.parametrize("seed", range(5))
def test_quantizing_leaves_pruned_weights_pruned(seed: int) -> None:
    x, w = case(8, 12, 200, seed)
    h = hessian(x)
    pruned = surgeon(w, h, 0.5)
    new = quantize_rows(pruned, h, lambda v: torch.round(v / 0.25) * 0.25)
    assert not new[pruned == 0].any()
    ours = sum(error(a, b, h) for a, b in zip(new, w, strict=True))
    plain = sum(error(torch.round(a / 0.25) * 0.25, b, h) for a, b in zip(pruned, w, strict=True))
    assert ours < plain


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (7, 5)),
        (nn.Conv1d(4, 3, 3, stride=2, padding=1), (2, 4, 9)),
        (nn.Conv2d(2, 3, (3, 2), padding=(1, 0), dilation=(1, 2)), (2, 2, 6, 7)),
    ],
)
def test_rows_times_weights_are_the_layer(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weight = layer.weight.detach().flatten(1)  # pyright: ignore
    y = layer(x).detach() - layer.bias.reshape((-1,) + (1,) * (len(shape) - 2))  # pyright: ignore
    if len(shape) > 2:
        y = y.flatten(2).transpose(1, 2).reshape(-1, len(weight))
    torch.testing.assert_close(rows_of(layer, x) @ weight.T, y)


def test_inputs_that_are_always_zero_cost_nothing() -> None:
    x, w = case()
    x[:, 2] = 0
    new = surgeon(without_idle(w, x), hessian(x), 5 / 6)
    assert (new[:, 2] == 0).all()
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(new[:, others], w[:, others])


def test_refusals() -> None:
    with pytest.raises(PruningError, match="Conv2d with groups"):
        rows_of(nn.Conv2d(4, 4, 3, groups=4), torch.zeros(1, 4, 5, 5))
    with pytest.raises(PruningError, match="density must be above 0"):
        surgeon(torch.zeros(1, 3), torch.eye(3, dtype=torch.float64), 0)
    with pytest.raises(PruningError, match="with a Hessian of"):
        surgeon(torch.zeros(1, 3), torch.eye(4), 0.5)
