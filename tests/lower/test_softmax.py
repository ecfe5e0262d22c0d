"""A softmax between quantizers: integers, in exact arithmetic, and close to the real one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Ratio, run
from hwc.compiler.lower import Lowered, LowerError, lower
from hwc.compiler.source import (
    Affine,
    ArgMax,
    Conv,
    Flatten,
    Linear,
    Relu,
    Reshape,
    Softmax,
    Transpose,
    evaluate,
)
from hwc.compiler.source.shares import Codes, codes_before, exponentials, shares

Check = Callable[..., Lowered]


def logits(net: Any, classes: int = 5, bits: int = 8) -> str:
    y = net.op(Linear(), net.input(6, scale=1 / 8, lo=-40, hi=40), net.weight(classes, 6))
    half = 1 << bits - 1
    return net.quant(y, -half, half - 1, 16 / half)


@pytest.mark.parametrize(("classes", "bits"), [(1, 8), (2, 4), (5, 8), (7, 10)])
def test_flat(net: Any, check: Check, classes: int, bits: int) -> None:
    soft = net.op(Softmax(), logits(net, classes, bits))
    lowered = check(net, net.quant(soft, 0, 255, 1 / 256), soft, batch=40)
    assert sum(isinstance(n.op, Ratio) for n in lowered.graph.nodes) == 1


def test_of_raw_integers_with_a_zero_point(net: Any, check: Check) -> None:
    """What is added to all alike does not matter to a softmax."""
    x = net.op(Affine(), net.input(6, scale=1 / 16), net.tensor(1.0), net.tensor(-7 / 16))
    soft = net.op(Softmax(), x)
    lowered = check(net, net.quant(soft, 0, 255, 1 / 256), soft, batch=40)
    assert sum(isinstance(n.op, Ratio) for n in lowered.graph.nodes) == 1
    for scale, shift in ((2.0, 0.0), (1.0, [1.0, 0, 0, 0, 0, 0])):
        y = net.op(Softmax(), net.op(Affine(), x, net.tensor(scale), net.tensor(shift)))
        with pytest.raises(LowerError, match="put a Quant of one scale"):
            net.lower(net.quant(y, 0, 255, 1 / 256))


def test_over_the_channels_of_a_map(net: Any, check: Check) -> None:
    x = net.quant(net.op(Conv((1, 1)), net.input(3, 4, 2), net.weight(5, 3, 1, 1)), -8, 7, 1 / 8)
    soft = net.op(Softmax(), x)
    y = net.quant(
        net.op(Conv((1, 1)), net.quant(soft, 0, 15, 1 / 16), net.weight(2, 5, 1, 1)), -8, 7
    )
    check(net, y, soft)


def test_of_a_flattened_map_in_another_order(net: Any, check: Check) -> None:
    """The graph keeps its own order of the elements; the result has the same."""
    x = net.quant(net.op(Conv((1, 1)), net.input(2, 3, 2), net.weight(3, 2, 1, 1)), -8, 7, 1 / 4)
    soft = net.quant(net.op(Softmax(), net.op(Flatten(), x)), 0, 255, 1 / 256)
    check(net, net.op(Linear(), soft, net.weight(2, 18)), soft)
    moved = net.op(Transpose((2, 1, 3)), net.op(Reshape((3, 6, 1)), x))
    check(net, net.quant(net.op(Softmax(), moved), 0, 255, 1 / 256))


def test_of_a_raw_input_and_what_may_follow(net: Any, check: Check) -> None:
    soft = net.op(Softmax(), net.input(4, scale=1 / 32, lo=0, hi=255))
    line = net.op(Affine(), soft, net.tensor([2.0, -1, 0.3, 1]), net.tensor(-0.25))
    check(net, net.quant(net.op(Relu(), line), 0, 255, 1 / 128), batch=40)


def test_the_definition_in_plain_integers() -> None:
    """Every element on its own, with nothing of the implementation."""
    codes = Codes(0.125, 30)
    rng = np.random.default_rng(0)
    for x in rng.integers(-15, 16, (200, 4)):
        e = [round(math.exp(-0.125 * int(max(x) - v)) * 65536) for v in x]
        want = [math.floor(Fraction(v * 1024, sum(e)) + Fraction(1, 2)) for v in e]
        got = shares(x[None] * 0.125, codes)[0] * 1024
        assert got.tolist() == want


def test_close_to_the_real_one() -> None:
    """Half a step of 2**-10, and what the rounded exponentials may add."""
    codes, rng = Codes(1 / 16, 255), np.random.default_rng(1)
    x = rng.integers(-128, 128, (2000, 10)) / 16
    e = np.exp(x)
    error = np.abs(shares(x, codes) - e / e.sum(1, keepdims=True)).max()
    assert 2**-12 < error < 2**-11 + 11 * 2**-17
    assert shares(x, codes).max() == 1


def test_exponentials_fall_from_one() -> None:
    e = exponentials(Codes(0.1, 255))
    assert e[0] == 1 << 16
    assert all(a >= b for a, b in itertools.pairwise(e))
    assert e[-1] == 0


def test_real_numbers_at_the_end(net: Any) -> None:
    """The host computes what only an output or a comparison reads."""
    soft = net.op(Softmax(), logits(net))
    source = net.source(soft, net.op(ArgMax(), soft))
    assert codes_before(source, source.node(soft)) is None
    lowered, x = lower(source), net.samples(source, 10)
    codes = run(lowered.graph, lowered.encode(x))
    for reading in lowered.outputs:
        np.testing.assert_allclose(
            reading.decode(codes[reading.node]), evaluate(source, x)[reading.source]
        )


@pytest.mark.parametrize("why", ["wide", "per channel", "not a code"])
def test_what_has_no_table(net: Any, why: str) -> None:
    x = logits(net, bits=11 if why == "wide" else 8)
    if why == "per channel":
        x = net.quant(x, -8, 7, np.array([1, 2, 1, 1, 1]))
    if why == "not a code":
        x = net.op(Relu(), x)
    with pytest.raises(LowerError, match="put a Quant of one scale and at most 10 bits"):
        net.lower(net.quant(net.op(Softmax(), x), 0, 255, 1 / 256))
