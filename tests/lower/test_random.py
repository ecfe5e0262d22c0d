"""Random networks: every value exact in rationals, every code equal to float64 evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.lower import Lowered, agree, lower
from hwc.compiler.source import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Bipolar,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Linear,
    MaxPool,
    Relu,
)

Check = Callable[..., Lowered]
NewNet = Callable[[int], Any]


def scales(net: Any, count: int, dyadic: bool) -> np.ndarray:
    """Positive scales: a few dyadic numbers, so that ties occur, or any floats."""
    if dyadic:
        return net.rng.choice([0.25, 0.5, 0.75, 1.0], count)
    return net.rng.uniform(0.02, 0.3, count)


def normalize(net: Any, x: str, channels: int, dyadic: bool) -> str:
    """A batch-norm or an affine function with slopes of both signs and zero."""
    if net.rng.random() < 0.5 and not dyadic:
        gamma, beta, mean = net.rng.normal(size=(3, channels))
        gamma[net.rng.random(channels) < 0.1] = 0
        var = net.rng.uniform(0.2, 2, channels)
        return net.op(BatchNorm(), x, *(net.tensor(v) for v in (gamma, beta, mean, var)))
    slope = net.rng.choice([-1, -0.5, 0, 0.5, 1, 2], channels, p=[0.1, 0.1, 0.05, 0.25, 0.25, 0.25])
    shift = net.rng.integers(-8, 9, channels) / 4
    return net.op(Affine(), x, net.tensor(slope), net.tensor(shift))


def activate(net: Any, x: str, dyadic: bool) -> str:
    """An optional clip, then a quantizer of 1 to 8 bits."""
    kind = net.rng.integers(4)
    if kind == 0:
        return net.op(Bipolar(), x, net.tensor(scales(net, 1, dyadic)[0]))
    if kind == 1:
        x = net.op(Relu(), x)
    if kind == 2:
        x = net.op(HardTanh(-1.5, 2.0), x)
    bits, zero = int(net.rng.integers(1, 9)), int(net.rng.integers(0, 2))
    lo = 0 if net.rng.random() < 0.6 else -(2 ** (bits - 1))
    return net.quant(x, lo, lo + 2**bits - 1, scales(net, 1, dyadic)[0], zero * (lo == 0))


def convolution(net: Any, x: str, inputs: int, outputs: int, dyadic: bool, stride: int = 1) -> str:
    """A 3x3, 1x1 or grouped convolution of the same size for stride 1."""
    kernel = int(net.rng.choice([1, 3]))
    groups = 2 if inputs % 2 == 0 and outputs % 2 == 0 and net.rng.random() < 0.3 else 1
    per_channel = net.rng.random() < 0.5
    scale = scales(net, outputs if per_channel else 1, dyadic)
    shape = (outputs, inputs // groups, kernel, kernel)
    weight = net.weight(*shape, top=3, scale=scale if per_channel else scale[0])
    bias = [net.tensor(net.rng.normal(size=outputs))] if net.rng.random() < 0.3 else []
    pad = kernel // 2
    return net.op(Conv((stride, stride), (pad,) * 4, (1, 1), groups), x, weight, *bias)


def random_network(net: Any, dyadic: bool) -> tuple[str, ...]:
    """A few blocks with residuals, concatenations and pools, then a linear layer."""
    channels = int(net.rng.integers(1, 4))
    x = activate(net, net.input(channels, 6, 6, scale=1 / 64, lo=-128, hi=127), dyadic)
    outputs = []
    for _ in range(2):
        width = int(net.rng.integers(2, 5))
        stride = int(net.rng.integers(1, 3)) if net.source(x).shapes[x][1] > 4 else 1
        y = normalize(net, convolution(net, x, channels, width, dyadic, stride), width, dyadic)
        large = net.source(y).shapes[y][1] >= 3
        if large and net.rng.random() < 0.3:
            y = net.op(MaxPool((2, 2), (1, 1), (0, 1, 1, 0)), y)
        elif large and net.rng.random() < 0.3:
            y = net.op(AvgPool((3, 3), (1, 1), (0, 0, 0, 0)), y)
        if net.rng.random() < 0.3:
            outputs.append(y)
        x, channels = activate(net, y, dyadic), width
        kind = net.rng.integers(3)
        if kind == 0:  # a residual with a scale shared or in a ratio of small integers
            scale = 0.25 if dyadic else 0.07
            y = net.quant(convolution(net, x, channels, channels, dyadic), -8, 7, 2 * scale)
            s = net.op(Add(), net.quant(x, -8, 7, scale), y)
            x = activate(net, net.op(Relu(), s), dyadic)
        if kind == 1:
            y = normalize(net, convolution(net, x, channels, 2, dyadic), 2, dyadic)
            x = net.quant(net.op(Concat(), x, y), -8, 7, scales(net, 1, dyadic)[0])
            channels += 2
    head = net.op(GlobalAvgPool() if net.rng.random() < 0.5 else Flatten(), x)
    features = net.source(head).shapes[head][0]
    return (*outputs, net.op(Linear(), head, net.weight(3, features)))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dyadic=st.booleans())
def test_random_networks_are_exact(new_net: NewNet, check: Check, seed: int, dyadic: bool) -> None:
    net = new_net(seed)
    check(net, *random_network(net, dyadic), batch=3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dyadic=st.booleans())
def test_random_networks_agree_in_float64(new_net: NewNet, seed: int, dyadic: bool) -> None:
    net = new_net(seed)
    source = net.source(*random_network(net, dyadic))
    report = agree(source, lower(source), net.samples(source, 32))
    # Other scales round in float64, and a sum that cancels exactly may come out beside 0.
    assert report.activation_rate <= (0 if dyadic else 0.01), str(report)
    assert report.differing == 0 or not dyadic, str(report)
