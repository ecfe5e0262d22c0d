"""Joins: integer combinations and channels side by side."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hwc.compiler.graph import Add, Concat, GraphError, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.add import AddUnit, signed_digits
from hwc.hw.units.concat import ConcatUnit

from .solo import check, firings, interval

KINDS = (
    Type((1,), 0, 15),
    Type((1,), -4, 3),
    Type((1,), -128, 127),
    Type((1,), -1, 1, bipolar=True),
    Type((1,), 3, 5),
)


def some(rng: np.random.Generator, count: int) -> list[Type]:
    return [KINDS[int(rng.integers(len(KINDS)))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_random_add(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
    tile = tuple(int(rng.integers(1, n + 1)) for n in shape)
    span = 3 if seed % 2 else 300
    multipliers = tuple(int(m) for m in rng.integers(-span, span + 1, count))
    types = tuple(kind.with_shape(shape) for kind in some(rng, count))
    unit = AddUnit(Add(multipliers), types, tile)
    check(unit, seed, stall=0.3 * (seed % 3))
    assert interval(unit) == firings(unit) == unit.outputs()["y"].beats


def test_plain_residual_is_one_adder() -> None:
    types = (Type((8, 8, 16), 0, 15), Type((8, 8, 16), 0, 15))
    unit = AddUnit(Add(), types, (1, 1, 4))
    assert unit.schedule().latency == {"y": 1}
    assert unit.resources().dsp == 0
    assert unit.resources().lut < 4 * 5 + 30
    wide = AddUnit(Add((1, 54321)), types, (1, 1, 1), "dsp")
    assert wide.resources().dsp == 1


def test_signed_digits() -> None:
    for number in (*range(-70, 70), 54321, -40503):
        digits = signed_digits(number)
        assert sum(sign << shift for shift, sign in digits) == number
        shifts = [shift for shift, _ in digits]
        assert all(b - a > 1 for a, b in pairwise(shifts))


def test_dear_multipliers_go_to_dsp_blocks() -> None:
    types = (Type((8,), -128, 127), Type((8,), -128, 127))
    both = Add((5, 54321))
    assert AddUnit(both, types, (2,)).resources().dsp == 2
    assert AddUnit(both, types, (2,), "lut").resources().dsp == 0
    assert AddUnit(both, types, (2,), "dsp").resources().dsp == 4
    with pytest.raises(UnitError, match="multiplier 1000000000 does not fit a DSP block"):
        AddUnit(Add((5, 1_000_000_000)), types, (2,), "dsp")
    with pytest.raises(UnitError, match="takes 4 levels, but max_levels is 3"):
        AddUnit(both, types, (2,), "lut", 3)


def test_add_refuses_what_does_not_fit() -> None:
    x, y = Type((4,), 0, 15), Type((5,), 0, 15)
    with pytest.raises(GraphError, match="all inputs must have one shape"):
        AddUnit(Add(), (x, y), (2,))
    with pytest.raises(UnitError, match="the op is Add, not Concat"):
        AddUnit(Concat(), (x, x), (2,))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("seed", range(12))
def test_random_concat(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    head = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(0, 3))))
    step = int(rng.integers(1, 4))
    channels = [step * int(rng.integers(1, 4)) for _ in range(count)]
    channels[-1] += int(rng.integers(0, 3))
    types = tuple(k.with_shape((*head, c)) for k, c in zip(some(rng, count), channels, strict=True))
    pixels = int(rng.integers(1, head[-1] + 1)) if head else 1
    for lanes in ConcatUnit.legal(types):
        unit = ConcatUnit(Concat(), types, lanes, pixels)
        check(unit, seed, batch=2, stall=0.3 * (seed % 3))
        assert interval(unit) == firings(unit) == unit.outputs()["y"].beats


def test_concat_names_the_legal_lanes() -> None:
    types = tuple(Type((3, c), 0, 15) for c in (8, 12, 5))
    with pytest.raises(UnitError, match=r"of \[8, 12, 5\]; got 3, legal: \[1, 2, 4, 25\]"):
        ConcatUnit(Concat(), types, 3)
    found = {(u.lanes, u.pixels) for u in ConcatUnit.candidates(Concat(), types)}
    assert found == {(1, 1), (2, 1), (4, 1), (25, 1), (25, 2)}
    with pytest.raises(UnitError, match="vectors have one pixel, got pixels=2"):
        ConcatUnit(Concat(), (Type((4,), 0, 1), Type((4,), 0, 1)), 4, 2)
