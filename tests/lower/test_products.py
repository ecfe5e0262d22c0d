"""Products of two activations in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Multiply as IntegerMultiply
from hwc.compiler.lower import Lowered, LowerError
from hwc.compiler.source import (
    Affine,
    Bipolar,
    Conv,
    Flatten,
    Function,
    GlobalAvgPool,
    Linear,
    Multiply,
    Relu,
    Reshape,
    Upsample,
)

Check = Callable[..., Lowered]


def codes(net: Any, zero: int = 0, lo: int = -8, hi: int = 7, scale: Any = 0.3) -> str:
    y = net.op(Linear(), net.input(6, scale=1 / 8, lo=-40, hi=40), net.weight(4, 6))
    return net.quant(y, lo, hi, scale, zero)


def test_scales_multiply(net: Any, check: Check) -> None:
    y = net.op(Multiply(), codes(net), codes(net, lo=0, hi=15, scale=0.7))
    lowered = check(net, net.quant(y, -8, 7, 1.1), net.quant(y, -128, 127, 0.037), y, batch=40)
    assert sum(isinstance(n.op, IntegerMultiply) for n in lowered.graph.nodes) == 1


@pytest.mark.parametrize("scale", [0.3, [0.3, 0.1, 0.25, 1.0]])
def test_zero_points_and_scales_of_channels(net: Any, check: Check, scale: Any) -> None:
    y = net.op(Multiply(), codes(net, 3, 0, 15, scale), codes(net, -2))
    check(net, net.quant(net.op(Relu(), y), 0, 255, 0.05), batch=40)


def test_squares_and_signs(net: Any, check: Check) -> None:
    x = codes(net)
    sign = net.op(Bipolar(), codes(net), net.tensor(0.5))
    signs = net.op(Multiply(), sign, net.op(Bipolar(), x, net.tensor(1.0)))
    lowered = check(net, net.quant(net.op(Multiply(), x, x), 0, 15, 0.4), signs, batch=40)
    assert lowered.graph.types[signs].bipolar
    check(net, net.quant(net.op(Multiply(), sign, x), -8, 7, 0.2), batch=20)


def test_a_gate_for_each_channel_of_a_map(net: Any, check: Check) -> None:
    """Squeeze and excitation, quantized: mean, sigmoid, repeated, multiplied."""
    x = net.quant(net.op(Conv((1, 1)), net.input(3, 4, 2), net.weight(5, 3, 1, 1)), -8, 7, 1 / 4)
    mean = net.quant(net.op(GlobalAvgPool(), x), -128, 127, 1 / 64)
    gate = net.quant(net.op(Function("sigmoid"), mean), 0, 15, 1 / 16)
    full = net.op(Upsample((4, 2)), net.op(Reshape((5, 1, 1)), gate))
    check(net, net.quant(net.op(Multiply(), x, full), -8, 7, 1 / 5), batch=10)


def test_flattened_maps_of_other_orders(net: Any, check: Check) -> None:
    flat = net.op(Flatten(), net.quant(net.input(2, 3, 2), 0, 15, 1 / 16))
    row = net.quant(net.input(12), 0, 15, 1 / 16)
    check(net, net.quant(net.op(Multiply(), flat, row), 0, 15, 1 / 16), batch=20)


def shifted(net: Any) -> str:
    return net.op(Affine(), codes(net), net.tensor(1.0), net.tensor(0.1))


def constant(net: Any) -> str:
    """Three of four channels are 1, whatever their code."""
    return net.op(Affine(), codes(net), net.tensor(np.eye(4)[0]), net.tensor(1.0))


@pytest.mark.parametrize(
    ("operand", "message"),
    [
        (shifted, r"a product of codes needs real 0 .* put a Quant directly"),
        (constant, "a product of codes needs real 0 at an integer code"),
        (lambda net: net.op(Function("tanh"), codes(net)), r"is bent .* put a Quant after it"),
    ],
)
def test_operands_that_are_no_codes_are_refused(net: Any, operand: Any, message: str) -> None:
    with pytest.raises(LowerError, match=message):
        net.lower(net.op(Multiply(), operand(net), codes(net)))
