"""The converter: random pairs of layouts, the rate of the narrow side, and what is free."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout
from hwc.hw.unit import UnitError
from hwc.hw.units.repack.unit import Repack

from .solo import check, firings, interval

U3 = Type((1,), 0, 7)
Side = tuple[tuple[int, ...], tuple[int, ...]]


def random_side(rng: np.random.Generator, size: int) -> Side:
    """A shape of ``size`` elements and a tile of it."""
    shape: list[int] = []
    while size > 1 and len(shape) < 3:
        shape.append(int(rng.choice([d for d in range(1, size + 1) if size % d == 0])))
        size //= shape[-1]
    shape.append(size)
    rng.shuffle(shape)
    tile = (int(rng.integers(1, n + 1)) if rng.random() < 0.45 else 1 for n in shape)
    return tuple(shape), tuple(tile)


def random_pair(seed: int) -> tuple[Side, Side]:
    rng = np.random.default_rng(seed)
    size = int(rng.choice([6, 12, 24, 30, 36, 48, 49, 60, 72, 100]))
    one = random_side(rng, size)
    other = random_side(rng, size)
    if rng.random() < 0.4:  # the same tensor, cut differently
        tile = (int(rng.integers(1, n + 1)) if rng.random() < 0.5 else 1 for n in one[0])
        other = one[0], tuple(tile)
    return one, other


def converter(a: Side, b: Side, kind: Type = U3) -> Repack:
    return Repack(kind.with_shape(a[0]), a[1], kind.with_shape(b[0]), b[1])


@pytest.mark.parametrize("seed", range(30))
def test_random(seed: int) -> None:
    unit = converter(*random_pair(seed))
    check(unit, seed, stall=0.4 * (seed % 2))
    assert interval(unit) == firings(unit)


def test_free_means_the_same_beats() -> None:
    free = 0
    for seed in range(800):
        a, b = random_pair(seed)
        x, y = U3.with_shape(a[0]), U3.with_shape(b[0])
        one, other = Layout(x, a[1]).order(), Layout(y, b[1]).order()
        assert Repack.free(x, a[1], y, b[1]) == np.array_equal(one, other), (a, b)
        free += Repack.free(x, a[1], y, b[1])
    assert free > 80
    assert not Repack.free(U3, (1,), Type((1,), 0, 3), (1,))


@pytest.mark.parametrize("ratio", [2, 3, 8])
def test_whole_ratios_are_cheap_and_quick(ratio: int) -> None:
    """Widening needs registers only; narrowing one more multiplexer way per ratio."""
    wide, narrow = ((96,), (24,)), ((96,), (24 // ratio,))
    up, down = converter(narrow, wide), converter(wide, narrow)
    assert firings(up) == firings(down) == 96 // (24 // ratio)
    assert up.routes.most == 1
    assert sum(up.routes.registers()) == 24 - 24 // ratio
    assert down.routes.most == ratio
    assert sum(down.routes.registers()) == 24 - 24 // ratio
    assert interval(up) == interval(down) == firings(up)


@pytest.mark.parametrize(("a", "b"), [(3, 4), (8, 5), (7, 12), (16, 10), (9, 1)])
def test_other_ratios_keep_the_narrow_side_busy(a: int, b: int) -> None:
    size = 5 * math.lcm(a, b)
    unit = converter(((size,), (a,)), ((size,), (b,)))
    assert firings(unit) == -(-size // min(a, b))
    assert interval(unit) == firings(unit)


def test_flatten_with_tails() -> None:
    """490 inputs from 7x7x10 maps in lanes of 4 to bytes of 8 lanes."""
    unit = converter(((7, 7, 10), (1, 1, 4)), ((490,), (8,)))
    check(unit, 1, batch=2)
    assert firings(unit) == 7 * 7 * 3


def test_pixels_of_many_channels_go_through_a_memory() -> None:
    small = converter(((4, 8, 8), (1, 2, 4)), ((4, 8, 8), (1, 1, 4)))
    large = converter(((4, 8, 96), (1, 2, 4)), ((4, 8, 96), (1, 1, 4)))
    assert small.buffer is None
    assert large.buffer is not None
    assert large.resources().ff < 200
    check(large, 3, batch=2)
    assert interval(large) == firings(large) == 4 * 8 * 24


def test_large_tensors_are_planned_by_their_period() -> None:
    """Nothing of the size of a frame is built: sections repeat one short program."""
    unit = converter(((224, 224, 3), (1, 1, 2)), ((224, 224, 3), (1, 4, 3)))
    assert [s.program.steps for s in unit.plan.sections] == [8]
    unit = converter(((224, 224, 64), (1, 1, 7)), ((224 * 224, 64), (1, 10)))
    assert max(s.program.steps for s in unit.plan.sections) < 20


def test_different_integers_are_refused() -> None:
    with pytest.raises(UnitError, match=r"the same integers, but x is 6 \[0, 7\] and y is 2x2"):
        Repack(U3.with_shape((6,)), (2,), U3.with_shape((2, 2)), (1, 2))
    with pytest.raises(UnitError, match="the same integers"):
        Repack(U3.with_shape((6,)), (2,), Type((6,), 0, 3), (2,))


def test_a_program_without_end_is_refused() -> None:
    unit = converter(((2, 40, 2047), (1, 3, 7)), ((2, 40, 2047), (1, 4, 5)))
    with pytest.raises(UnitError, match="by way of one pixel a beat"):
        unit.schedule()
