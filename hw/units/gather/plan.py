"""How a static rearrangement is cut into words that move as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Gather, Type
from hwc.hw.units.gather.ring import Ring
from hwc.hw.units.gather.walk import Walk, factor

__all__ = ["GatherFold", "GatherPlan", "Words", "folds", "plan_of", "run_tile"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAMPLE = 64
"""Words that are looked at before all are."""
BLOCKS = 64
"""Rounds of the outer of two loops whose tables take one LUT a bit."""


@dataclass(frozen=True)
class GatherFold:
    """Elements, neighbours in row-major order, of an input beat and of an output beat; and the
    words of the memory: 0 for none where none is needed, else the cheapest of full rate.
    """

    taken: int
    given: int
    depth: int = 0


def run_tile(shape: tuple[int, ...], size: int) -> tuple[int, ...] | None:
    """The tile of ``size`` elements that are neighbours in row-major order, if there is one."""
    tile: list[int] = []
    if size < 1:
        return None
    for n in reversed(shape):
        part = min(n, size)
        if n % part or size % part:
            return None
        tile.append(part)
        size //= part
    return tuple(reversed(tile)) if size == 1 else None


def word_sizes(shape: tuple[int, ...]) -> list[int]:
    """All sizes that have a :func:`run_tile`."""
    sizes, whole = [1], 1
    for n in reversed(shape):
        sizes += [whole * d for d in range(2, n + 1) if n % d == 0]
        whole *= n
    return sizes


@dataclass(frozen=True)
class Words:
    """An index in words: output word k is made of input word ``place[k]``, -1: of fill alone.

    Its element j is element ``pattern[j]`` of that word, -1: fill.
    """

    place: Ints
    pattern: tuple[int, ...]

    @classmethod
    def of(cls, index: Ints, taken: int, given: int) -> Words | None:
        """The index in these words if all output words are made alike, else None."""
        rows = index.reshape(-1, given)
        for part in (rows[:SAMPLE], rows):
            full = part.max(axis=1) >= 0
            if not full.any():
                continue
            some = part[full]
            pattern = np.where(some[0] < 0, -1, some[0] % taken)
            if (np.where(some < 0, -1, some % taken) != pattern).any():
                return None
            inside = some[:, pattern >= 0] // taken
            if (inside != inside[:, :1]).any():
                return None
        place = np.full(len(rows), -1)
        place[full] = inside[:, 0]
        return cls(place, tuple(int(v) for v in pattern))


@dataclass(frozen=True)
class GatherPlan:
    """All numbers of a rearrangement unit."""

    words: Words
    taken: int
    """Words of an input frame."""
    element: int
    """Bits of a stored element."""
    depth: int
    """Words of the memory that are asked for; 0: the cheapest of full rate."""

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Elements of an input word that go anywhere."""
        return tuple(sorted(set(self.words.pattern) - {-1}))

    @property
    def given(self) -> int:
        """Words of an output frame."""
        return len(self.words.place)

    @property
    def fills(self) -> Bools:
        """Output words that are fill alone."""
        return self.words.place < 0

    @cached_property
    def passing(self) -> Walk | None:
        """Without a memory, words dropped: firings per input word; its mask says which are given.

        For words that come in their order, each once, none put in.
        """
        place = self.words.place
        if self.depth or place[0] < 0 or (np.diff(place) <= 0).any():
            return None
        wanted = np.zeros(self.taken, bool)
        wanted[place] = True
        return factor(np.zeros(self.taken, np.int64), wanted, (wanted,))

    @cached_property
    def holding(self) -> Walk | None:
        """Without a memory, words repeated or put in: firings per output word. The masks say
        which take a word, and which are not fill.

        For words that come in their order, none left out; and not fill first, which would leave
        before its frame is there.
        """
        place = self.words.place
        if place[0] < 0:
            return None
        real = place[place >= 0]
        steps = np.diff(real, prepend=-1)
        if self.depth or not set(steps.tolist()) <= {0, 1} or real[-1] != self.taken - 1:
            return None
        takes = place >= 0
        takes[takes] = steps == 1
        return factor(np.zeros(len(place), np.int64), place >= 0, (takes, place >= 0))

    @cached_property
    def repeats(self) -> bool:
        """Whether a word is given more than once in a row."""
        return bool((np.diff(self.words.place[~self.fills]) == 0).any())

    @cached_property
    def nest(self) -> Walk | None:
        """Where words lie in the frame, as loops; its mask says which are not fill."""
        return factor(self.words.place, ~self.fills, (~self.fills,))

    @cached_property
    def walk(self) -> Walk:
        """The reading process: its loops, and where each firing's word lies (with a ROM: at most).

        Fill reads some word as well.
        """
        if self.nest is not None:
            return self.nest
        blocks = block_count(self.given)
        most = np.maximum.accumulate(self.words.place.reshape(blocks, -1).max(axis=1)).tolist()
        return Walk.blocks(blocks, self.given // blocks, [max(0, v) for v in most])

    @cached_property
    def ring(self) -> Ring:
        """The memory."""
        return Ring(
            self.taken,
            self.words.place,
            self.walk.place.over(self.walk.loops) + 1,
            block_count(self.taken),
            len(self.used) * self.element,
            self.depth,
        )


def block_count(words: int) -> int:
    """Into how many equal blocks words are cut for tables that need not be exact."""
    return max(d for d in range(1, min(words, BLOCKS) + 1) if words % d == 0)


@lru_cache(maxsize=512)
def plan_of(op: Gather, x: Type, fold: GatherFold) -> GatherPlan | None:
    """The plan of a fold; None if the index does not move in such words."""
    words = Words.of(op.index.values, fold.taken, fold.given)
    if words is None:
        return None
    return GatherPlan(words, x.size // fold.taken, x.width, fold.depth)


def folds(op: Gather, x: Type, most: int) -> Iterator[GatherFold]:
    """All folds whose beats have at most ``most`` bits."""
    width = op.infer(x).width
    for given in word_sizes(op.shape):
        for taken in word_sizes(x.shape):
            if max(given, taken) * width > most and max(given, taken) > 1:
                continue
            if plan_of(op, x, GatherFold(taken, given)) is not None:
                yield GatherFold(taken, given)
