"""Closed forms against exhaustive search, and the quantizers that use them."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph import Binary, MatMul, Ternary
from hwc.compiler.lower import lower
from hwc.models import QuantInput, capture, quantize_weight, snap
from hwc.models.binary.optimum import binary_scale, ternary
from hwc.models.binary.weights import (
    LossAwareBinary,
    OptimalTernary,
    StochasticBinary,
    TrainedTernary,
    set_importance,
)
from hwc.models.quantize.weight import WeightQuantizer, weight_quantizers


def rows(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(3, n, generator=g, dtype=torch.float64)
    return w, torch.rand(3, n, generator=g, dtype=torch.float64) + 0.05


def least(w: np.ndarray, d: np.ndarray, levels: tuple[int, ...]) -> float:
    """Smallest sum d (w - a b)**2 over all b, each with its own best scale a >= 0."""
    best = float((d * w**2).sum())
    for b in map(np.array, product(levels, repeat=len(w))):
        mass = (d * b * b).sum()
        if mass > 0:
            a = max((d * w * b).sum() / mass, 0)
            best = min(best, float((d * (w - a * b) ** 2).sum()))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_proximal_steps_are_the_optimum_over_all_signs_and_supports(seed: int) -> None:
    for d_is_one in (True, False):
        w, d = rows(8, seed)
        d = torch.ones_like(d) if d_is_one else d
        a2 = binary_scale(w, d)
        a3, threshold = ternary(w, d)
        two = (d * (w - a2 * torch.sign(w)).square()).sum(1)
        kept = (w.abs() >= threshold).double()
        three = (d * (w - a3 * torch.sign(w) * kept).square()).sum(1)
        for i in range(3):
            row, weight = w[i].numpy(), d[i].numpy()
            assert float(two[i]) == pytest.approx(least(row, weight, (-1, 1)))
            assert float(three[i]) == pytest.approx(least(row, weight, (-1, 0, 1)))
        assert bool((three <= two + 1e-12).all())


def test_equal_sizes_stay_together_and_zeros_are_fine() -> None:
    scale, threshold = ternary(torch.tensor([[1.0, -1, 1, 0], [0, 0, 0, 0]]), torch.ones(2, 4))
    assert scale.flatten().tolist() == [1, 0]
    assert float(threshold[0]) == 1


def layer() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(30, 20)


def integers(fc: nn.Linear) -> np.ndarray:
    """What lowering makes of the layer after snapping, which must not change it."""
    net = snap(nn.Sequential(QuantInput(0.25, -8, 7), fc)).double()
    assert torch.equal(net[1].weight, fc.eval().weight.double())  # pyright: ignore
    op = lower(capture(net, torch.zeros(1, 30).double())).graph.nodes[0].op
    assert isinstance(op, MatMul)
    return op.weight.dense()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [LossAwareBinary, OptimalTernary])
def test_layers_become_integers_of_two_and_three_values(
    kind: type[LossAwareBinary | OptimalTernary], per_channel: bool
) -> None:
    fc = quantize_weight(layer(), kind(per_channel))
    dense = integers(fc)
    (Binary if kind is LossAwareBinary else Ternary)(dense)  # refuses anything else
    (quantizer,) = (q for _, q in weight_quantizers(fc))
    assert quantizer.scale.shape == ((20, 1) if per_channel else ())
    if kind is OptimalTernary:
        assert 0.1 < (dense == 0).mean() < 0.6


def test_importance_moves_the_scale_as_the_formula_says() -> None:
    fc = quantize_weight(layer(), LossAwareBinary())
    optimizer = torch.optim.Adam(fc.parameters(), lr=1e-3)
    x = torch.randn(50, 30, generator=torch.Generator().manual_seed(1))
    before = [float(q.scale) for _, q in weight_quantizers(fc)]
    for _ in range(3):
        optimizer.zero_grad()
        fc(x * torch.linspace(0, 4, 30)).square().mean().backward()
        optimizer.step()
        set_importance(optimizer, fc)
    _ = fc.weight  # the forward pass that uses the importance
    (quantizer,) = (q for _, q in weight_quantizers(fc))
    latent = fc.parametrizations["weight"].original  # pyright: ignore
    v = optimizer.state[latent]["exp_avg_sq"] / (1 - 0.999**3)
    d = v.sqrt() + 1e-8
    latent = latent.detach()
    exact = float((d * latent.abs()).sum() / d.sum())
    assert float(quantizer.scale) == pytest.approx(exact, rel=1 / 16)
    plain = float(latent.abs().mean())
    assert abs(exact - plain) > 1e-4 * plain
    assert float(quantizer.scale) == pytest.approx(before[0], rel=0.5)


def test_stochastic_signs_have_the_latent_as_mean_and_evaluation_is_the_sign() -> None:
    latent = torch.tensor([[-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]])
    fc = nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        fc.weight.copy_(latent)
    quantize_weight(fc, StochasticBinary(torch.Generator().manual_seed(0), scale=1.0))
    fc.train()
    drawn = torch.stack([fc.weight.detach() for _ in range(4000)])
    assert set(drawn.unique().tolist()) == {-1, 1}
    torch.testing.assert_close(drawn.mean(0), latent.clamp(-1, 1), atol=0.05, rtol=0)
    fc.weight.sum().backward()
    assert fc.parametrizations["weight"].original.grad.tolist() == [[1] * 6]  # pyright: ignore
    fc.eval()
    assert fc.weight.tolist() == [[-1, -1, 1, 1, 1, 1]]


def test_ttq_gradients_are_those_of_the_paper() -> None:
    fc = layer()
    quantizer = TrainedTernary(fc.weight, share=0.3)
    quantize_weight(fc, quantizer)
    fc.train()
    latent = fc.parametrizations["weight"].original  # pyright: ignore
    g = torch.randn(20, 30, generator=torch.Generator().manual_seed(2))
    (fc.weight * g).sum().backward()
    limit = 0.3 * latent.detach().abs().max()
    up, down = latent.detach() > limit, latent.detach() < -limit
    assert quantizer.positive.grad is not None
    assert quantizer.negative.grad is not None
    torch.testing.assert_close(quantizer.positive.grad, g[up].sum())
    torch.testing.assert_close(quantizer.negative.grad, -g[down].sum())
    expected = torch.where(up, quantizer.positive * g, torch.where(down, quantizer.negative * g, g))
    torch.testing.assert_close(latent.grad, expected.detach())
    with torch.no_grad():
        quantizer.positive.mul_(1.5)
    values = np.unique(integers(fc))
    assert len(values) == 3
    assert values[0] < 0 == values[1] < values[2]
    assert values[2] > 1.2 * -values[0], "two values of their own"


def test_every_quantizer_keeps_what_it_made() -> None:
    """quantize(quantize(w)) = quantize(w): snapping relies on it."""
    for make in (
        lambda w: LossAwareBinary(),
        lambda w: OptimalTernary(),
        lambda w: OptimalTernary(True),
        lambda w: TrainedTernary(w),
    ):
        fc = layer()
        quantizer: WeightQuantizer = make(fc.weight)
        quantize_weight(fc, quantizer)
        once = fc.eval().weight.detach()
        assert torch.equal(quantizer.quantize(once), once)
