"""Loop nests found in static sequences: where words lie, and which firings do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwc.hw.loops import Loops, Mask, Sum
from hwc.hw.units.parts import lookup_luts, step_bits

__all__ = ["Walk", "factor", "irregular_bits", "step_luts"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Tables = Mapping[str, tuple[bool, ...]]

LONGEST = 256
"""Rounds of the longest loop with irregular tables."""
TABLE_LUTS = 16
"""LUTs of the dearest table of places of a loop."""


@dataclass(frozen=True)
class Walk:
    """A loop nest, a place for each firing, and masks as one table of booleans per loop."""

    loops: Loops
    place: Sum
    masks: tuple[Tables, ...] = ()

    @classmethod
    def blocks(cls, outer: int, inner: int, places: Sequence[int]) -> Walk:
        """``outer`` blocks of ``inner`` firings with one place each."""
        return cls((("block", outer), ("step", inner)), Sum.table(block=tuple(places)))

    def mask(self, k: int) -> Mask:
        """Mask ``k`` for a schedule."""
        return Mask.table(**self.masks[k])


@dataclass(frozen=True)
class _Level:
    """One loop: what each round adds to the place, and a table for each mask."""

    places: tuple[int, ...]
    masks: tuple[tuple[bool, ...], ...]

    @property
    def plain(self) -> bool:
        """Whether the places are linear and no mask looks at this loop."""
        return step_luts(self.places) == 0 and all(all(m) for m in self.masks)

    @property
    def short(self) -> bool:
        """Whether its tables are affordable."""
        if len(self.places) > LONGEST:
            return self.plain
        return step_luts(self.places) <= TABLE_LUTS


def irregular_bits(table: Sequence[int]) -> int:
    """Bits that say how far each round of a loop steps: none if all steps are equal."""
    steps = set(np.diff(table).tolist())
    return max(0, min(max((s.bit_length() for s in steps), default=0), len(steps) - 1))


def step_luts(table: Sequence[int]) -> int:
    """LUTs of these bits."""
    return lookup_luts(step_bits(len(table)), irregular_bits(table))


def factor(place: Ints, valid: Bools, masks: tuple[Bools, ...]) -> Walk | None:
    """The nest whose firings have these places (anything where not ``valid``) as a sum of tables,
    one per loop, and each of these masks as the product of tables; None if there is none with
    short loops."""
    levels: list[_Level] = []
    while len(place) > 1:
        for size in _divisors(len(place)):
            found = _block(place, valid, masks, size)
            if found is not None:
                break
        else:
            return None
        level, place, valid, masks = found
        _join(levels, level)
    if not all(level.short for level in levels):
        return None
    levels = levels[::-1] or [_Level((0,), ((True,),) * len(masks))]
    names = [f"l{k}" for k in range(len(levels))]
    loops = tuple((name, len(v.places)) for name, v in zip(names, levels, strict=True))
    tables = {name: v.places for name, v in zip(names, levels, strict=True)}
    found_masks = tuple(
        {name: v.masks[k] for name, v in zip(names, levels, strict=True)} for k in range(len(masks))
    )
    return Walk(loops, Sum.table(int(place[0]), **tables), found_masks)


def _divisors(n: int) -> list[int]:
    """Those above 1, rising."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)} - {1})


def _block(
    place: Ints, valid: Bools, masks: tuple[Bools, ...], size: int
) -> tuple[_Level, Ints, Bools, tuple[Bools, ...]] | None:
    """The innermost loop of ``size`` rounds and what is left for the loops around it."""
    tables, rest = [], []
    for mask in (valid, *masks):
        rows = mask.reshape(-1, size)
        live = rows.any(axis=1)
        pattern = rows[live.argmax()]
        if (rows[live] != pattern).any():
            return None
        tables.append(pattern)
        rest.append(live)
    rows, live, columns = place.reshape(-1, size), rest[0], np.flatnonzero(tables[0])
    first = rows[:, columns[0]]
    relative = rows[live][:, columns] - first[live][:, None]
    if (relative != relative[0]).any():
        return None
    # A round without a place has that of the one before it.
    before = np.maximum(np.searchsorted(columns, np.arange(size), side="right") - 1, 0)
    places = tuple(int(v) for v in relative[0][before])
    level = _Level(places, tuple(tuple(bool(b) for b in t) for t in tables[1:]))
    return level, first, rest[0], tuple(rest[1:])


def _join(levels: list[_Level], outer: _Level) -> None:
    """Adds a loop around the others; one with the last of them where both step evenly."""
    if levels and levels[-1].plain and outer.plain:
        inner = levels[-1]
        step, count = inner.places[1] - inner.places[0], len(inner.places)
        if outer.places[1] - outer.places[0] == step * count:
            total = count * len(outer.places)
            levels[-1] = _Level(
                tuple(step * i for i in range(total)), ((True,) * total,) * len(inner.masks)
            )
            return
    levels.append(outer)
