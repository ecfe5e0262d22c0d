"""Quantizers of values that still go through steps: full tables, or thresholds found by bisection.

A step such as a sigmoid has no rational inverse. Where the code is narrow every code is tried,
where the function keeps the order the first code that reaches each level is searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import MultiThreshold, Table
from hwc.compiler.lower.exact import Vector, spread
from hwc.compiler.lower.quantize import Breakpoints
from hwc.compiler.lower.steps import Bend, Normalize, Step
from hwc.compiler.lower.value import LowerError, Value
from hwc.compiler.source.rounding import reached, round_exact
from hwc.compiler.source.shares import WIDEST

__all__ = ["TABLE_BITS", "exact_value", "quantize_steps", "threshold_steps"]

TABLE_BITS = 12
"""Widest code for which a table of all values is made."""

FEW_BITS = 4
"""Up to so many bits thresholds are cheaper than a table."""

Integer = MultiThreshold | Table


def exact_value(value: Value, code: int, channel: int) -> Fraction | float:
    """The real value of one code in one channel, through clips and steps; maybe infinite."""

    def at(vector: Vector) -> Fraction:
        return vector[channel if len(vector) > 1 else 0]

    x = at(value.slope) * code + at(value.offset)
    if value.second is not None:
        other = at(value.second.slope) * code + at(value.second.offset)
        x = max(x, other) if at(value.second.largest) else min(x, other)
    x = Fraction(min(max(x, at(value.low)), at(value.high)))
    pole: float | None = None
    for step in value.steps:
        y = step.exact(x, channel) if pole is None else _beyond(step, pole, channel)
        pole = y if isinstance(y, float) and math.isinf(y) else None
        x = x if pole is not None else Fraction(y)
    return x if pole is None else pole


def _beyond(step: Step, pole: float, channel: int) -> float:
    """A step at an infinity."""
    if isinstance(step, Bend):
        raise LowerError(f"{step.op} of a value that is infinite at some code; put a Quant before")
    y = float(step.exact(pole, channel))  # pyright: ignore[reportArgumentType]
    if math.isnan(y):
        raise LowerError("a scale of 0 times a value that is infinite at some code is no number")
    return y


def quantize_steps(
    value: Value, scale: Vector, zero: int, lo: int, hi: int, rounding: str
) -> Integer:
    """The op from codes to clip(round(real / scale) + zero, lo, hi); LowerError if none does."""
    rows = max(value.rows, len(scale))
    scales = spread(scale, rows)

    def code_of(x: Fraction | float, c: int) -> int:
        if isinstance(x, float):
            return lo if x < 0 else hi
        return min(max(round_exact(x / scales[c], rounding) + zero, lo), hi)

    few = (hi - lo).bit_length() <= FEW_BITS and _direction(value) != 0
    if value.type.width <= TABLE_BITS and not few:
        return _table(value, rows, code_of)
    targets = []
    for level in range(lo + 1, hi + 1):
        targets.append(reached(level - zero, rounding))
    return _bisected(value, [[(t * s, strict) for t, strict in targets] for s in scales], lo)


def threshold_steps(value: Value, numbers: list[list[Fraction]], lo: int, step: int) -> Integer:
    """The op to lo + step * (how many of the channel's ascending numbers the value reaches)."""
    rows = max(value.rows, len(numbers))
    every = numbers * rows if len(numbers) == 1 else numbers
    perhaps_bipolar = step * len(numbers[0]) == 2 and _direction(value) != 0
    if value.type.width <= TABLE_BITS and not perhaps_bipolar:
        return _table(value, rows, lambda x, c: lo + step * sum(x >= t for t in every[c]))
    return _bisected(value, [[(t, False) for t in row] for row in every], lo, step)


def _table(value: Value, rows: int, code_of: Callable[[Fraction | float, int], int]) -> Table:
    _refuse_softmax(value)
    codes = range(value.type.lo, value.type.hi + 1)
    table = [[code_of(exact_value(value, code, c), c) for code in codes] for c in range(rows)]
    return Table(np.array(table, np.int64), value.type.lo)


def _refuse_softmax(value: Value) -> None:
    if any(isinstance(step, Normalize) for step in value.steps):
        raise LowerError(
            f"{value} is the softmax of its channels; put a Quant of one scale and at most "
            f"{WIDEST} bits right before it (calibrate it), leave it as the last operation (the "
            "host computes it) or take the argmax"
        )


def _direction(value: Value) -> int:
    """1 if the steps never fall, -1 if they never rise, 0 otherwise."""
    return math.prod(step.direction for step in value.steps)


def _bisected(
    value: Value, targets: list[list[tuple[Fraction, bool]]], lo: int, step: int = 1
) -> MultiThreshold:
    _refuse_softmax(value)
    direction = _direction(value)
    if direction == 0:
        raise LowerError(
            f"{value} goes through a function that rises and falls, which needs a table of at most "
            f"{TABLE_BITS} bits; put a Quant of 8 to 10 bits before it (calibrate it)"
        )
    size = len(targets)
    slope = spread(value.slope, size)
    flip = np.array([(s < 0) != (direction < 0) for s in slope], np.bool_)
    lows = np.where(flip, -value.type.hi, value.type.lo).astype(np.int64)
    highs = np.where(flip, -value.type.lo, value.type.hi).astype(np.int64)
    first = np.empty((size, len(targets[0])), np.int64)
    for c, row in enumerate(targets):
        for code in (value.type.lo, value.type.hi):
            exact_value(value, code, c)  # where the function is not defined, it is not at an end
        sign, least, most = -1 if flip[c] else 1, int(lows[c]), int(highs[c])
        u = least
        for j, (target, strict) in enumerate(row):
            u = _search(value, c, sign, target, strict, u, most)
            first[c, j] = u
    return Breakpoints(first, flip, lows, highs, lo).thresholds(step)


def _search(
    value: Value, c: int, sign: int, target: Fraction, strict: bool, least: int, most: int
) -> int:
    """The first u in [least, most] whose value reaches the target, or most + 1."""
    end = most + 1
    while least < end:
        middle = (least + end) // 2
        y = exact_value(value, sign * middle, c)
        if y > target or (y == target and not strict):
            end = middle
        else:
            least = middle + 1
    return least
