"""The memory of a rearrangement: how many words it takes, and who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwc.hw.memory import bram18, lutram
from hwc.hw.queue import queue_form
from hwc.hw.unit import UnitError

__all__ = ["Ring"]

Ints = NDArray[np.int64]

BRAM_LUTS = 100
"""What half a block RAM counts when depths are compared."""


@dataclass(frozen=True, eq=False)
class Ring:
    """Words of all frames, one after the other, in ``depth`` places taken in turn.

    ``taken`` words a frame are written in order; reading k of a frame reads word ``place[k]``
    (none if -1) once ``needs[k]`` words of the frame are there. A depth of ``taken`` or twice that
    has frames begin at one or two places; powers of two wrap by themselves. Writing waits for
    readings at the granularity of ``blocks`` equal blocks of a frame.
    """

    taken: int
    place: Ints
    needs: Ints
    blocks: int
    width: int
    wish: int

    @property
    def given(self) -> int:
        """Readings of a frame."""
        return len(self.place)

    @cached_property
    def _last(self) -> Ints:
        """Readings of the frame until each word, and all before it, are free."""
        last = np.full(self.taken, -1)
        real = self.place >= 0
        np.maximum.at(last, self.place[real], np.flatnonzero(real))
        last = np.where(last < 0, int(last.max()) - self.given, last)
        return np.maximum.accumulate(last) + 1

    def releases(self, depth: int) -> Ints:
        """``[block]``: readings, counted from the beginning of the frame, before a block of words
        may be written; negative ones lie in earlier frames."""
        frames, word = np.divmod(np.arange(self.taken) - depth, self.taken)
        until = self._last[word] + frames * self.given
        return until.reshape(self.blocks, -1).max(axis=1)

    def _words(self, depth: int) -> Ints:
        """The same for each word."""
        return np.repeat(self.releases(depth), self.taken // self.blocks)

    def lives(self, depth: int) -> bool:
        """Whether writing and reading never wait for each other in a circle."""
        return bool((self._words(depth)[self.needs - 1] <= np.arange(self.given)).all())

    def keeps_rate(self, depth: int) -> bool:
        """Whether a frame takes no more cycles than the busier of writing and reading."""
        if not self.lives(depth):
            return False
        free = self._words(depth)
        if self.given >= self.taken:
            # Reading k is in cycle k; writings as early as they may, and in time for it.
            early = _paced(free, self.given)
            first = np.searchsorted(np.maximum.accumulate(self.needs), np.arange(self.taken) + 1)
            return bool((early <= np.where(first < self.given, first - 1, early)).all())
        early = _paced(self.needs, self.taken)
        frames = 2 + -(-depth // self.taken)
        ahead = np.concatenate([free + g * self.given for g in range(frames)])
        first = np.searchsorted(np.maximum.accumulate(ahead), np.arange(self.given) + 1)
        return bool((early <= np.where(first < len(ahead), first - 1, early)).all())

    @property
    def legal(self) -> list[int]:
        """Depths that it can have, the slow ones too."""
        powers = {1 << n for n in range(1, (2 * self.taken - 1).bit_length())}
        return [d for d in sorted({*powers, self.taken, 2 * self.taken} - {1}) if self.lives(d)]

    @cached_property
    def depth(self) -> int:
        """Words of the memory."""
        if self.wish:
            if self.wish not in self.legal:
                raise UnitError(
                    f"GatherUnit: depth must be 0 (automatic) or one of {self.legal}, "
                    f"got {self.wish}"
                )
            return self.wish
        # Of equally dear ones the deepest: it lets writing run ahead.
        fast = [d for d in self.legal if self.keeps_rate(d)]
        return min(fast, key=lambda d: (self._cost(d), -d))

    def _cost(self, depth: int) -> float:
        """In LUTs; where frames begin at several places, beats wait a cycle for their address."""
        start = self.width / 2 + 4 if self.taken % depth else 0
        if queue_form(self.width, depth) == "bram":
            return start + BRAM_LUTS * bram18(self.width, depth)
        return start + lutram(self.width, depth)

    @property
    def bases(self) -> int:
        """Bits of the register that says where the frame that is read begins; 0: always at 0."""
        if self.taken % self.depth == 0:
            return 0
        return 1 if self.depth == 2 * self.taken else (self.depth - 1).bit_length()


def _paced(release: Ints, period: int) -> Ints:
    """Earliest cycles of firings of a frame, one a cycle, none before its release; frames repeat
    every ``period`` cycles."""
    both = np.concatenate([release, release + period])
    index = np.arange(len(both))
    early = index + np.maximum.accumulate(both - index)
    return early[len(release) :] - period
