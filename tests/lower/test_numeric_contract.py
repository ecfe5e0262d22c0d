"""The statements of docs/numerics.md, each on values where another rule would give another integer.

Inputs are raw integers of scale 1, so that the numbers below are the real values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import MultiThreshold, Requant, run
from hwc.compiler.lower import lower
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Bipolar,
    Conv,
    Function,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Multiply,
    Quant,
    Softmax,
    TopK,
)
from hwc.compiler.source.rounding import round_exact
from hwc.compiler.source.shares import Codes, shares
from hwc.models.hashing import hash32

Check = Callable[..., Any]
HALVES = np.array([-5, -3, -2, -1, 0, 1, 2, 3, 5])  # of scale 1/2: ties at the odd ones
MODES = {
    "half_even": [-2, -2, -1, 0, 0, 0, 1, 2, 2],
    "half_up": [-2, -1, -1, 0, 0, 1, 1, 2, 3],
    "half_from_zero": [-3, -2, -1, -1, 0, 1, 1, 2, 3],
    "half_to_zero": [-2, -1, -1, 0, 0, 0, 1, 1, 2],
    "floor": [-3, -2, -1, -1, 0, 0, 1, 1, 2],
    "ceil": [-2, -1, -1, 0, 0, 1, 1, 2, 3],
    "to_zero": [-2, -1, -1, 0, 0, 0, 1, 1, 2],
    "from_zero": [-3, -2, -1, -1, 0, 1, 1, 2, 3],
}


def integers(net: Any, output: str, *inputs: Any) -> np.ndarray:
    """What the integer graph gives for these raw inputs, as real values of the output."""
    source = net.source(output)
    lowered = lower(source)
    feed = {i.name: np.asarray(x) for i, x in zip(source.inputs, inputs, strict=True)}
    (reading,) = lowered.outputs
    codes = run(lowered.graph, lowered.encode(feed))[reading.node]
    return reading.decode(codes)


@pytest.mark.parametrize("mode", MODES)
def test_rounding(net: Any, mode: str) -> None:
    x = net.input(1, scale=0.5, lo=-8, hi=7)
    y = net.op(Quant(-8, 7, rounding=mode), x, net.tensor(1.0))
    assert integers(net, y, HALVES[:, None]).ravel().tolist() == MODES[mode]
    assert [round_exact(Fraction(int(h), 2), mode) for h in HALVES] == MODES[mode]


def test_sign_operators_are_zero_at_zero(net: Any) -> None:
    x = net.input(1, scale=1.0, lo=-2, hi=2)
    y = net.op(Quant(-1, 1, rounding="from_zero"), x, net.tensor(1.0))
    assert integers(net, y, np.arange(-2, 3)[:, None]).ravel().tolist() == [-1, -1, 0, 1, 1]


def test_a_pole_saturates(net: Any) -> None:
    """1/x in eighths, half to even: 8/3, 8/5, 8/6 round up, up, down; log(x) below 0 and above."""
    x = net.input(1, scale=1.0, lo=0, hi=7)
    codes = np.arange(8)[:, None]
    y = net.quant(net.op(Function("reciprocal"), x), 0, 7, 1 / 8)
    assert (integers(net, y, codes).ravel() * 8).tolist() == [7, 7, 4, 3, 2, 2, 1, 1]
    y = net.quant(net.op(Function("log"), x), -3, 3, 1 / 2)
    assert (integers(net, y, codes).ravel() * 2).tolist() == [-3, 0, 1, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("levels", [3, 15, 255])
def test_saturation(net: Any, levels: int) -> None:
    """Beyond the last code every value stays there; nothing wraps."""
    hi = levels // 2
    x = net.input(1, scale=1.0, lo=-(2**20), hi=2**20)
    y = net.quant(x, -hi, hi)
    got = integers(net, y, np.array([[-(2**20)], [-hi - 1], [-hi], [hi], [hi + 1], [2**20]]))
    assert got.ravel().tolist() == [-hi, -hi, -hi, hi, hi, hi]


def test_the_sign_of_zero_is_plus(net: Any) -> None:
    x = net.input(1, scale=1.0, lo=-2, hi=2)
    y = net.op(Bipolar(), x, net.tensor(1.0))
    assert integers(net, y, [[-1], [0], [1]]).ravel().tolist() == [-1, 1, 1]


@pytest.mark.parametrize(
    ("gamma", "wanted"), [(2.0, [-1, 1, 1]), (-2.0, [1, 1, -1]), (0.0, [1] * 3)]
)
def test_a_batch_norm_of_any_sign_is_a_comparison(net: Any, gamma: float, wanted: Any) -> None:
    """Negative: the comparison turns, and equality still counts as plus. Zero: beta decides."""
    x = net.input(1, scale=1.0, lo=-2, hi=2)
    one = [1.0]
    norm = net.op(BatchNorm(0.0), x, *map(net.tensor, ([gamma], [0.0], [0.0], one)))
    y = net.op(Bipolar(), norm, net.tensor(1.0))
    assert integers(net, y, [[-1], [0], [1]]).ravel().tolist() == wanted


def test_padding_of_signs_is_zero(net: Any) -> None:
    """A padded place of a +-1 activation counts as 0, neither of the two."""
    x = net.input(1, 3, scale=1.0, lo=-2, hi=2)
    signs = net.op(Bipolar(), x, net.tensor(1.0))
    y = net.op(Conv((1,), (1, 1), (1,)), signs, net.tensor(np.ones((1, 1, 3))))
    assert integers(net, y, [[[1, 1, 1]], [[-1, 1, -1]]]).tolist() == [[[2, 3, 2]], [[0, -1, 0]]]


def test_padding_never_wins_a_maximum(net: Any) -> None:
    x = net.input(1, 2, scale=1.0, lo=-8, hi=7)
    y = net.op(MaxPool((2,), (1,), (1, 1), (1,)), x)
    assert integers(net, y, [[[-5, -7]]]).tolist() == [[[-5, -5, -7]]]


@pytest.mark.parametrize(("include", "wanted"), [(True, [0, 2, 2]), (False, [1, 2, 3])])
def test_means_are_divided_exactly_and_rounded_once(net: Any, include: bool, wanted: Any) -> None:
    """Sums are exact; the division belongs to the next quantizer, ties to even. Padding counts as
    zeros with count_include_pad, else not at all."""
    x = net.input(1, 2, scale=1.0, lo=0, hi=7)
    pool = net.op(AvgPool((2,), (1,), (1, 1), include), x)
    y = net.quant(pool, 0, 7)
    assert integers(net, y, [[[1, 3]]]).ravel().tolist() == wanted  # 1/2, 2, 3/2 or 1, 2, 3


def test_a_global_mean_rounds_its_ties_to_even(net: Any) -> None:
    x = net.input(1, 3, 2, scale=1.0, lo=0, hi=7)
    y = net.quant(net.op(GlobalAvgPool(), x), 0, 7)
    sums = [3, 9, 15, 14]
    frames = np.array(
        [[[[min(s, 7), 0], [max(min(s - 7, 7), 0), 0], [max(s - 14, 0), 0]]] for s in sums]
    )
    assert frames.sum(axis=(1, 2, 3)).tolist() == sums
    assert integers(net, y, frames).ravel().tolist() == [0, 2, 2, 2]  # 1/2, 3/2, 5/2, 7/3


def test_a_softmax_is_one_of_integers(net: Any) -> None:
    """Three codes 0, 1, 3 of scale 1/2, in 1024ths; and a tie, which goes up."""
    x = net.input(3, scale=0.5, lo=0, hi=7)
    y = net.quant(net.op(Softmax(), x), 0, 1024, 1 / 1024)
    e = [round(math.exp(-d / 2) * 65536) for d in (3, 2, 0)]
    assert e == [14623, 24109, 65536]
    want = [(2048 * v // sum(e) + 1) // 2 for v in e]
    got = integers(net, y, np.array([[0, 1, 3], [5, 5, 5]])) * 1024
    assert got.tolist() == [want, [341, 341, 341]]
    tie = np.array([[0.0] * 2048])  # every share is half of 1/1024
    assert shares(tie, Codes(1.0, 1)).tolist() == [[1 / 1024] * 2048]


def test_ties_of_a_comparison_go_to_the_lowest_index(net: Any, new_net: Any) -> None:
    x = net.input(4, scale=1.0, lo=-8, hi=7)
    y = net.op(ArgMax(), x)
    assert integers(net, y, [[1, 3, 3, 2], [0, 0, 0, 0]]).ravel().tolist() == [1, 0]
    other = new_net(0)
    z = other.op(TopK(3), other.input(4, scale=1.0, lo=-8, hi=7))
    assert integers(other, z, [[3, 1, 3, 1]]).tolist() == [[0, 2, 1]]


def test_a_sum_of_two_scales_is_exact_before_it_is_rounded_once(net: Any) -> None:
    """1/2 + 1/4 + 3/4: rounding the summands first would give 1."""
    a = net.input(1, scale=0.5, lo=-8, hi=7)
    b = net.input(1, scale=0.25, lo=-8, hi=7)
    y = net.quant(net.op(Add(), a, b), -8, 7)
    assert integers(net, y, [[1], [1], [-1]], [[0], [1], [0]]).ravel().tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "scale", [Fraction(1, 4), Fraction(3, 8), Fraction(1, 3), Fraction(37, 100)]
)
def test_rescaling_is_exact_for_every_sum(net: Any, scale: Fraction) -> None:
    """A multiplier only where it gives what rounding the float64 scale's rational gives, for all
    sums that can occur; else thresholds."""
    x = net.input(1, scale=1.0, lo=-1000, hi=1000)
    step = float(1 / scale)
    y = net.quant(x, -127, 127, step)
    raw = np.arange(-1000, 1001)[:, None]
    got = integers(net, y, raw).ravel() / step
    exact = [max(-127, min(127, round(Fraction(int(v)) / Fraction(step)))) for v in raw.ravel()]
    np.testing.assert_array_equal(np.rint(got).astype(int), exact)
    graph = lower(net.source(y)).graph
    assert any(isinstance(n.op, (Requant, MultiThreshold)) for n in graph.nodes)


def test_a_bias_off_the_grid_moves_thresholds_not_sums(net: Any) -> None:
    """2 x + 0.3 rounds at x = 0.1, 0.6 ...: no bias is rounded to the grid of the sums."""
    x = net.input(1, scale=0.25, lo=-8, hi=7)
    fc = net.op(Linear(), x, net.tensor([[1.0]]), net.tensor([0.3]))
    y = net.quant(fc, -8, 7, 0.5)
    raw = np.arange(-8, 8)
    exact = [round((Fraction(int(v), 4) + Fraction(0.3)) * 2) for v in raw]
    assert (integers(net, y, raw[:, None]).ravel() * 2).tolist() == exact


def test_a_product_is_exact_before_it_is_rounded_once(net: Any) -> None:
    """1.5 * -0.5 in quarters; and 0.75 * 0.5, a tie between one and two of them."""
    x, z = (net.quant(net.input(1, scale=0.25, lo=-8, hi=7), 0, 15, s, 5) for s in (0.75, 0.5))
    y = net.quant(net.op(Multiply(), x, z), -64, 63, 0.25)
    raw = np.array([[6], [3]]), np.array([[-2], [2]])
    assert integers(net, y, *raw).ravel().tolist() == [-0.75, 0.5]


def test_constants_count_as_the_floats_they_are(net: Any) -> None:
    """0.1 in a file is the nearest float64, a little above 1/10; so 5 * 0.1 is above a half."""
    x = net.input(1, scale=1.0, lo=-8, hi=7)
    y = net.quant(net.op(Affine(), x, net.tensor(0.1), net.tensor(0.0)), -8, 7)
    above = Fraction(0.1) * 5 > Fraction(1, 2)
    assert above
    assert integers(net, y, [[5], [-5], [4]]).ravel().tolist() == [1, -1, 0]


def test_the_hash_of_random_choices() -> None:
    """A function of seed and number alone; the figures are those of the formula in the page."""

    def formula(x: int) -> int:
        for factor, shift in ((0x7FEB352D, 15), (0x846CA68B, 16)):
            x ^= x >> 16
            x = x * factor % 2**32
            x ^= x >> shift
        return x

    numbers = np.array([0, 1, 2**32 - 1])
    assert hash32(numbers, 7).tolist() == [formula(int(n) ^ 7) for n in numbers]
    assert hash32(numbers[1:], 0).tolist() == [0xEF234093, 0x9F0F94F3]


def test_every_statement_has_its_test() -> None:
    """Names in brackets in the page are tests of this file, and all of them are named."""
    page = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_every_statement_has_its_test"
    }
    assert named == here
