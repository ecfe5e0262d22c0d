"""Products, and shares of a total."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwc.compiler.graph import GraphError, Multiply, Ratio, Type


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
        ((Type((2,), 0, 3),), "takes 2 inputs, got 1"),
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


def test_products_and_their_intervals() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        (a, b), (c, d) = (sorted(rng.integers(-9, 10, 2).tolist()) for _ in range(2))
        x, y = (m.reshape(1, -1) for m in np.meshgrid(np.arange(a, b + 1), np.arange(c, d + 1)))
        made = Multiply().reference(x, y)
        kind = Multiply().infer(Type(x.shape[1:], a, b), Type(y.shape[1:], c, d))
        assert (made == x * y).all()
        assert (kind.lo, kind.hi) == (made.min(), made.max())


def test_signs_of_signs() -> None:
    pm, s4 = Type((2,), -1, 1, bipolar=True), Type((2,), -8, 7)
    assert Multiply().infer(pm, pm) == pm
    assert Multiply().infer(pm, s4) == Type((2,), -8, 8)
    with pytest.raises(GraphError, match="products must fit in int64"):
        Multiply().infer(Type((2,), 0, 2**40), Type((2,), 0, 2**40))
    with pytest.raises(GraphError, match="both inputs must have one shape"):
        Multiply().infer(pm, Type((3,), 0, 1))
