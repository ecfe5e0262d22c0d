"""Shares of a total."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwc.compiler.graph import GraphError, Ratio, Type


@pytest.mark.parametrize("bits", [0, 1, 5, 10])
def test_every_pair_of_small_numbers(bits: int) -> None:
    a, b = (m.reshape(1, -1) for m in np.meshgrid(np.arange(40), np.arange(40)))
    got = Ratio(bits).reference(a, b)[0]
    for x, y, q in zip(a[0].tolist(), b[0].tolist(), got.tolist(), strict=True):
        whole = 1 << bits
        exact = whole if x >= y else math.floor(Fraction(x * whole, y) + Fraction(1, 2))
        assert q == min(exact, whole), (x, y)


def test_ties_go_up_and_nothing_of_nothing_is_all() -> None:
    a, b = np.array([[1, 3, 5, 0, 0, 9]]), np.array([[8, 8, 8, 0, 4, 2]])
    assert Ratio(2).reference(a, b).tolist() == [[1, 2, 3, 4, 0, 4]]


def test_wide_inputs_do_not_overflow() -> None:
    ratio, top = Ratio(20), 2**41 - 1
    x = Type((1,), 0, top)
    assert ratio.infer(x, x) == Type((1,), 0, 2**20)
    got = ratio.reference(np.array([[top - 1], [top // 3]]), np.array([[top], [top]]))
    assert got.ravel().tolist() == [2**20, round(2**20 / 3)]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((Type((2,), 0, 3),), "takes 2 inputs, dividend and divisor, got 1"),
        ((Type((2,), 0, 3), Type((3,), 0, 3)), "one shape, got .*2.* and .*3"),
        ((Type((2,), -1, 3), Type((2,), 0, 3)), ">= 0, got intervals from -1 and 0"),
        (
            (Type((2,), 0, 3), Type((2,), 0, 2**60)),
            "at most 57 bits for a quotient of 4",
        ),
    ],
)
def test_refused(types: tuple[Type, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Ratio(4).infer(*types)


def test_bits_are_not_negative() -> None:
    with pytest.raises(GraphError, match="bits must be >= 0"):
        Ratio(-1)
