"""Quantizers as thresholds and multiply-shifts, against rational arithmetic on every code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import MultiThreshold, Quantizer, Requant, Type
from hwc.compiler.lower.exact import vector
from hwc.compiler.lower.multiply import MULTIPLIER_BITS, find_requant, quantize
from hwc.compiler.lower.quantize import bipolar, round_breakpoints
from hwc.compiler.lower.value import LowerError, Value

INF = float("inf")


def value(
    slope: Sequence[Fraction | float],
    offset: Sequence[Fraction | float] = (0,),
    low: Sequence[Fraction | float] = (-INF,),
    high: Sequence[Fraction | float] = (INF,),
    lo: int = -60,
    hi: int = 60,
) -> Value:
    """A pending function on codes in [lo, hi]."""
    made = Value.of("x", Type((max(map(len, (slope, offset, low, high))),), lo, hi), list(slope))
    made = replace(made, offset=vector(list(offset)))
    return replace(made, low=vector(list(low)), high=vector(list(high)))


def reals(x: Value) -> list[list[Fraction | float]]:
    """The real values of every code (rows) and channel (columns)."""
    columns = []
    for c in range(x.channels):
        slope, offset, low, high = (
            v[c if len(v) > 1 else 0] for v in (x.slope, x.offset, x.low, x.high)
        )
        codes = range(x.type.lo, x.type.hi + 1)
        columns.append([min(max(slope * u + offset, low), high) for u in codes])
    return [list(row) for row in zip(*columns, strict=True)]


def apply(op: Quantizer | None, x: Value) -> np.ndarray:
    """The op on every code."""
    codes = np.arange(x.type.lo, x.type.hi + 1)[:, None].repeat(x.channels, axis=1)
    if op is None:
        return codes
    out = op.infer(x.type)
    y = op.reference(codes)
    assert out.lo <= y.min()
    assert y.max() <= out.hi
    return y


def expected(x: Value, scale: Sequence[Fraction], zero: int, lo: int, hi: int) -> np.ndarray:
    """clip(round_half_even(real / scale) + zero, lo, hi) of every code."""
    return np.array(
        [
            [
                min(max(round(v / scale[c if len(scale) > 1 else 0]) + zero, lo), hi)
                for c, v in enumerate(row)
            ]
            for row in reals(x)
        ]
    )


rationals = st.builds(
    Fraction, st.integers(-40, 40), st.sampled_from([1, 2, 4, 8, 16, 3, 5, 7, 96, 2**20])
)
bounds = st.builds(Fraction, st.integers(-12, 12), st.sampled_from([1, 2, 3]))


@st.composite
def pending(draw: st.DrawFn) -> Value:
    """Pending functions of up to three channels, many of them with ties."""
    channels = draw(st.integers(1, 3))
    slope = draw(st.lists(rationals, min_size=channels, max_size=channels))
    offset = draw(st.lists(rationals, min_size=channels, max_size=channels))
    pairs = [sorted([draw(bounds), draw(bounds)]) for _ in range(channels)]
    low = [p[0] if draw(st.booleans()) else -INF for p in pairs]
    high = [p[1] if draw(st.booleans()) else INF for p in pairs]
    lo = draw(st.integers(-80, 20))
    return value(slope, offset, low, high, lo, lo + draw(st.integers(0, 90)))


@given(
    pending(),
    st.lists(
        st.sampled_from([Fraction(1), Fraction(1, 4), Fraction(3, 7)]), min_size=1, max_size=1
    ),
    st.integers(-3, 3),
    st.integers(1, 8),
    st.integers(-20, 3),
)
def test_every_code_is_quantized_exactly(
    x: Value, scale: list[Fraction], zero: int, bits: int, lo: int
) -> None:
    hi = lo + 2**bits - 1
    op = quantize(x, vector(scale), zero, lo, hi)
    np.testing.assert_array_equal(apply(op, x), expected(x, scale, zero, lo, hi))
    thresholds = round_breakpoints(x, vector(scale), zero, lo, hi).thresholds()
    np.testing.assert_array_equal(apply(thresholds, x), expected(x, scale, zero, lo, hi))


@given(pending())
def test_every_sign_is_exact(x: Value) -> None:
    signs = [[1 if v >= 0 else -1 for v in row] for row in reals(x)]
    op = bipolar(x)
    assert op.infer(x.type).bipolar
    np.testing.assert_array_equal(apply(op, x), signs)


@settings(max_examples=30)
@given(
    st.lists(st.integers(-(2**13), 2**13), min_size=1, max_size=4),
    st.integers(4, 9),
    st.integers(-(2**14), 2**14),
    st.integers(5, 8),
)
def test_snapped_constants_always_make_a_multiplier(
    mantissas: list[int], shift: int, offset: int, bits: int
) -> None:
    slope = [Fraction(m, 2**shift) for m in mantissas]
    x = value(slope, [Fraction(offset, 2**shift)] * len(slope), lo=-300, hi=300)
    op = quantize(x, vector(1), 0, 0, 2**bits - 1)
    assert isinstance(op, Requant)
    assert np.abs(op.multiplier.values).max() < 2**17
    np.testing.assert_array_equal(apply(op, x), expected(x, [Fraction(1)], 0, 0, 2**bits - 1))


def test_ties_of_both_parities_need_half_even() -> None:
    x = value([Fraction(1, 2)], lo=-200, hi=200)  # every odd code is a tie
    op = quantize(x, vector(1), 0, -64, 63)
    assert isinstance(op, Requant)
    assert (op.rounding, op.multiplier.values.tolist(), op.shift) == ("half_even", [1], 1)
    np.testing.assert_array_equal(apply(op, x), expected(x, [Fraction(1)], 0, -64, 63))


def test_without_ties_the_rounding_is_folded_into_the_offset() -> None:
    x = value([Fraction(1, 4)], [Fraction(1, 16)], lo=-200, hi=200)
    op = quantize(x, vector(1), 0, -64, 63)
    assert isinstance(op, Requant)
    assert (op.rounding, op.multiplier.values.tolist(), op.shift) == ("floor", [1], 2)


def test_an_odd_zero_point_turns_the_parity_of_ties() -> None:
    x = value([Fraction(1, 2)], lo=-200, hi=200)
    for bits in (3, 6):
        op = quantize(x, vector(1), 1, 0, 2**bits - 1)
        assert isinstance(op, MultiThreshold)  # no multiply-shift rounds ties to odd codes
        want = expected(x, [Fraction(1)], 1, 0, 2**bits - 1)
        np.testing.assert_array_equal(apply(op, x), want)


def test_relu_becomes_the_lower_end() -> None:
    x = value([Fraction(3, 16)], low=[0], lo=-500, hi=500)
    op = quantize(x, vector(1), 0, -128, 127)
    assert isinstance(op, Requant)
    assert (op.lo, op.hi) == (0, 127)
    op = quantize(x, vector(1), 0, -8, 7)
    assert isinstance(op, MultiThreshold)
    assert (op.lo, op.levels) == (0, 7)


def test_negative_slopes_descend_and_zero_slopes_are_constant() -> None:
    x = value([1, -1, 0, 0], [0, 0, 2, 100], lo=-60, hi=60)
    op = quantize(x, vector(1), 0, 0, 3)
    assert isinstance(op, MultiThreshold)
    assert op.descending == (False, True, False, False)
    assert op.thresholds.values.tolist() == [[1, 2, 3], [-3, -2, -1], [-60, -60, 61], [-60] * 3]


def test_constants_on_a_tie_go_to_even() -> None:
    x = value([0, 0, 0, 0], [Fraction(1, 2), Fraction(3, 2), Fraction(5, 2), Fraction(-1, 2)])
    for hi in (7, 63):
        op = quantize(x, vector(1), 0, -8, hi)
        assert apply(op, x)[0].tolist() == [0, 2, 2, 0]


def test_identity_needs_no_op() -> None:
    x = value([Fraction(1, 4)], [Fraction(-3, 4)], lo=0, hi=15)
    assert quantize(x, vector(Fraction(1, 4)), 3, 0, 15) is None
    assert quantize(x, vector(Fraction(1, 4)), 3, 0, 14) is not None
    assert quantize(x, vector(Fraction(1, 4)), 2, 0, 15) is not None
    assert quantize(replace(x, low=vector(0)), vector(Fraction(1, 4)), 3, 0, 15) is not None
    unreached = replace(x, low=vector(-1))
    assert quantize(unreached, vector(Fraction(1, 4)), 3, 0, 15) is None


def test_scales_per_channel() -> None:
    x = value([Fraction(3, 7)], lo=-90, hi=90)
    x = replace(x, type=Type((2,), -90, 90))
    scale = [Fraction(1, 3), Fraction(2)]
    op = quantize(x, vector(scale), 0, -8, 7)
    np.testing.assert_array_equal(apply(op, x), expected(x, scale, 0, -8, 7))


def test_wide_quantizers_keep_their_own_constants() -> None:
    x = value([Fraction(5, 8)] * 512, [Fraction(i, 8) for i in range(512)], lo=-90000, hi=90000)
    op = quantize(x, vector(1), 0, -32768, 32767)
    assert isinstance(op, Requant)
    assert (op.multiplier.values.tolist(), op.shift, op.rounding) == ([5], 3, "half_even")
    wide = replace(x, slope=vector(Fraction(1, 3)))
    with pytest.raises(LowerError, match="use fewer bits, one scale, or power-of-two scales"):
        quantize(wide, vector(1), 0, -32768, 32767)
    with pytest.raises(LowerError, match="512 channels of 65535 levels"):
        quantize(x, vector(1), 1, -32768, 32767)  # ties to odd codes


def test_no_multiplier_is_returned_without_proof() -> None:
    # Slopes so far apart that one shift cannot serve both within the multiplier's width.
    slopes = [Fraction(2**20 + 1, 3), Fraction(1, 3**9)]
    x = value(slopes, lo=-(2**20), hi=2**20)
    points = round_breakpoints(x, vector(1), 0, 0, 255)
    assert find_requant(points, x.slope, x.offset) is None
    assert isinstance(quantize(x, vector(1), 0, 0, 255), MultiThreshold)


@pytest.mark.parametrize("seed", range(4))
def test_float_scales_are_proved_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slope = [Fraction(float(v)) for v in rng.uniform(0.002, 0.02, 4) * rng.choice([-1, 1], 4)]
    offset = [Fraction(float(v)) for v in rng.normal(size=4) * 20]
    x = value(slope, offset, lo=-20000, hi=20000)
    op = quantize(x, vector(1), 0, -128, 127)
    assert isinstance(op, Requant)
    assert int(np.abs(op.multiplier.values).max()).bit_length() <= MULTIPLIER_BITS
    table = round_breakpoints(x, vector(1), 0, -128, 127).thresholds()
    np.testing.assert_array_equal(apply(op, x), apply(table, x))


def test_scales_of_foreign_networks_take_wide_multipliers_before_255_thresholds() -> None:
    # Each slope puts a tie or a near miss close to an integer, so that 24 bits do not tell.
    slopes = [Fraction(float(np.float32(0.0123456) * np.float32(v))) for v in (1, 1.1, 1.7, 2.3)]
    offsets = [Fraction(k, 7) for k in range(4)]
    x = value(slopes, offsets, lo=-40000, hi=40000)
    op = quantize(x, vector(Fraction(3, 10**4)), 0, -(2**15), 2**15 - 1)
    assert isinstance(op, Requant)
    assert 24 < int(np.abs(op.multiplier.values).max()).bit_length() <= MULTIPLIER_BITS
    points = round_breakpoints(x, vector(Fraction(3, 10**4)), 0, -(2**15), 2**15 - 1)
    np.testing.assert_array_equal(apply(op, x), apply(points.thresholds(), x))


def test_a_clip_that_some_channels_cannot_reach_stays_in_common() -> None:
    slopes = [Fraction(float(np.float32(v))) for v in (0.001, 0.005, 0.02)]
    x = value(slopes, low=[-1], high=[1], lo=-300, hi=300)
    op = quantize(x, vector(Fraction(1, 100)), 0, -128, 127)
    assert isinstance(op, Requant)
    assert (op.lo, op.hi) == (-100, 100)
    points = round_breakpoints(x.settled(), vector(Fraction(1, 100)), 0, -128, 127)
    np.testing.assert_array_equal(apply(op, x), apply(points.thresholds(), x))


def test_512_channels_of_8_bits_take_less_than_two_seconds() -> None:
    rng = np.random.default_rng(0)
    snapped = [Fraction(int(m), 2**18) for m in rng.integers(2**12, 2**13, 512)]
    floats = [Fraction(float(v)) for v in rng.uniform(0.01, 0.02, 512)]
    for slope in (snapped, floats):
        x = value(slope, [Fraction(float(v)) for v in rng.normal(size=512)], lo=-20000, hi=20000)
        start = time.perf_counter()
        quantize(x, vector(1), 0, 0, 255)
        assert time.perf_counter() - start < 2
