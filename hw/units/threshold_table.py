"""The constants of thresholds, brought into the form in which hardware compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Value
from numpy.typing import NDArray

from hwc.compiler.graph import MultiThreshold
from hwc.hw.dot import Number

__all__ = ["ThresholdTable"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ThresholdTable:
    """The constants of a :class:`MultiThreshold` on x, for ``lanes`` channels at once.

    A descending channel counts ``x <= t`` as what ``x >= t + 1`` leaves over, so that it differs
    only in the code of a count. Thresholds beyond the interval of x move to its ends.
    """

    op: MultiThreshold
    x: Number
    channels: int
    lanes: int

    @cached_property
    def flip(self) -> Ints:
        """``[channel]``: 1 if descending."""
        return np.broadcast_to(np.array(self.op.descending, np.int64), self.channels)

    @cached_property
    def values(self) -> Ints:
        """``[channel, k]``: entry k is reached if ``x >= t``; sorted, in [x.lo, x.hi + 1]."""
        t = np.broadcast_to(self.op.thresholds.values, (self.channels, self.op.levels))
        t = np.clip(t, self.x.lo - 1, self.x.hi + 1) + self.flip[:, None]
        return np.clip(t, self.x.lo, self.x.hi + 1)

    @cached_property
    def t(self) -> Number:
        """What an entry can be."""
        return Number(int(self.values.min()), int(self.values.max()))

    @cached_property
    def mixed(self) -> bool:
        """Whether some channels ascend and others descend: then a bit per channel says which."""
        return len(set(self.flip.tolist())) > 1

    @cached_property
    def steps(self) -> int:
        """Words of constants per lane; 1 if all channels are alike."""
        alike = bool((self.values == self.values[0]).all()) and not self.mixed
        return 1 if alike else -(-self.channels // self.lanes)

    @property
    def levels(self) -> int:
        """Thresholds per channel."""
        return self.op.levels

    @cached_property
    def y(self) -> Number:
        """What a result can be."""
        lo, step = self.op.lo, self.op.step
        return Number(lo, lo + step * self.levels, (lo, step, self.levels) == (-1, 2, 1))

    @cached_property
    def width(self) -> int:
        """Bits of the operands of a comparison."""
        return Number(min(self.x.lo, self.t.lo), max(self.x.hi, self.t.hi)).width

    @cached_property
    def read(self) -> int:
        """Bits of x that the comparisons look at: where each lane has its thresholds for good, low
        bits that no threshold has are none of them."""
        if self.steps > 1:
            return self.x.width
        v = self.values
        inside = {int(v) for v in np.unique(v[(self.x.lo < v) & (v <= self.x.hi)])}
        zeros = [(v & -v).bit_length() - 1 if v else self.x.width - 1 for v in inside]
        return self.x.width - min(zeros, default=self.x.width)

    def code(self, count: int, flip: int) -> int:
        """Bits of the result when ``count`` entries are reached."""
        count = min(count, self.levels)
        value = self.op.lo + self.op.step * (self.levels - count if flip else count)
        return int(value > 0) if self.y.bipolar else value & (1 << self.y.width) - 1

    def codes(self, flip: int) -> list[int]:
        """:meth:`code` of 0, 1 ... thresholds."""
        return [self.code(count, flip) for count in range(self.levels + 1)]

    def truth(self, channel: int) -> list[int]:
        """The result's bits of a channel by the ``read`` upper bits of x."""
        low = self.x.width - self.read
        index = np.arange(1 << self.read)
        if self.x.signed:
            index -= (index >> self.read - 1) << self.read
        counts = np.searchsorted(self.values[channel], index << low, side="right")
        return [self.code(int(count), int(self.flip[channel])) for count in counts]

    def word(self, lane: int, step: int, entries: Sequence[int], flip: bool) -> int:
        """The listed entries of a channel, first in the low bits, then its direction if asked for.

        Past the last channel, that one is repeated.
        """
        c = min(step * self.lanes + lane, self.channels - 1)
        mask, total = (1 << self.t.width) - 1, 0
        for i, k in enumerate(entries):
            total |= (int(self.values[c, k]) & mask) << i * self.t.width
        return total | (int(self.flip[c]) << len(entries) * self.t.width if flip else 0)

    def entry(self, word: Value, index: int = 0) -> Value:
        """One entry of a word."""
        value = word[index * self.t.width : (index + 1) * self.t.width]
        return value.as_signed() if self.t.signed else value
