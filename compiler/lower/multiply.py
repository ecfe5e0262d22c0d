"""Multiply-shift requantization, used only where it is proved to give the quantizer's integers.

y = clip(round((m * x + b) / 2**shift), lo, hi) is monotone in x, and so is the quantizer: they
agree on every x of the interval if they agree on both sides of every breakpoint. For a given
multiplier each breakpoint bounds the offset b from one or both sides, so the proof is an interval
that is not empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import MultiThreshold, Quantizer, Requant, Rounding, TwoSlope
from hwc.compiler.lower.exact import Vector, spread
from hwc.compiler.lower.quantize import MOST_BREAKPOINTS, Breakpoints, Ints, round_breakpoints
from hwc.compiler.lower.value import Value

__all__ = [
    "MULTIPLIER_BITS",
    "THRESHOLD_BITS",
    "find_requant",
    "from_breakpoints",
    "quantize",
    "two_slopes",
]

THRESHOLD_BITS = 4
"""Quantizers of at most this many bits become thresholds, wider ones multiply-shift if proved."""

MULTIPLIER_BITS = 32
"""Widest magnitude of a multiplier. The narrowest that is proved is taken, so most fit the 25-bit
port of a DSP48; the scales of others need up to 29 bits, still cheaper than 255 thresholds."""

SAMPLE = 16
"""Channels that are tried first, to give up early on a shift that is too coarse."""


def quantize(
    value: Value, scale: Vector, zero: int, lo: int, hi: int, rounding: str = "half_even"
) -> Quantizer | None:
    """The op from `value`'s codes to clip(round(real / scale) + zero, lo, hi).

    None if the codes are the answer already. `scale` (> 0) is in the order of the graph's channels;
    the value has no steps. Raises LowerError if there are more levels than can be checked.
    """
    unsettled, value = value, value.settled()
    slope, offset = value.slope / scale, value.offset / scale
    inside = lo <= value.type.lo and value.type.hi <= hi
    same = all(s == 1 for s in slope) and all(b == -zero for b in offset)
    if inside and same and not value.clipped and value.second is None:
        return None
    size = max(len(slope), len(offset))
    plain = not value.clipped and value.second is None and rounding == "half_even"
    if size * (hi - lo) > MOST_BREAKPOINTS and plain:
        exact = _verbatim(slope, offset, zero, lo, hi)
        if exact is not None:
            return exact
    # A clip that all channels have in common stays one, though some of them cannot reach it.
    points = round_breakpoints(unsettled, scale, zero, lo, hi, rounding)
    if value.second is None or (hi - lo).bit_length() <= THRESHOLD_BITS:
        return from_breakpoints(points, slope, offset + zero, hi - lo)
    second = value.second
    lines = [
        replace(value, slope=s, offset=b, second=None)
        for s, b in ((value.slope, value.offset), (second.slope, second.offset))
    ]
    return two_slopes(lines, second.largest, scale, zero, lo, hi, rounding) or points.thresholds()


def from_breakpoints(
    points: Breakpoints, slope: Vector, offset: Vector, levels: int
) -> MultiThreshold | Requant:
    """Thresholds for few `levels`, else a proved multiply-shift if there is one."""
    if levels.bit_length() <= THRESHOLD_BITS:
        return points.thresholds()
    return find_requant(points, slope, offset) or points.thresholds()


def two_slopes(
    lines: Sequence[Value],
    largest: Vector,
    scale: Vector,
    zero: int,
    lo: int,
    hi: int,
    rounding: str,
) -> TwoSlope | None:
    """The larger of two linear values with the same clips (where not `largest`: the smaller), each
    by a multiply-shift of its own: rounding keeps the order, so the larger result is that of the
    larger line. None if one has none that is proved."""
    found = []
    for line in lines:
        points = round_breakpoints(line, scale, zero, lo, hi, rounding)
        requant = find_requant(points, line.slope / scale, line.offset / scale + zero)
        if requant is None:
            return None
        found.append(requant)
    return TwoSlope(found[0], found[1], tuple(bool(v) for v in largest))


def find_requant(points: Breakpoints, slope: Vector, offset: Vector) -> Requant | None:
    """The proved multiply-shift with the narrowest multiplier, or None up to MULTIPLIER_BITS.

    slope * x + offset is the function before rounding, in output codes; it only guides the search.
    Plain shifts (`floor`, the rounding folded into the offset) are preferred; where ties need it,
    `half_even`.
    """
    size = len(points.first)
    slopes = np.array([abs(s) for s in spread(slope, size)], dtype=object)
    offsets = spread(offset, size)
    few = _rows(points, slice(0, SAMPLE))
    top = max(abs(points.lo), abs(points.lo + points.levels) + 1).bit_length()
    reach = int(max(np.abs(points.least).max(), np.abs(points.most).max()) + 1).bit_length()
    for shift in range(60 - top):
        multiplier = np.array([round(s * 2**shift) for s in slopes], dtype=object)
        widest = int(max(multiplier)).bit_length()
        if widest > MULTIPLIER_BITS or widest + reach > 60:
            return None
        if widest == 0 and any(slopes):
            continue
        m = multiplier.astype(np.int64)
        for rounding in ("floor", "half_even") if shift else ("floor",):
            if _offsets(few, m[:SAMPLE], shift, rounding) is None:
                continue
            bounds = _offsets(points, m, shift, rounding)
            if bounds is not None:
                b = _choose(bounds, offsets, shift, rounding)
                m = np.where(points.flip, -m, m)
                return _requant(m, b, shift, points.lo, points.lo + points.levels, rounding)
    return None


def _rows(points: Breakpoints, rows: slice) -> Breakpoints:
    return replace(
        points,
        first=points.first[rows],
        flip=points.flip[rows],
        least=points.least[rows],
        most=points.most[rows],
    )


def _offsets(
    points: Breakpoints, multiplier: Ints, shift: int, rounding: Rounding
) -> tuple[Ints, Ints] | None:
    """Smallest and largest b of each channel that put every breakpoint in its place, or None.

    For u = first[j] the sum m*u + b must reach need[j], the smallest sum that gives level j;
    for u = first[j] - 1 it must stay below. Saturated breakpoints lie on one side of the interval
    only. Unbounded sides are +-2**62.
    """
    levels = np.arange(points.lo + 1, points.lo + 1 + points.levels, dtype=np.int64)
    if rounding == "floor":
        need = levels << shift
    else:  # a half reaches even levels only
        need = ((2 * levels - 1) << (shift - 1)) + levels % 2
    slack = need - multiplier[:, None] * points.first
    some, far = points.first <= points.most[:, None], np.int64(2**62)
    least = np.where(some, slack, -far).max(axis=1)
    before = points.first > points.least[:, None]
    most = np.where(before, slack + multiplier[:, None] - 1, far).min(axis=1)
    return None if (least > most).any() else (least, most)


def _choose(
    bounds: tuple[Ints, Ints], offsets: Vector, shift: int, rounding: Rounding
) -> list[int]:
    """The legal integer offset closest to the exact one."""
    half = Fraction(1, 2) if rounding == "floor" and shift else Fraction(0)
    wanted = [round((b + half) * 2**shift) for b in offsets]
    return [
        min(max(w, int(least)), int(most))
        for w, least, most in zip(wanted, bounds[0], bounds[1], strict=True)
    ]


def _verbatim(slope: Vector, offset: Vector, zero: int, lo: int, hi: int) -> Requant | None:
    """The requantization whose constants are exactly those of the quantizer, if dyadic and narrow.

    No proof by breakpoints is needed then. An odd zero point would turn the parity of ties.
    """
    constants = [*slope, *offset]
    shift = max(v.denominator for v in constants).bit_length() - 1
    if zero % 2 or any((1 << shift) % v.denominator for v in constants) or shift > 62:
        return None
    m = [int(s * 2**shift) for s in slope]
    b = [int((v + zero) * 2**shift) for v in offset]
    if max(map(abs, m)) >= 1 << MULTIPLIER_BITS or max(map(abs, b)) >= 1 << 62:
        return None
    return _requant(np.array(m), b, shift, lo, hi, "half_even" if shift else "floor")


def _requant(m: Ints, b: list[int], shift: int, lo: int, hi: int, rounding: Rounding) -> Requant:
    """A Requant, with one entry where all channels agree."""
    if len(set(m.tolist())) == 1:
        m = m[:1]
    return Requant(m, b[:1] if len(set(b)) == 1 else b, shift, lo, hi, rounding)
