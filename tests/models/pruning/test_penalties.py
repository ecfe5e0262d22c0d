"""Penalties against their formulas and gradients, and training that they steer."""

import math

import pytest
import torch

from hwc.models.pruning import penalties

W = [[0.5, -2.0], [0.0, 1.0]]


FIXED = torch.tensor(W, dtype=torch.float64)


def weight() -> torch.Tensor:
    return torch.tensor(W, dtype=torch.float64, requires_grad=True)


def test_norms() -> None:
    assert float(penalties.l1([FIXED, FIXED])) == 7
    assert float(penalties.l2([FIXED])) == 5.25
    rows = math.sqrt(4.25) + 1
    columns = 0.5 + math.sqrt(5)
    assert float(penalties.group_lasso([FIXED])) == pytest.approx(rows * math.sqrt(2))
    assert float(penalties.group_lasso([FIXED], 1)) == pytest.approx(columns * math.sqrt(2))


def test_a_group_at_zero_has_a_finite_gradient() -> None:
    w = torch.zeros(2, 3, requires_grad=True)
    penalties.group_lasso([w]).backward()
    assert w.grad is not None
    assert torch.equal(w.grad, torch.zeros(2, 3))


def test_biased_decay_pulls_small_units_hardest() -> None:
    rate = 0.7
    for penalty, pull in (
        (penalties.hyperbolic, lambda load: rate / (1 + rate * load) ** 2),
        (penalties.exponential, lambda load: rate * math.exp(-rate * load)),
    ):
        w = weight()
        penalty([w], rate).backward()
        assert w.grad is not None
        for i, load in enumerate((2.5, 1.0)):
            for j in range(2):
                sign = math.copysign(1, W[i][j]) if W[i][j] else 0
                assert float(w.grad[i, j]) == pytest.approx(sign * pull(load))
    load = 0.7 * torch.tensor([2.5, 1.0], dtype=torch.float64)
    assert float(penalties.hyperbolic([FIXED], 0.7)) == pytest.approx(
        float((load / (1 + load)).sum())
    )
    assert float(penalties.exponential([FIXED], 0.7)) == pytest.approx(
        float((1 - torch.exp(-load)).sum())
    )


def test_filters_of_convolutions_are_units() -> None:
    w = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = w.flatten(1).norm(dim=1).sum() * math.sqrt(12)
    assert float(penalties.group_lasso([w])) == pytest.approx(float(expected))
