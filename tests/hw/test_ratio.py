"""Dividers: random widths, every pair of small numbers, what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import Add, GraphError, Ratio, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.ratio import RatioUnit

from .solo import check, firings, interval

Ints = np.ndarray


class Sweep(RatioUnit):
    """A unit whose one frame holds every pair of its inputs."""

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        a, b = (np.arange(x.lo, x.hi + 1) for x in self.types)
        pairs = [m.reshape(1, *self.types[0].shape) for m in np.meshgrid(a, b)]
        return {f"x{i}": np.repeat(m, batch, axis=0) for i, m in enumerate(pairs)}


@pytest.mark.parametrize(("bits", "a", "b"), [(0, 7, 7), (3, 15, 5), (5, 6, 20), (1, 1, 9)])
def test_every_pair(bits: int, a: int, b: int) -> None:
    shape = (b + 1, a + 1)
    check(Sweep(Ratio(bits), (Type(shape, 0, a), Type(shape, 0, b)), (2, 2)), batch=1, stall=0)


@pytest.mark.parametrize("seed", range(10))
def test_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
    tile = tuple(int(rng.integers(1, n + 1)) for n in shape)
    ends = [sorted(rng.integers(0, 1 << int(rng.integers(1, 20)), 2).tolist()) for _ in range(2)]
    a, b = (Type(shape, *pair) for pair in ends)
    unit = RatioUnit(Ratio(int(rng.integers(0, 13))), (a, b), tile)
    check(unit, seed, stall=0.3 * (seed % 3))
    assert interval(unit) == firings(unit) == unit.outputs()["y"].beats
    assert unit.schedule().latency == {"y": unit.op.bits + 2}


def test_more_lanes_cost_more() -> None:
    kinds = (Type((8,), 0, 65536), Type((8,), 0, 655360))
    one, four = (RatioUnit(Ratio(10), kinds, (n,)).resources() for n in (1, 4))
    assert 3.5 * one.lut < four.lut <= 4 * one.lut
    assert one.dsp == one.bram18 == 0


def test_what_does_not_fit() -> None:
    x, y = Type((4,), 0, 15), Type((5,), 0, 15)
    with pytest.raises(GraphError, match="both inputs must have one shape"):
        RatioUnit(Ratio(4), (x, y), (2,))
    with pytest.raises(UnitError, match="the op is Ratio, not Add"):
        RatioUnit(Add(), (x, x), (2,))  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnitError, match="a divisor of 4 bits takes 5 levels, but max_levels is 4"):
        RatioUnit(Ratio(4), (x, x), (2,), max_levels=4)
