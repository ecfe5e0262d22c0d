"""Products are exact at, below and above every bound at which the arithmetic changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import Dense, GraphError, MatMul, Type, accumulator_interval, exact

INTS = st.integers(-(2**40), 2**40)


def python_matmul(x: np.ndarray, w: np.ndarray) -> list[list[int]]:
    """The product in Python integers."""
    return [
        [sum(int(a) * int(b) for a, b in zip(row, weights, strict=True)) for weights in w]
        for row in x
    ]


@pytest.mark.parametrize(
    ("limit", "dtype"),
    [
        (0, np.float32),
        (2**24 - 1, np.float32),
        (2**24 + 1, np.float64),
        (2**53 - 1, np.float64),
        (2**53 + 1, np.int64),
        (2**63 - 1, np.int64),
    ],
)
def test_bound_picks_the_arithmetic(limit: int, dtype: type) -> None:
    assert exact.work_dtype(limit) is dtype


@pytest.mark.parametrize("limit", [2**12, 2**23, 2**24, 2**25, 2**52, 2**53, 2**54, 2**60])
def test_sums_near_the_bounds_are_exact(limit: int) -> None:
    # An odd sum just at the limit, and one where the last addend is lost if a partial sum rounds.
    x = np.array([[limit // 2, limit // 2, 1], [limit - 1, 1, -(limit - 2)]])
    w = np.array([[1, 1, -1], [1, -1, 1], [0, 0, 1]])
    assert exact.matmul(x, w).tolist() == python_matmul(x, w)
    grouped = exact.grouped_matmul(x[:, None], w[None])
    assert grouped[:, 0].tolist() == python_matmul(x, w)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.lists(st.lists(INTS, min_size=3, max_size=3), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(-(2**20), 2**20), min_size=3, max_size=3), min_size=1),
    st.integers(0, 40),
)
def test_matmul_equals_python(x: list[list[int]], w: list[list[int]], shift: int) -> None:
    a, b = np.array(x) >> shift, np.array(w)
    assert exact.matmul(a, b).tolist() == python_matmul(a, b)


@pytest.mark.parametrize("values", [[0], [3, 5], [-3, 2], [-(2**63), 7], [2**63 - 1, -1], [-1]])
def test_magnitude(values: list[int]) -> None:
    assert exact.magnitude(np.array(values)) == max(map(abs, values))
    assert exact.magnitude(np.zeros((0, 3), np.int64)) == 0


def test_products_beyond_int64_raise() -> None:
    with pytest.raises(GraphError, match=r"must fit in int64 .* got 18446744073709551616"):
        exact.matmul(np.array([[2**62, 2**62]]), np.array([[2, -2]]))
    # The row sum of |w| itself does not fit.
    with pytest.raises(GraphError, match="must fit in int64"):
        exact.matmul(np.array([[1, 1]]), np.array([[2**63 - 1, 2**63 - 1]]))
    with pytest.raises(GraphError, match="must fit in int64"):
        exact.matmul(np.array([[-(2**63)]]), np.array([[1]]))
    assert exact.matmul(np.array([[0, 0]]), np.array([[2**63 - 1, 2**63 - 1]])).tolist() == [[0]]


def test_infer_refuses_what_may_overflow() -> None:
    op = MatMul(Dense([[2**31, -(2**31)]]))
    assert op.infer(Type((2,), -(2**30), 2**30)) == Type((1,), -(2**62), 2**62)
    message = r"MatMul: sum\|w\| \* max\|x\| must fit in int64 .* inputs in \[0, 4294967296\]"
    with pytest.raises(GraphError, match=message):
        op.infer(Type((2,), 0, 2**32))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(-4, 4),
    st.integers(0, 3),
)
def test_intervals_are_tight(w: list[list[int]], lo: int, span: int) -> None:
    inputs = np.stack(np.meshgrid(*[np.arange(lo, lo + span + 1)] * 3), -1).reshape(-1, 3)
    sums = inputs @ np.array(w).T
    lows, highs = accumulator_interval(np.array(w), lo, lo + span)
    assert lows == sums.min(axis=0).tolist()
    assert highs == sums.max(axis=0).tolist()
    type_ = MatMul(Dense(w)).infer(Type((3,), lo, lo + span))
    assert (type_.lo, type_.hi) == (min(lows), max(highs))


def test_intervals_of_huge_weights_do_not_wrap() -> None:
    w = np.array([[2**62, 2**62, 2**62]])
    assert accumulator_interval(w, -1, 2) == ([-3 * 2**62], [6 * 2**62])
