"""Narrower factors for a quantized sum of narrow codes, proved on every pair of codes.

The scales of a foreign residual are any two floats, whose exact ratio needs factors of 40 bits and
more. What counts is the quantizer behind the sum: smaller factors serve as well if they put every
pair of codes on the same side of every step. With two operands of 8 bits that is 65,536 pairs.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Add
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector
from hwc.compiler.lower.quantize import Breakpoints, round_breakpoints
from hwc.compiler.lower.value import Value

__all__ = ["narrow_sum"]

WIDE = 256
"""Factors up to this are left as they are."""

MOST_PAIRS = 1 << 20


def narrow_sum(
    build: Builder, x: Value, scale: Vector, zero: int, lo: int, hi: int, rounding: str
) -> tuple[Value, Breakpoints] | None:
    """A sum with smaller factors, and the breakpoints on it that give the same codes.

    None if x is no sum with wide factors, has scales of its own in some channel, or if its operands
    have too many codes.
    """
    op = build.op(x.node)
    if not isinstance(op, Add) or max(map(abs, op.multipliers)) <= WIDE or x.rows > 1:
        return None
    types = [build.type(arg) for arg in build.args(x.node)]
    counts = [t.hi - t.lo + 1 for t in types]
    if len(types) != 2 or counts[0] * counts[1] > MOST_PAIRS or len(scale) > 1 or x.slope[0] <= 0:
        return None
    points = round_breakpoints(x.settled(), scale, zero, lo, hi, rounding)
    a, b = (np.arange(t.lo, t.hi + 1) for t in types)
    level = np.searchsorted(points.first[0], op.multipliers[0] * a[:, None] + op.multipliers[1] * b,
                            "right")  # fmt: skip
    wide = max(map(abs, op.multipliers)).bit_length()
    for bits in range(8, wide):
        factors = tuple(round(Fraction(m, 1 << wide - bits)) for m in op.multipliers)
        sums = factors[0] * a[:, None] + factors[1] * b
        first = _separated(sums, level, points.first.shape[1])
        if first is not None:
            value = _value(build, x, factors, wide - bits)
            least, most = np.array([[value.type.lo], [value.type.hi]], np.int64)
            flip = np.zeros(1, np.bool_)
            return value, Breakpoints(first[None], flip, least, most, points.lo)
    return None


def _separated(sums: np.ndarray, level: np.ndarray, levels: int) -> np.ndarray | None:
    """For each step the smallest sum above it, if no sum below is as large; else None."""
    order = np.argsort(sums, axis=None, kind="stable")
    flat, reached = sums.ravel()[order], level.ravel()[order]
    if (np.diff(reached) < 0).any():
        return None
    change = np.flatnonzero(np.diff(reached) > 0)
    if (flat[change] == flat[change + 1]).any():
        return None
    place = np.searchsorted(reached, np.arange(1, levels + 1), "left")
    return np.append(flat, flat[-1] + 1)[place]


def _value(build: Builder, x: Value, factors: tuple[int, ...], dropped: int) -> Value:
    """The value of the sum with other factors; its function is the old one up to rounding."""
    name = build.helper(x.node, "narrow", Add(factors), *build.args(x.node))
    slope = x.slope * (1 << dropped)
    return replace(x, node=name, type=build.type(name), slope=slope)
