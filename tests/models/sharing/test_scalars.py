"""Scalar codebooks against exact optima, and what a layer makes of them."""

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph import Codebook as CodebookForm
from hwc.compiler.graph import MatMul
from hwc.compiler.lower import lower
from hwc.models import QuantInput, capture, snap
from hwc.models.pruning.magnitude import keep_best
from hwc.models.pruning.mask import set_mask
from hwc.models.sharing.codebook import share, share_bins, share_constrained
from hwc.models.sharing.entropy import constrained, entropy
from hwc.models.sharing.indirect import SharingError
from hwc.models.sharing.kmeans import assign, lloyd, spread_evenly


def optimum(values: np.ndarray, k: int, weights: np.ndarray) -> float:
    """Least weighted squared error of k-means in one dimension, by dynamic programming."""
    order = np.argsort(values)
    x, w = values[order], weights[order]
    n = len(x)
    cost = np.zeros((n + 1, n + 1))
    for i in range(n):
        for j in range(i + 1, n + 1):
            mean = (w[i:j] * x[i:j]).sum() / w[i:j].sum()
            cost[i, j] = (w[i:j] * (x[i:j] - mean) ** 2).sum()
    best = np.full(n + 1, np.inf)
    best[0] = 0
    for _ in range(k):
        best = np.array([min(best[i] + cost[i, j] for i in range(j + 1)) for j in range(n + 1)])
    return float(best[n])


@pytest.mark.parametrize("seed", range(5))
def test_lloyd_from_an_even_start_is_near_the_optimum(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(40, generator=g, dtype=torch.float64)
    w = torch.rand(40, generator=g, dtype=torch.float64) + 0.01
    near: list[float] = []
    for weights in (None, w):
        c, z = lloyd(x, spread_evenly(x, 4), weights)
        error = float(((x - c[z]).square() * (1 if weights is None else weights)).sum())
        mass = torch.ones_like(x) if weights is None else w
        least = optimum(x.numpy(), 4, mass.numpy())
        even = spread_evenly(x, 4)
        start = float(((x - even[assign(x, even)]).square() * mass).sum())
        assert least * (1 - 1e-9) <= error < start
        near.append(error / least)
        again, _ = lloyd(x, c, weights)
        torch.testing.assert_close(again, c, msg="a fixed point")
        for j in range(4):
            mine = z == j
            torch.testing.assert_close(c[j], (mass[mine] * x[mine]).sum() / mass[mine].sum())
    assert min(near) < 1.3


def test_weights_draw_the_values_to_where_errors_are_dear() -> None:
    x = torch.tensor([0.0, 1.0, 10.0])
    c, _ = lloyd(x, torch.tensor([0.5]), torch.tensor([1.0, 0.0, 3.0]))
    assert float(c[0]) == pytest.approx(7.5)
    with pytest.raises(SharingError, match="not negative"):
        lloyd(x, x, -x)


def test_a_value_that_nobody_has_is_put_to_use() -> None:
    """An even start leaves the middle of a pruned layer's weights empty."""
    x = torch.tensor([-5.0, -4.9, -4.0, 4.0, 4.9, 5.0])
    c, z = lloyd(x, spread_evenly(x, 5))
    assert len(z.unique()) == 5
    assert float((x - c[z]).square().sum()) == pytest.approx(optimum(x.numpy(), 5, np.ones(6)))


def test_halfway_goes_to_the_lower_value() -> None:
    assert assign(torch.tensor([-1.0, 0.5, 0.51, 9]), torch.tensor([0.0, 1.0])).tolist() == [
        0,
        0,
        1,
        1,
    ]
    assert spread_evenly(torch.tensor([1.0, -1.0]), 3).tolist() == [-1, 0, 1]
    assert spread_evenly(torch.tensor([1.0, 3.0]), 1).tolist() == [2]


def test_each_assignment_under_a_rate_is_the_cheapest() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2000, generator=g, dtype=torch.float64)
    h = torch.rand(2000, generator=g, dtype=torch.float64)
    start = spread_evenly(x, 16)
    rates, errors = [], []
    for rate in (0.0, 0.01, 0.05, 0.3):
        c, z = constrained(x, start, rate, h)
        p = torch.bincount(z, minlength=16) / 2000
        bits = torch.where(p > 0, -p.clamp(min=1e-300).log2(), torch.inf)
        cost = h[:, None] * (x[:, None] - c).square()
        cost = cost + rate * bits if rate else cost
        mine = cost.gather(1, z[:, None])[:, 0]
        assert bool((mine <= cost.min(1).values + 1e-12).all())
        rates.append(entropy(z, 16))
        errors.append(float((h * (x - c[z]).square()).mean()))
    assert rates == sorted(rates, reverse=True)
    assert errors == sorted(errors)
    plain, _ = lloyd(x, start, h)
    torch.testing.assert_close(constrained(x, start, 0.0, h)[0], plain)


def test_entropy_of_known_codes() -> None:
    assert entropy(torch.tensor([0, 1, 2, 3]), 4) == 2
    assert entropy(torch.tensor([0, 0, 0]), 4) == 0
    assert entropy(torch.tensor([0, 0, 1, 2]), 3) == 1.5


def layer(seed: int = 0) -> nn.Linear:
    made = nn.Linear(30, 20)
    with torch.no_grad():
        made.weight.copy_(torch.randn(20, 30, generator=torch.Generator().manual_seed(seed)))
    return made


@pytest.mark.parametrize("pruned", [False, True])
def test_a_layer_with_a_codebook_becomes_integers_with_it(pruned: bool) -> None:
    fc = layer()
    if pruned:
        set_mask(fc, keep_best(fc.weight.abs(), 0.25))
    zeros = fc.weight.detach() == 0
    share(fc, 6)
    dense = fc.weight.detach()
    assert len(torch.unique(dense)) == 6 + pruned
    assert torch.equal(dense == 0, zeros)
    net = snap(nn.Sequential(QuantInput(0.25, -8, 7), fc)).double()
    assert torch.equal(net[1].weight, dense.double())  # pyright: ignore
    lowered = lower(capture(net, torch.zeros(1, 30).double()))
    product = lowered.graph.nodes[0].op
    assert isinstance(product, MatMul)
    assert len(np.unique(product.weight.dense())) == 6 + pruned
    assert pruned or isinstance(product.weight, CodebookForm)


def test_the_gradient_of_a_value_is_the_sum_over_its_weights() -> None:
    fc = layer()
    book = share(fc, 5)
    (fc.weight * torch.arange(600.0).reshape(20, 30)).sum().backward()
    expected = torch.zeros(5).index_add_(0, book.indices.flatten(), torch.arange(600.0))
    assert book.values.grad is not None
    torch.testing.assert_close(book.values.grad, expected)


def test_a_layer_of_few_values_keeps_them_and_a_rate_drops_some() -> None:
    fc = layer()
    with torch.no_grad():
        fc.weight.copy_(torch.sign(fc.weight) * 0.5)
    share(fc, 16)
    assert sorted(torch.unique(fc.weight.detach()).tolist()) == pytest.approx([-0.5, 0.5], rel=0.02)
    free, dear = layer(), layer()
    share_constrained(free, 16, 1e-6)
    share_constrained(dear, 16, 0.3)
    assert len(torch.unique(dear.weight)) < len(torch.unique(free.weight)) <= 16


def test_bins_hold_what_rounds_to_them_and_give_its_weighted_mean() -> None:
    fc = nn.Linear(6, 1, bias=False)
    weight, h = torch.tensor([[0.4, -0.5, 0.6, 1.4, 1.6, -2.3]]), torch.tensor([[1, 1, 3, 1, 1, 1]])
    with torch.no_grad():
        fc.weight.copy_(weight)
    book = share_bins(fc, 1.0, h.float())
    torch.testing.assert_close(book.values.detach(), torch.tensor([-2.3, 0.8, 1.6]))
    assert book.indices.tolist() == [[3, 3, 1, 1, 2, 0]], "halves are even, bin 0 is the zero"
    assert fc.weight[0, :2].tolist() == [0, 0]
    with pytest.raises(SharingError, match="width"):
        share_bins(nn.Linear(2, 2), 0.0)


def test_refusals() -> None:
    fc = layer()
    share(fc, 4)
    with pytest.raises(SharingError, match="quantized already"):
        share(fc, 4)
    empty = layer()
    set_mask(empty, torch.zeros(20, 30, dtype=torch.bool))
    with pytest.raises(SharingError, match="all weights are pruned"):
        share(empty, 4)
