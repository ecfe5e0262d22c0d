"""Channel selection by LASSO against its optimality conditions and exhaustive search."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from hwc.models.pruning.lasso import lasso, refit, response_gram, select
from hwc.models.pruning.mask import PruningError

G = torch.Generator().manual_seed(0)
LABELS = torch.arange(6).repeat_interleave(3)
ROWS = torch.randn(200, 18, generator=G, dtype=torch.float64) @ torch.randn(
    18, 18, generator=G, dtype=torch.float64
)
WEIGHT = torch.randn(5, 18, generator=G, dtype=torch.float64)


def test_the_gram_is_that_of_the_parts() -> None:
    parts = torch.stack([ROWS[:, LABELS == i] @ WEIGHT[:, LABELS == i].T for i in range(6)])
    wanted = torch.einsum("aij,bij->ab", parts, parts) / len(ROWS)
    torch.testing.assert_close(response_gram(ROWS, WEIGHT, LABELS), wanted)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.6])
def test_the_lasso_is_optimal(share: float) -> None:
    """Where b is not 0 the gradient is -rate * sign(b), elsewhere within the rate."""
    gram = response_gram(ROWS, WEIGHT, LABELS)
    rate = share * float(gram.sum(1).abs().max())
    b = lasso(gram, rate)
    gradient = gram @ b - gram.sum(1)
    on = b != 0
    assert 0 < int(on.sum()) <= 6
    torch.testing.assert_close(gradient[on], -rate * torch.sign(b[on]), rtol=1e-5, atol=1e-5)
    assert float(gradient[~on].abs().max() if (~on).any() else 0) <= rate * (1 + 1e-9)
    torch.testing.assert_close(lasso(gram, 0.0), torch.ones(6, dtype=gram.dtype), atol=1e-4, rtol=0)


def error(keep: torch.Tensor) -> float:
    """Squared error of the response with the best weights on the channels that stay."""
    columns = keep[LABELS]
    return float(
        (ROWS @ WEIGHT.T - ROWS[:, columns] @ refit(ROWS, WEIGHT, columns).T).square().sum()
    )


def test_the_refit_is_least_squares() -> None:
    columns = torch.tensor([True, True, False, True, False, True])[LABELS]
    wanted = torch.linalg.lstsq(ROWS[:, columns], ROWS @ WEIGHT.T).solution.T
    torch.testing.assert_close(refit(ROWS, WEIGHT, columns), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_choice_beats_most_others(count: int) -> None:
    gram = response_gram(ROWS, WEIGHT, LABELS)
    keep = select(gram, count)
    assert int(keep.sum()) == count
    every = []
    for places in combinations(range(6), count):
        mask = torch.zeros(6, dtype=torch.bool)
        mask[list(places)] = True
        every.append(error(mask))
    assert error(keep) <= sorted(every)[len(every) // 2]


def test_channels_that_say_nothing_go_first() -> None:
    rows = ROWS.clone()
    rows[:, LABELS == 2] = 0
    assert not select(response_gram(rows, WEIGHT, LABELS), 5)[2]
    with pytest.raises(PruningError, match="0 of 6"):
        select(response_gram(rows, WEIGHT, LABELS), 0)
    assert select(response_gram(rows, WEIGHT, LABELS), 6).all()
