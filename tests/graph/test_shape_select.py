"""Concatenation, reshape, argmax and top-k."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import ArgMax, Concat, GraphError, Reshape, TopK, Type


def test_concat() -> None:
    a, b = np.zeros((2, 3, 4), int), np.ones((2, 3, 1), int)
    assert np.array_equal(Concat().reference(a, b, a), np.concatenate((a, b, a), axis=2))
    assert Concat().infer(Type((3, 4), -2, 3), Type((3, 1), 0, 9)) == Type((3, 5), -2, 9)
    bipolar, plain = Type((3,), -1, 1, bipolar=True), Type((2,), -1, 1)
    assert Concat().infer(bipolar, bipolar) == Type((6,), -1, 1, bipolar=True)
    assert Concat().infer(bipolar, plain) == Type((5,), -1, 1)


def test_reshape_is_row_major() -> None:
    x = np.arange(48).reshape(2, 2, 3, 4)
    assert Reshape((24,)).reference(x)[1].tolist() == list(range(24, 48))
    assert Reshape((4, 6)).infer(Type((2, 3, 4), 0, 47)) == Type((4, 6), 0, 47)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.data())
def test_top_k_takes_the_lowest_index_of_ties(values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    ranked = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert TopK(k).reference(np.array([values])).tolist() == [ranked[:k]]
    assert ArgMax().reference(np.array([values])).tolist() == [ranked[:1]]
    assert TopK(k).infer(Type((len(values),), -3, 3)) == Type((k,), 0, len(values) - 1)
    assert ArgMax().infer(Type((len(values),), -3, 3)) == Type((1,), 0, len(values) - 1)


def test_each_position_has_its_own() -> None:
    x = np.random.default_rng(0).integers(0, 4, (5, 2, 3, 6))
    best, top = ArgMax().reference(x), TopK(3).reference(x)
    assert ArgMax().infer(Type((2, 3, 6), 0, 3)) == Type((2, 3, 1), 0, 5)
    assert TopK(3).infer(Type((2, 3, 6), 0, 3)) == Type((2, 3, 3), 0, 5)
    for place in np.ndindex(5, 2, 3):
        row = x[place].tolist()
        ranked = sorted(range(6), key=lambda i: (-row[i], i))
        assert best[place].tolist() == ranked[:1]
        assert top[place].tolist() == ranked[:3]


def test_top_k_of_the_lowest_integer() -> None:
    assert TopK(3).reference(np.array([[-(2**63), 2**63 - 1, 0]])).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Concat().infer(), "Concat: takes at least 1 input, got 0"),
        (
            lambda: Concat().infer(Type((2, 3), 0, 1), Type((3, 3), 0, 1)),
            r"agree in all axes but the last, got \[\(2, 3\), \(3, 3\)\]",
        ),
        (lambda: Reshape((2, -1)), r"Reshape: sizes must be >= 1, got \(2, -1\); -1 is not"),
        (
            lambda: Reshape((5,)).infer(Type((2, 3), 0, 1)),
            r"Reshape: \(5,\) has 5 elements, the input \(2, 3\) has 6",
        ),
        (lambda: ArgMax().infer(), "ArgMax: takes 1 input, got 0"),
        (lambda: TopK(0), "TopK: k must be >= 1"),
        (lambda: TopK(4).infer(Type((5, 3), 0, 1)), "k=4 must be at most the 3 channels"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
