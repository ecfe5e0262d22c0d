"""Exact integer steps that prepare a value: pending clips, code of zero, one scale for all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Requant
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector, collapse, common_unit, show, spread, vector
from hwc.compiler.lower.value import INFINITY, LowerError, Value

__all__ = [
    "LARGEST_RATIO",
    "alike",
    "clip_codes",
    "one_scale",
    "positive_slopes",
    "small_ratios",
    "zero_at_0",
]

LARGEST_RATIO = 256
"""Scales whose ratio needs a larger integer than this are not brought together by multipliers."""

ALIKE_BITS = 40
"""Widest integers to which channels are brought so that they can be exchanged."""


def clip_codes(build: Builder, value: Value) -> Value:
    """The value without pending clips, clipped as integers. Raises LowerError off the grid."""
    value = value.settled()
    if not value.linear:
        raise LowerError(
            f"the activation {value} is bent (a leaky ReLU, a sigmoid ...) but not quantized; put "
            "a Quant after it (calibrate it)"
        )
    if not value.clipped:
        return value
    if not (value.uniform and len(value.offset) == 1 and value.slope[0] != 0):
        raise LowerError(_clip_message(value, "its channels have scales of their own"))
    slope, offset = value.slope[0], value.offset[0]
    ends = [v[0] if len(v) == 1 else None for v in (value.low, value.high)]
    if slope < 0:
        ends.reverse()
    bounds: list[int] = []
    for end, limit in zip(ends, (value.type.lo, value.type.hi), strict=True):
        if end is None:
            raise LowerError(_clip_message(value, "its channels have bounds of their own"))
        code = Fraction(limit) if abs(end) == INFINITY else (end - offset) / slope
        if code.denominator != 1:
            raise LowerError(
                _clip_message(value, f"bound {float(end):.9g} is off its integer grid")
            )
        bounds.append(min(max(int(code), value.type.lo), value.type.hi))
    op = Requant([1], [0], 0, bounds[0], bounds[1], "floor")
    node = build.helper(value.node, "clip", op, value.node)
    bare = Value.of(node, build.type(node), value.slope, value.offset, value.origin)
    return replace(bare, order=value.order, weighted=value.weighted)


def _clip_message(value: Value, why: str) -> str:
    return (
        f"the activation {value} is clipped (ReLU or HardTanh) but not quantized, and {why}; "
        "put a Quant after the clip (calibrate it)"
    )


def zero_at_0(build: Builder, value: Value, rule: str = "") -> Value:
    """The value with offset 0, shifted as integers. LowerError if real 0 has no code, with the
    `rule` that needs one (padding if none is given)."""
    if all(b == 0 for b in value.offset):
        return value
    code = value.zero_code()
    if code is None or code.denominator != 1:
        if rule:
            raise LowerError(f"{rule}, which {value} does not have; put a Quant directly before it")
        raise LowerError(zero_message(value, code))
    lo, hi = value.type.lo - int(code), value.type.hi - int(code)
    op = Requant([1], [-int(code)], 0, lo, hi, "floor")
    node = build.helper(value.node, "zero", op, value.node)
    return replace(value, node=node, type=build.type(node), offset=vector(0))


def zero_message(value: Value, code: Fraction | None, real: Fraction = Fraction(0)) -> str:
    """Why padding cannot insert a real number into `value`."""
    where = "a different code in each channel" if code is None else f"code {float(code):.9g}"
    return (
        f"padding inserts real {float(real):g}, which is {where} of {value}, not one integer; put "
        "a Quant directly before the padded operation, or use padding 0"
    )


def positive_slopes(build: Builder, value: Value) -> Value:
    """The value with codes negated in the channels of negative slope, so that max is max."""
    if any(step.direction != 1 for step in value.steps):
        raise LowerError(
            f"the maximum of {value} is not that of its codes, as it goes through a function that "
            "falls somewhere; put a Quant after that function"
        )
    if all(s >= 0 for s in value.slope):
        return value
    sign = np.where(np.array([s < 0 for s in value.slope]), -1, 1)
    lo, hi = value.type.lo, value.type.hi
    ends = [lo * int(s) for s in sign] + [hi * int(s) for s in sign]
    op = Requant(sign, [0], 0, min(ends), max(ends), "floor")
    node = build.helper(value.node, "sign", op, value.node)
    second = value.second
    if second is not None:
        second = replace(second, slope=second.slope * vector(sign))
    slope = value.slope * vector(sign)
    return replace(value, node=node, type=build.type(node), slope=slope, second=second)


def small_ratios(slopes: Vector, largest: int) -> tuple[list[int], Fraction] | None:
    """Integers m and a unit with slopes = m * unit and |m| <= largest, or None."""
    unit = common_unit(slopes)
    if unit == 0:
        return None
    ratios = [int(s / unit) for s in slopes]
    return (ratios, unit) if max(map(abs, ratios)) <= largest else None


def one_scale(build: Builder, value: Value, groups: int = 1) -> Value:
    """The value with one scale in each group of channels, multiplying codes by small integers.

    Raises LowerError if the scales are not small multiples of one unit.
    """
    slopes = spread(value.slope, value.channels).reshape(groups, -1)
    if all(len(collapse(row)) == 1 for row in slopes):
        return value
    scaled = [small_ratios(row, LARGEST_RATIO) for row in slopes]
    if any(row is None for row in scaled):
        raise LowerError(
            f"a sum over channels needs one scale, but {value} has the scales {show(value.slope)}; "
            f"use one scale per tensor in the quantizer of '{value.origin}', or quantize it again"
        )
    m = [ratio for row in scaled if row for ratio in row[0]]
    units = [row[1] for row in scaled if row]
    ends = [end * r for r in m for end in (value.type.lo, value.type.hi)]
    op = Requant(m, [0], 0, min(ends), max(ends), "floor")
    node = build.helper(value.node, "scale", op, value.node)
    slope = np.repeat(vector(units), slopes.shape[1])
    return replace(value, node=node, type=build.type(node), slope=collapse(slope))


def alike(build: Builder, value: Value) -> Value | None:
    """The value with one scale and one offset for all channels, exactly: codes are multiplied and
    shifted as integers. None if those would be wider than `ALIKE_BITS`."""
    slopes, offsets = spread(value.slope, value.channels), spread(value.offset, value.channels)
    start = offsets[0]
    scaled = small_ratios(np.concatenate([slopes, offsets - start]), 1 << ALIKE_BITS)
    if scaled is None:
        return None
    m, b, unit = scaled[0][: len(slopes)], scaled[0][len(slopes) :], scaled[1]
    lo, hi = value.type.lo, value.type.hi
    ends = [r * end + c for r, c in zip(m, b, strict=True) for end in (lo, hi)]
    if max(map(abs, ends)).bit_length() > ALIKE_BITS:
        return None
    op = Requant(m, b, 0, min(ends), max(ends), "floor")
    node = build.helper(value.node, "alike", op, value.node)
    second = value.second
    if second is not None:  # as a function of the first line, wherever that is one
        other, shift = spread(second.slope, len(slopes)), spread(second.offset, len(slopes))
        ratio: Vector = other / np.where(slopes == 0, vector(1), slopes)
        new = ratio * start + shift - ratio * offsets
        second = replace(second, slope=collapse(ratio * unit), offset=collapse(new))
    return replace(
        value, node=node, type=build.type(node), slope=vector(unit), offset=vector(start),
        second=second,
    )  # fmt: skip
