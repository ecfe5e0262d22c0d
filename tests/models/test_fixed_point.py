"""Power-of-two weights, and 16-bit training with stochastic rounding."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph import MatMul, PowerOfTwo
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import lower
from hwc.models import QuantInput, capture, quantize_weight, snap
from hwc.models.quantize.fixed_signals import fixed_signals
from hwc.models.quantize.power_of_two import PowerOfTwoWeight, nearest_power
from hwc.models.quantize.stochastic import Fixed, FixedSGD, random_bits
from hwc.models.quantize.weight import weight_quantizers


@pytest.mark.parametrize("log", [False, True])
def test_the_nearest_power_by_search(log: bool) -> None:
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    powers = [0.0] + [s * 2.0**e for e in range(4) for s in (1, -1)]
    got = nearest_power(x, 4, log)
    for v, g in zip(x.tolist(), got.tolist(), strict=True):
        if not log:
            best = min(abs(v - p) for p in powers)
            assert abs(v - g) <= best + 1e-12
        elif abs(v) < 2**-0.5:
            assert g == 0
        else:
            near = min(powers[1:], key=lambda p: abs(math.log2(abs(v) / abs(p))) + 99 * (v * p < 0))
            assert g == near
    assert nearest_power(torch.tensor([1.5, 0.5, -1.5, 3.0, -0.49, 99]), 3).tolist() == [
        2, 1, -2, 4, 0, 4,
    ]  # fmt: skip


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("log", [False, True])
def test_power_of_two_layers_become_powers_of_two(bits: int, log: bool) -> None:
    torch.manual_seed(bits)
    fc = quantize_weight(nn.Linear(30, 20), PowerOfTwoWeight(bits, log=log))
    fc.eval()
    (quantizer,) = (q for _, q in weight_quantizers(fc))
    codes = fc.weight.detach() / quantizer.scale
    assert set(codes.abs().unique().tolist()) <= {0, *(2**e for e in range(2 ** (bits - 1) - 1))}
    net = snap(nn.Sequential(QuantInput(0.25, -8, 7), fc)).double()
    assert torch.equal(net[1].weight, fc.weight.double()), "no change"  # pyright: ignore
    product = lower(capture(net, torch.zeros(1, 30).double())).graph.nodes[0].op
    assert isinstance(product, MatMul)
    PowerOfTwo(product.weight.dense())  # refuses anything else
    fc.train()
    fc.weight.sum().backward()
    assert fc.parametrizations["weight"].original.grad.abs().sum() > 0  # pyright: ignore
    with pytest.raises(HwcError, match=r"bits must be 2\.\.4, got 5"):
        PowerOfTwoWeight(5)


def test_random_bits_are_pure_even_and_independent() -> None:
    shape = torch.Size((100, 200))
    a = random_bits(shape, 1, 2, 3)
    assert torch.equal(a, random_bits(shape, 1, 2, 3))
    assert torch.equal(a[:50], random_bits(torch.Size((50, 200)), 1, 2, 3)), "by element alone"
    assert 0 <= int(a.min())
    assert int(a.max()) < 2**24
    assert float(a.double().mean() / 2**24) == pytest.approx(0.5, abs=0.01)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        b = random_bits(shape, *other)
        both = np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1]
        assert abs(both) < 0.03
    neighbours = np.corrcoef(a.flatten()[:-1].numpy(), a.flatten()[1:].numpy())[0, 1]
    assert abs(neighbours) < 0.03


def test_fixed_point_rounds_and_saturates() -> None:
    fixed = Fixed(2, 2)
    x = torch.tensor([0.125, 0.375, -0.125, 5.0, -5.0, 1.8, 0.25])
    assert fixed.nearest(x).tolist() == [0, 0.5, 0, 1.75, -2, 1.75, 0.25]
    n = torch.full((20000,), 0.3)
    up = fixed.stochastic(n, random_bits(n.shape, 0, 0, 0))
    assert set(up.tolist()) == {0.25, 0.5}
    assert float(up.double().mean()) == pytest.approx(0.3, abs=0.003), "unbiased"
    exact = torch.tensor([0.25, -0.5, 0.0])
    for bits in (0, 2**24 - 1):
        assert torch.equal(fixed.stochastic(exact, torch.full((3,), bits)), exact)
    with pytest.raises(HwcError, match="24 or fewer in all, got 20 and 12"):
        Fixed(20, 12)


def test_small_updates_survive_only_stochastic_rounding() -> None:
    """Each update is a tenth of a step: to nearest nothing ever moves."""
    ends = {}
    for stochastic in (False, True):
        w = nn.Parameter(torch.zeros(500))
        optimizer = FixedSGD([w], 2.0**-12, Fixed(4, 8), seed=5, stochastic=stochastic)
        for _ in range(160):
            w.grad = torch.full_like(w, -1.6)
            optimizer.step()
        ends[stochastic] = w.detach()
    assert not ends[False].any()
    grads = 160 * 1.6 * 2.0**-12
    assert float(ends[True].mean()) == pytest.approx(grads, rel=0.1)
    codes = ends[True] * 256
    assert torch.equal(codes, codes.round()), "weights stay on the grid"


def test_signals_are_rounded_on_both_ways_while_training() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(5, 7), nn.Linear(7, 3)
    net = nn.Sequential(first, nn.ReLU(), second)
    forward, back = Fixed(8, 4), Fixed(8, 6)
    x, g = torch.rand(20, 5), torch.rand(20, 3)
    plain = net(x)
    with fixed_signals(net, [first, second], forward, back, seed=3, stochastic=False):
        made = net.train()(x)
        made.backward(g)
        middle = forward.nearest(first(x))
        assert torch.equal(made, forward.nearest(second(torch.relu(middle))))
        error = back.nearest(g)
        torch.testing.assert_close(second.weight.grad, error.T @ torch.relu(middle))
        entering = back.nearest((error @ second.weight) * (middle > 0))
        torch.testing.assert_close(first.weight.grad, entering.T @ x)
        assert torch.equal(net.eval()(x), plain), "nothing is rounded outside of training"
    assert torch.equal(net.train()(x), plain), "nor afterwards"
    with fixed_signals(net, [first, second], forward, back, seed=3):
        one, two = net(x), net(x)
    with fixed_signals(net, [first, second], forward, back, seed=3):
        again = net(x)
    assert not torch.equal(one, two)
    assert torch.equal(one, again), "a function of seed, layer, step and element"
    assert ((one * 16) % 1 == 0).all()
