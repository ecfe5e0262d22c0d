"""Quantizers as integer operations, exactly.

A quantizer of a pending function is a monotone staircase of the code x in every channel, so it is
fixed by its breakpoints: for each output level, the first x that reaches it. They are computed in
exact rationals (ties included) and used as the thresholds of a MultiThreshold, or as the proof that
a multiply-shift gives the same integers (`hwc.compiler.lower.multiply`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import MultiThreshold
from hwc.compiler.lower.exact import Vector, spread
from hwc.compiler.lower.value import LowerError, Value

__all__ = ["Breakpoints", "bipolar", "round_breakpoints"]

MOST_BREAKPOINTS = 1 << 22
"""Channels times levels that are enumerated at most (seconds, and 32 MB)."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Breakpoints:
    """The steps of each channel's staircase: with u = -x where `flip`, else u = x, the output is at
    least lo + 1 + j for exactly the u >= first[c, j].

    `first` is (channels or 1, levels), not decreasing in j, and saturated to
    [least, most + 1] where [least, most] is the interval of u: `least` is always reached,
    `most + 1` never. All int64.
    """

    first: Ints
    flip: NDArray[np.bool_]
    least: Ints
    most: Ints
    lo: int

    @property
    def levels(self) -> int:
        """Output codes less one."""
        return self.first.shape[1]

    def thresholds(self, step: int = 1) -> MultiThreshold:
        """The staircase as thresholds on x; `flip` becomes a descending channel."""
        table = np.where(self.flip[:, None], -self.first[:, ::-1], self.first)
        flags = (bool(self.flip[0]),) if len(set(self.flip)) == 1 else tuple(map(bool, self.flip))
        return MultiThreshold(table, flags, self.lo, step)


def round_breakpoints(value: Value, scale: Vector, zero: int, lo: int, hi: int) -> Breakpoints:
    """Steps of clip(round_half_even(real / scale) + zero, lo, hi); scale > 0 in graph order.

    Clips of the value become a smaller [lo, hi]: rounding is monotone, so
    round(clip(v, a, b)) = clip(round(v), round(a), round(b)).
    """
    slope, offset = value.slope / scale, value.offset / scale
    size = max(len(slope), len(offset), len(value.low), len(value.high), len(scale))
    low, high = (
        [
            _code(v, s, zero, lo, hi)
            for v, s in zip(spread(b, size), spread(scale, size), strict=True)
        ]
        for b in (value.low, value.high)
    )
    least, most = min(low), max(high)
    if least == most:  # every channel is constant, but a table needs a level
        least, most = (least, least + 1) if least < hi else (least - 1, least)
    if size * (most - least) > MOST_BREAKPOINTS:
        raise LowerError(
            f"{size} channels of {most - least} levels are more breakpoints than "
            f"{MOST_BREAKPOINTS} to check; use fewer bits, one scale, or power-of-two scales"
        )
    levels = np.arange(least + 1, most + 1, dtype=np.int64)
    return _steps(
        value,
        spread(slope, size),
        spread(offset, size),
        doubled=2 * (levels - zero) - 1,
        strict=(levels - zero) % 2 == 1,  # half to even: a tie rounds up to even levels only
        always=[int(np.searchsorted(levels, v, "right")) for v in low],
        possible=[int(np.searchsorted(levels, v, "right")) for v in high],
        lo=least,
    )


def bipolar(value: Value) -> MultiThreshold:
    """The op to +1 where real >= 0, else -1."""
    size = max(len(value.slope), len(value.offset), len(value.low), len(value.high))
    points = _steps(
        value,
        spread(value.slope, size),
        spread(value.offset, size),
        doubled=np.zeros(1, np.int64),
        strict=np.zeros(1, np.bool_),
        always=[int(v >= 0) for v in spread(value.low, size)],
        possible=[int(v >= 0) for v in spread(value.high, size)],
        lo=-1,
    )
    return points.thresholds(step=2)


def _code(bound: Fraction | float, scale: Fraction, zero: int, lo: int, hi: int) -> int:
    """The code of a clip bound, itself clipped to [lo, hi]."""
    if isinstance(bound, float):
        return lo if bound < 0 else hi
    return min(max(round(bound / scale) + zero, lo), hi)


def _steps(
    value: Value,
    slope: Vector,
    offset: Vector,
    doubled: Ints,
    strict: NDArray[np.bool_],
    always: list[int],
    possible: list[int],
    lo: int,
) -> Breakpoints:
    """First u of each channel with 2 * (slope * x + offset) >= doubled[j] (> where strict).

    The first `always[c]` levels of channel c are always reached, those from `possible[c]` on never.
    """
    size = len(slope)
    flip = np.array([s < 0 for s in slope], np.bool_)
    lows = np.where(flip, -value.type.hi, value.type.lo).astype(np.int64)
    highs = np.where(flip, -value.type.lo, value.type.hi).astype(np.int64)
    first = np.empty((size, len(doubled)), np.int64)
    for c in range(size):
        least, most = int(lows[c]), int(highs[c])
        row = _first(abs(slope[c]), offset[c], doubled, strict, least, most)
        row[: always[c]] = least
        row[possible[c] :] = most + 1
        first[c] = row
    return Breakpoints(first, flip, lows, highs, lo)


def _first(
    slope: Fraction,
    offset: Fraction,
    doubled: Ints,
    strict: NDArray[np.bool_],
    least: int,
    most: int,
) -> Ints:
    """Smallest u in [least, most] with 2 * (slope * u + offset) >= doubled (> where strict).

    most + 1 where there is none. slope >= 0; `doubled` must not decrease.
    """
    q = math.lcm(slope.denominator, offset.denominator)
    p2 = 2 * slope.numerator * (q // slope.denominator)
    r2 = 2 * offset.numerator * (q // offset.denominator)
    biggest = q * int(np.abs(doubled).max()) + abs(r2) + p2
    need = doubled.astype(object if biggest >= 2**62 else np.int64) * q - r2  # p2 * u >= need
    if p2 == 0:
        reached = np.where(strict, need < 0, need <= 0)
        return np.where(reached, least, most + 1).astype(np.int64)
    u = np.where(strict, need // p2 + 1, -(-need // p2))
    return np.clip(u, least, most + 1).astype(np.int64)
