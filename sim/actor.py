"""A process as the timing engine takes it: runs of like firings instead of loop nests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwc.hw.design import DesignError

__all__ = ["Actor", "by_frame", "lowest"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).min // 4)
"""Needs below this are always met."""


@dataclass
class Actor:
    """A process of a unit, or one end of the outside world, with its ports joined to queues."""

    name: str
    firings: int
    gate: int = -1
    takes: list[tuple[int, Bools]] = field(default_factory=list)
    """Queue and, for each firing, whether it takes from it."""
    gives: list[tuple[int, int, Bools]] = field(default_factory=list)
    """Queue, latency and mask."""
    needs: list[tuple[int, Ints]] = field(default_factory=list)
    """Process number and firings needed, relative to the frame."""
    skipped: Bools | None = None
    """Which firings of all frames take no cycle, if data decide."""

    @property
    def skips(self) -> int:
        """The bit, among the ports used, that says that a firing is skipped."""
        return 1 << len(self.takes) + len(self.gives)

    def segments(self) -> tuple[Ints, Ints, list[Ints], list[int]]:
        """Runs of like firings: ``(count, ports used as bits, needs by link, distinct uses)``."""
        masks = [mask for _, mask in self.takes] + [mask for _, _, mask in self.gives]
        if self.skipped is not None:
            masks.append(self.skipped)
        length = max([self.firings, *(len(mask) for mask in masks)])
        use = np.zeros(length, np.int64)
        for bit, mask in enumerate(masks):
            use |= np.resize(mask, length).astype(np.int64) << bit
        fresh = np.zeros(length, bool)
        # The first firing of a frame stands alone: its cycle is kept.
        fresh[:: self.firings] = True
        fresh[1 :: self.firings] = True
        if self.firings > 1:
            fresh[1:] |= use[1:] != use[:-1]
        needs = []
        for _, need in self.needs:
            grown = np.maximum.accumulate(need)
            step = np.concatenate([[True], grown[1:] > grown[:-1]])
            fresh |= np.resize(step, length)
            needs.append(np.resize(grown, length))
        if self.firings == 1:
            fresh[:] = True
        starts = np.flatnonzero(fresh)
        count = np.diff(np.append(starts, length))
        return count, use[starts], [need[starts] for need in needs], np.unique(use).tolist()


def lowest(need: Ints) -> int:
    """The furthest that a link looks back, 0 or negative."""
    return int(need[need > NEVER].min(initial=0))


def by_frame(
    name: str, conditions: Mapping[str, ArrayLike], frames: int, firings: int
) -> list[dict[str, Bools]]:
    """The conditions of a process of instance ``name``, cut into frames."""
    found: list[dict[str, Bools]] = [{} for _ in range(frames)]
    for c, given in conditions.items():
        values = np.asarray(given, bool)
        if len(values) < frames * firings:
            raise DesignError(
                f"condition {c!r} of {name!r}: {frames} frames need {frames * firings} values, "
                f"one a firing, not {len(values)}"
            )
        for f, frame in enumerate(found):
            frame[c] = values[f * firings : (f + 1) * firings]
    return found
