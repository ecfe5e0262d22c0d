"""Quantizers as integer operations, exactly.

A quantizer of a pending function is a monotone staircase of the code x in every channel, so it is
fixed by its breakpoints: for each output level, the first x that reaches it. They are computed in
exact rationals (ties included) and used as the thresholds of a MultiThreshold, or as the proof that
a multiply-shift gives the same integers (`hwc.compiler.lower.multiply`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import MultiThreshold
from hwc.compiler.lower.exact import Vector, spread, vector
from hwc.compiler.lower.value import LowerError, Value
from hwc.compiler.source.rounding import reached, round_exact

__all__ = [
    "Breakpoints",
    "Targets",
    "bipolar",
    "round_breakpoints",
    "round_targets",
    "threshold_breakpoints",
]

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


@dataclass(frozen=True, eq=False)
class Targets:
    """Numbers to reach, not decreasing: numerator / denominator each (exceed it where strict)."""

    numerator: NDArray[Any]
    denominator: int
    strict: NDArray[np.bool_]

    @staticmethod
    def of(numbers: Sequence[Fraction], strict: Sequence[bool]) -> Targets:
        """From exact rationals."""
        denominator = math.lcm(*(n.denominator for n in numbers))
        numerator = [n.numerator * (denominator // n.denominator) for n in numbers]
        wide = max(map(abs, numerator)) >= 2**62
        array = np.array(numerator, object if wide else np.int64)
        return Targets(array, denominator, np.array(strict, np.bool_))


def round_breakpoints(
    value: Value, scale: Vector, zero: int, lo: int, hi: int, rounding: str = "half_even"
) -> Breakpoints:
    """Steps of clip(round(real / scale) + zero, lo, hi); scale > 0 in graph order.

    Clips of the value become a smaller [lo, hi]: rounding is monotone, so
    round(clip(v, a, b)) = clip(round(v), round(a), round(b)).
    """
    size = max(value.rows, len(scale))
    low, high = (
        [
            _code(v, s, zero, lo, hi, rounding)
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
    levels = range(least + 1, most + 1)
    return _steps(
        value.affine(1 / scale, vector(0)),
        size,
        [round_targets(levels, zero, rounding)],
        always=[v - least for v in low],
        possible=[v - least for v in high],
        lo=least,
    )


def round_targets(levels: Sequence[int], zero: int, rounding: str) -> Targets:
    """What real / scale has to reach so that its rounding plus zero is each level or more."""
    if rounding == "half_even":  # a tie rounds up to even levels only
        array = np.array(levels, np.int64) - zero
        return Targets(2 * array - 1, 2, array % 2 == 1)
    return Targets.of(*zip(*(reached(level - zero, rounding) for level in levels), strict=True))


def bipolar(value: Value) -> MultiThreshold:
    """The op to +1 where real >= 0, else -1."""
    return threshold_breakpoints(value, [[Fraction(0)]], -1).thresholds(step=2)


def threshold_breakpoints(value: Value, rows: Sequence[Sequence[Fraction]], lo: int) -> Breakpoints:
    """Steps of lo + (how many of the channel's numbers the real value reaches).

    `rows` are the ascending numbers of each channel, or one row for all.
    """
    size = max(value.rows, len(rows))
    return _steps(
        value,
        size,
        [Targets.of(row, [False] * len(row)) for row in rows],
        always=_counts(rows, value.low, size),
        possible=_counts(rows, value.high, size),
        lo=lo,
    )


def _counts(rows: Sequence[Sequence[Fraction]], bounds: Vector, size: int) -> list[int]:
    """How many numbers of its row the bound of each channel reaches."""
    all_rows = list(rows) * size if len(rows) == 1 else rows
    pairs = zip(all_rows, spread(bounds, size), strict=False)
    return [sum(bound >= number for number in row) for row, bound in pairs]


def _code(
    bound: Fraction | float, scale: Fraction, zero: int, lo: int, hi: int, rounding: str
) -> int:
    """The code of a clip bound, itself clipped to [lo, hi]."""
    if isinstance(bound, float):
        return lo if bound < 0 else hi
    return min(max(round_exact(bound / scale, rounding) + zero, lo), hi)


def _steps(
    value: Value,
    size: int,
    targets: list[Targets],
    always: list[int],
    possible: list[int],
    lo: int,
) -> Breakpoints:
    """First u of each of `size` channels at which the value, before its clips, meets each target.

    The first `always[c]` levels of channel c are always reached, those from `possible[c]` on never.
    """
    slope, offset = spread(value.slope, size), spread(value.offset, size)
    flip = np.array([s < 0 for s in slope], np.bool_)
    lows = np.where(flip, -value.type.hi, value.type.lo).astype(np.int64)
    highs = np.where(flip, -value.type.lo, value.type.hi).astype(np.int64)
    lines = [(slope, offset)]
    largest = np.ones(size, np.bool_)
    if value.second is not None:
        slope, offset, kind = (spread(v, size) for v in value.second.vectors)
        lines.append((slope, offset))
        largest = kind.astype(bool)
    first = np.empty((size, len(targets[0].strict)), np.int64)
    for c in range(size):
        least, most, goal = int(lows[c]), int(highs[c]), targets[c if len(targets) > 1 else 0]
        rows = [_first(abs(s[c]), o[c], goal, least, most) for s, o in lines]
        row = np.min(rows, axis=0) if largest[c] else np.max(rows, axis=0)
        row[: always[c]] = least
        row[possible[c] :] = most + 1
        first[c] = row
    return Breakpoints(first, flip, lows, highs, lo)


def _first(slope: Fraction, offset: Fraction, targets: Targets, least: int, most: int) -> Ints:
    """Smallest u in [least, most] with slope * u + offset >= each target (> where strict).

    most + 1 where there is none. slope >= 0.
    """
    d = targets.denominator
    q = math.lcm(slope.denominator, offset.denominator)
    p = d * slope.numerator * (q // slope.denominator)
    r = d * offset.numerator * (q // offset.denominator)
    biggest = q * max(1, int(np.abs(targets.numerator).max())) + abs(r) + p
    wide = object if biggest >= 2**62 else np.int64
    need = targets.numerator.astype(wide) * q - r  # p * u >= need
    if p == 0:
        always = np.where(targets.strict, need < 0, need <= 0)
        return np.where(always, least, most + 1).astype(np.int64)
    u = np.where(targets.strict, need // p + 1, -(-need // p))
    return np.clip(u, least, most + 1).astype(np.int64)
