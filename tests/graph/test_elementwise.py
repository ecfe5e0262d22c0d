"""Thresholds, requantization and sums against Python integers and fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import Add, GraphError, MultiThreshold, Requant, Type
from hwc.compiler.graph import thresholds as implementation

INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-20, 20)


def rounded(value: Fraction, rounding: str) -> int:
    """The three roundings, from their definitions (Python's round is half to even)."""
    if rounding == "half_even":
        return round(value)
    return floor(value + Fraction(1, 2)) if rounding == "half_up" else floor(value)


def reached(x: int, row: list[int], descending: bool) -> int:
    return sum(x <= t if descending else x >= t for t in row)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.lists(SMALL, min_size=3, max_size=3), st.booleans()), min_size=1),
    st.sampled_from([(4,), (3, 4), (2, 3, 4)]),
    st.sampled_from([(0, 1), (-1, 2), (-7, 3)]),
    st.sampled_from([0, 16]),
)
def test_thresholds_equal_the_definition(rows, shape, code, few):
    channels = len(rows)
    shape = (*shape[:-1], channels)
    table = [sorted(row) for row, _ in rows]
    flags = tuple(flag for _, flag in rows)
    lo, step = code
    op = MultiThreshold(table, flags, lo, step)
    x = np.random.default_rng(channels).integers(-22, 23, (3, *shape))
    keep = implementation.FEW
    try:
        implementation.FEW = few  # comparisons or binary search
        y = op.reference(x)
    finally:
        implementation.FEW = keep
    for index, value in np.ndenumerate(x):
        c = index[-1]
        assert y[index] == lo + step * reached(int(value), table[c], flags[c])
    assert op.infer(Type(shape, -22, 22)) == Type(shape, lo, lo + 3 * step)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(INT64, min_size=1, max_size=20), st.lists(INT64, min_size=1), st.booleans())
def test_thresholds_over_all_of_int64(row, values, descending):
    row.sort()
    y = MultiThreshold([row], (descending,)).reference(np.array(values)[:, None])
    assert y[:, 0].tolist() == [reached(x, row, descending) for x in values]


@pytest.mark.parametrize("levels", [1, 16, 17, 127, 128, 255, 300])
@pytest.mark.parametrize("shared", [True, False])
def test_many_levels_and_more_than_a_block(levels: int, shared: bool) -> None:
    rng = np.random.default_rng(levels)
    table = np.sort(rng.integers(-500, 500, (1 if shared else 3, levels)), axis=1)
    flags = (True, False, True)
    x = rng.integers(-520, 520, (2, 80, 90, 3))
    y = MultiThreshold(table, flags).reference(x)
    full = np.broadcast_to(table, (3, levels))
    for c in range(3):
        below = x[..., c, None] <= full[c] if flags[c] else x[..., c, None] >= full[c]
        assert np.array_equal(y[..., c], below.sum(axis=-1))
    assert y.max() > 0.9 * levels


def test_one_threshold_in_steps_of_two_is_bipolar() -> None:
    op = MultiThreshold([[0]], lo=-1, step=2)
    assert op.infer(Type((3,), -5, 5)) == Type((3,), -1, 1, bipolar=True)
    assert op.reference(np.array([[-1, 0, 1]])).tolist() == [[-1, 1, 1]]
    down = MultiThreshold([[0]], (True,), lo=-1, step=2)
    assert down.reference(np.array([[-1, 0, 1]])).tolist() == [[1, 1, -1]]
    assert MultiThreshold([[0, 1]], lo=-1).infer(Type((3,), -5, 5)) == Type((3,), -1, 1)


def test_thresholds_do_not_change_their_input() -> None:
    x = np.arange(-4, 4)[:, None]
    MultiThreshold([[0]], (True,)).reference(x)
    Requant([3], [1], 1, -9, 9).reference(x)
    Add((2, 1)).reference(x, x)
    assert np.array_equal(x[:, 0], np.arange(-4, 4))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-99, 99)), min_size=1, max_size=4),
    st.integers(0, 7),
    st.sampled_from(["half_even", "half_up", "floor"]),
    st.booleans(),
)
def test_requant_equals_fractions(rows, shift, rounding, wide):
    m, b = zip(*rows, strict=True)
    lo, hi = (-999, 999) if wide else (-8, 7)
    op = Requant(m, b, shift, lo, hi, rounding)
    x = np.tile(np.arange(-40, 41)[:, None, None], (1, 2, len(m)))
    y = op.reference(x)
    for i, row in enumerate(y[:, 1]):
        exact = [Fraction(m[c] * (i - 40) + b[c], 2**shift) for c in range(len(m))]
        assert row.tolist() == [min(max(rounded(v, rounding), lo), hi) for v in exact]
    assert op.infer(Type(x.shape[1:], -40, 40)) == Type(x.shape[1:], lo, hi)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("half_even", [-2, -2, -1, 0, 0, 0, 1, 2, 2]),
        ("half_up", [-2, -1, -1, 0, 0, 1, 1, 2, 2]),
        ("floor", [-2, -2, -1, -1, 0, 0, 1, 1, 2]),
    ],
)
def test_halves(rounding, expected: list[int]) -> None:
    x = np.arange(-4, 5)[:, None]
    assert Requant(1, 0, 1, -9, 9, rounding).reference(x)[:, 0].tolist() == expected


@settings(derandomize=True, max_examples=200, deadline=None)
@given(INT64, st.integers(1, 62), st.sampled_from(["half_even", "half_up", "floor"]))
def test_requant_at_the_edges_of_int64(x, shift, rounding):
    op = Requant(1, 0, shift, -(2**63), 2**63 - 1, rounding)
    assert op.infer(Type((1,), x, x)).hi == 2**63 - 1
    assert op.reference(np.array([[x]])).item() == rounded(Fraction(x, 2**shift), rounding)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), INT64, st.integers(0, 2**30))
def test_requant_is_refused_exactly_when_int64_may_overflow(x, m, b, span):
    op = Requant(m, b, 3, 0, 1)
    values = [m * x, m * (x + span), m * x + b, m * (x + span) + b]
    fits = all(-(2**63) <= value < 2**63 for value in values)
    if fits:
        op.infer(Type((1,), x, x + span))
        return
    with pytest.raises(GraphError, match=r"Requant: m\*x \+ b must fit in int64 for x in"):
        op.infer(Type((1,), x, x + span))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL, st.integers(0, 9)), min_size=1, max_size=4))
def test_add_and_its_interval(terms):
    op = Add(tuple(m for m, _, _ in terms))
    types = [Type((2,), lo, lo + span) for _, lo, span in terms]
    ends = [m * value for m, lo, span in terms for value in (lo, lo + span)]
    y = op.infer(*types)
    assert y.lo == sum(min(ends[i : i + 2]) for i in range(0, len(ends), 2))
    assert y.hi == sum(max(ends[i : i + 2]) for i in range(0, len(ends), 2))
    arrays = [np.full((3, 2), lo) for _, lo, _ in terms]
    assert (op.reference(*arrays) == sum(m * lo for m, lo, _ in terms)).all()


T3 = Type((2, 3), -4, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MultiThreshold([1, 2]),
            r"thresholds must be \(C or 1, L >= 1\), got shape \(2,\)",
        ),
        (lambda: MultiThreshold(np.zeros((2, 0), int)), r"got shape \(2, 0\)"),
        (lambda: MultiThreshold([[1, 2], [4, 3]]), "must ascend .* row 1 is 4, 3"),
        (lambda: MultiThreshold([[0.5]]), "MultiThreshold: thresholds: integers are needed"),
        (lambda: MultiThreshold([[0]], step=0), "step must be >= 1 .* got 0"),
        (lambda: MultiThreshold([[0]], lo=2**63 - 1), "MultiThreshold: results must fit in int64"),
        (
            lambda: MultiThreshold([[0], [1]]).infer(T3),
            r"thresholds must have 1 entry or 3, one per channel of the input \(2, 3\), got 2",
        ),
        (lambda: MultiThreshold([[0]], (True, False)).infer(T3), "descending must have 1 entry or"),
        (
            lambda: Requant([1, 2], 0, 1, 0, 1).infer(T3),
            "Requant: multiplier must have 1 entry or 3",
        ),
        (lambda: Requant(1, [1, 2], 1, 0, 1).infer(T3), "Requant: offset must have 1 entry or 3"),
        (
            lambda: Requant([[1]], 0, 1, 0, 1),
            r"multiplier must be an integer, \(1,\) or \(C,\), got",
        ),
        (lambda: Requant(1, 0, 63, 0, 1), "shift must be at most 62, got 63"),
        (lambda: Requant(1, 0, -1, 0, 1), "shift must be >= 0 .* got -1"),
        (lambda: Requant(1, 0, 1, 2, 1), "lo <= hi is needed, got lo=2, hi=1"),
        (lambda: Requant(1, 0, 1, 0, 1, "up"), "half_even, half_up or floor, got 'up'"),  # pyright: ignore
        (lambda: Requant(0.5, 0, 1, 0, 1), "Requant: multiplier: integers are needed"),
        (lambda: Add(()), "at least one multiplier"),
        (lambda: Add().infer(T3), r"takes 2 inputs \(one per multiplier\), got 1"),
        (lambda: Add().infer(T3, Type((3, 2), 0, 1)), r"one shape, got \[\(2, 3\), \(3, 2\)\]"),
        (lambda: Add((2**61, 1)).infer(T3, T3), "must fit in int64, got 9223372036854775812"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
