"""Products of two streams: every pair, random intervals, both styles."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import Add, GraphError, Multiply, Type
from hwc.hw.dot import DotError
from hwc.hw.unit import UnitError
from hwc.hw.units.times import TimesUnit

from .solo import check, firings, interval

Ints = np.ndarray


class Sweep(TimesUnit):
    """A unit whose one frame holds every pair of its inputs."""

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        a, b = (np.arange(x.lo, x.hi + 1) for x in self.types)
        pairs = [m.reshape(1, *self.types[0].shape) for m in np.meshgrid(a, b)]
        return {f"x{i}": np.repeat(m, batch, axis=0) for i, m in enumerate(pairs)}


@pytest.mark.parametrize("style", ["lut", "dsp"])
@pytest.mark.parametrize(("a", "b"), [((0, 7), (0, 63)), ((-8, 7), (0, 20)), ((-5, 6), (-17, -1))])
def test_every_pair(style: str, a: tuple[int, int], b: tuple[int, int]) -> None:
    shape = (b[1] - b[0] + 1, a[1] - a[0] + 1)
    kinds = (Type(shape, *a), Type(shape, *b))
    check(Sweep(Multiply(), kinds, (2, 2), style), batch=1, stall=0)  # pyright: ignore


@pytest.mark.parametrize("seed", range(12))
def test_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
    tile = tuple(int(rng.integers(1, n + 1)) for n in shape)
    top = [1 << int(rng.integers(1, 14)) for _ in range(2)]
    ends = [sorted(rng.integers(-t, t + 1, 2).tolist()) for t in top]
    a, b = (Type(shape, *pair) for pair in ends)
    unit = TimesUnit(Multiply(), (a, b), tile)
    check(unit, seed, stall=0.3 * (seed % 3))
    assert interval(unit) == firings(unit) == unit.outputs()["y"].beats


def test_agreement_of_signs_is_one_gate() -> None:
    pm = Type((4, 6), -1, 1, bipolar=True)
    unit = TimesUnit(Multiply(), (pm, pm), (1, 3))
    check(unit, stall=0)
    assert unit.outputs()["y"].width == 3
    assert unit.resources().dsp == 0


def test_wide_operands_take_a_block() -> None:
    s4, s8 = Type((8,), -8, 7), Type((8,), -128, 127)
    assert TimesUnit(Multiply(), (s8, s8), (4,)).resources().dsp == 4
    assert TimesUnit(Multiply(), (s8, s8), (4,), "lut").resources().dsp == 0
    assert TimesUnit(Multiply(), (s4, s8), (4,)).resources().dsp == 0


def test_what_does_not_fit() -> None:
    x, y = Type((4,), 0, 15), Type((5,), 0, 15)
    with pytest.raises(GraphError, match="both inputs must have one shape"):
        TimesUnit(Multiply(), (x, y), (2,))
    with pytest.raises(UnitError, match="the op is Multiply, not Add"):
        TimesUnit(Add(), (x, x), (2,))  # pyright: ignore[reportArgumentType]
    wide = Type((4,), 0, 2**26)
    with pytest.raises(DotError, match="up to 25 x 18 bits signed"):
        TimesUnit(Multiply(), (wide, wide), (2,), "dsp")
