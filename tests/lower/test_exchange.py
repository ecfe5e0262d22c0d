"""Channels that are exchanged while each still has a scale or an offset of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Requant
from hwc.compiler.lower import LowerError
from hwc.compiler.source import (
    Affine,
    ArgMax,
    Conv,
    HardTanh,
    PRelu,
    Relu,
    Reshape,
    Transpose,
)

Check = Callable[..., Any]

SCALES = {"one scale": 0.25, "a scale each": [0.25, 0.5, 0.75, 0.125, 1.0, 0.25]}


def sums(net: Any, scale: Any = 0.25, bias: Any = None) -> str:
    """A convolution of kernel 1 with six channels and biases of their own."""
    bias = [0.5, -1.25, 3.0, 0.0, 0.25, -7.5] if bias is None else bias
    x = net.input(2, 3, 4, scale=0.125, lo=-8, hi=7)
    return net.op(Conv(), x, net.weight(6, 2, 1, 1, scale=scale), net.tensor(bias))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("op", [Transpose((3, 1, 2)), Reshape((2, 9, 4)), Reshape((3, 2, 3, 4))])
def test_exact_whatever_the_channels_had(net: Any, check: Check, scale: str, op: Any) -> None:
    y = net.op(op, sums(net, SCALES[scale]))
    lowered = check(net, y, net.quant(y, -16, 15, 0.3))
    (reading,) = (r for r in lowered.outputs if r.source == y)
    assert len(set(reading.slope)) == len(set(reading.offset)) == 1
    assert sum(isinstance(n.op, Requant) for n in lowered.graph.nodes) >= 1


def test_negative_and_zero_scales(net: Any, check: Check) -> None:
    factors, shifts = [1.0, -2.0, 0.0, 0.5, 0.0, -0.25], [0.0, 1.0, 0.375, 0.0, -2.0, 0.125]
    x = net.op(Affine(), sums(net), net.tensor(factors), net.tensor(shifts))
    y = net.op(Transpose((2, 1, 3)), x)
    check(net, y, net.op(ArgMax(), y))


def test_clips_and_leaks_that_all_channels_share_stay_behind(net: Any, check: Check) -> None:
    x = sums(net, SCALES["a scale each"])
    for op, args in ((Relu(), ()), (HardTanh(-0.3, 0.7), ()), (PRelu(), (net.tensor(0.25),))):
        moved = net.op(Reshape((2, 3, 3, 4)), net.op(op, x, *args))
        check(net, moved, net.quant(moved, -8, 7, 0.1))


def test_slopes_of_their_own_are_refused(net: Any) -> None:
    x = net.op(PRelu(), sums(net), net.tensor(np.arange(6) / 8))
    with pytest.raises(LowerError, match="would come from several channels"):
        net.lower(net.op(Reshape((3, 2, 3, 4)), x))


def test_integers_too_wide_to_be_exchanged_are_refused(net: Any) -> None:
    x = sums(net, bias=[1 / 3, 1 / 7, 1 / 11, 1 / 13, 1 / 17, 1 / 19])
    with pytest.raises(LowerError, match="would come from several channels"):
        net.lower(net.op(Reshape((3, 2, 3, 4)), x))
