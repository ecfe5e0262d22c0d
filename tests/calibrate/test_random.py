"""Random float networks under every kind of configuration: exact, and without threshold tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.calibrate import Config
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    Concat,
    Flatten,
    Function,
    GlobalAvgPool,
    HardTanh,
    MaxPool,
    PRelu,
    Relu,
)

CONFIGS = st.builds(
    Config,
    weight_bits=st.integers(2, 8),
    act_bits=st.integers(2, 8),
    ranges=st.sampled_from(["minmax", "percentile", "mse"]),
    weight_ranges=st.sampled_from([None, "minmax", "percentile", "mse"]),
    percentile=st.sampled_from([99.0, 99.99]),
    per_channel=st.booleans(),
    bias_correction=st.booleans(),
    equalize=st.booleans(),
    rounding=st.sampled_from(["nearest", "second_order"]),
)


def activate(net: Any, x: str) -> str:
    kind = net.rng.integers(6)
    if kind == 3:
        return x
    if kind == 4:
        return net.op(PRelu(), x, net.tensor(net.rng.uniform(0, 0.5, net.shape(x)[0])))
    if kind == 5:
        return net.op(Function("silu"), x)
    return net.op([Relu(), HardTanh(0.0, 6.0), HardTanh(-1.5, 2.0)][kind], x)


def block(net: Any, x: str) -> str:
    """A convolution with what may follow: norms, pools, residuals, concatenations."""
    width = int(net.rng.integers(2, 5))
    y = net.conv(x, width, int(net.rng.choice([1, 3])))
    y = net.norm(y) if net.rng.random() < 0.5 else y
    large = net.shape(y)[1] >= 4
    if large and net.rng.random() < 0.4:
        y = net.op(MaxPool(), y)
    y = activate(net, y)
    large = net.shape(y)[1] >= 4
    kind = net.rng.integers(5)
    if kind == 0:
        y = activate(net, net.op(Add(), y, net.norm(net.conv(y, width))))
    elif kind == 1:
        y = net.op(Concat(), y, activate(net, net.conv(y, 3)))
    elif kind == 2:
        y = net.op(Relu(), net.conv(y, width, groups=width))
    elif kind == 3 and large:
        size = int(net.rng.integers(2, 4))
        y = net.op(AvgPool((size, size), (2, 2), (0, 0, 0, 0)), y)
    return y


def random_network(net: Any) -> tuple[str, ...]:
    """An input, perhaps normalized, some blocks, a linear layer, perhaps the class."""
    scale = [1 / 255, 2.0**-8, None][net.rng.integers(3)]
    x = net.input(int(net.rng.integers(1, 4)), 8, 8, scale=scale)
    if net.rng.random() < 0.4:
        c = net.shape(x)[0]
        x = net.op(Affine(), x, net.tensor(net.rng.uniform(1, 3, c)), net.tensor([-0.4] * c))
    outputs = []
    for _ in range(int(net.rng.integers(1, 4))):
        x = block(net, x)
        if net.rng.random() < 0.15:
            outputs.append(x)
    x = net.op(GlobalAvgPool() if net.rng.random() < 0.5 else Flatten(), x)
    x = net.linear(x, 5, bias=bool(net.rng.integers(2)))
    if net.rng.random() < 0.3:
        return (*outputs, x, net.op(ArgMax(), x))
    return (*outputs, x)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), config=CONFIGS)
def test_random_networks_are_exact(
    new_net: Callable[[int], Any], check: Callable[..., Any], seed: int, config: Config
) -> None:
    net = new_net(seed)
    calibrated, _ = check(net, config, *random_network(net))
    if min(config.weight_bits, config.act_bits) >= 4:  # fewer bits may lose anything
        assert all(loss.sqnr_db > -10 for loss in calibrated.losses), calibrated.table()


@pytest.mark.parametrize("seed", range(3))
def test_more_bits_cost_less(
    new_net: Callable[[int], Any], check: Callable[..., Any], seed: int
) -> None:
    ratios = []
    for bits in ("w2a2", "w4a4", "w6a6", "w8a8"):
        net = new_net(seed)
        x = net.op(Relu(), net.norm(net.conv(net.input(2, 8, 8), 6)))
        x = net.op(Relu(), net.op(Add(), x, net.conv(x, 6)))
        out = net.linear(net.op(Flatten(), x), 5)
        calibrated, _ = check(net, Config.of(bits), out)
        ratios.append(calibrated.losses[-1].sqnr_db)
    assert np.all(np.diff(ratios) > 4), ratios
    assert ratios[-1] > 28
