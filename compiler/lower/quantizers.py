"""Lowering of what makes integers: uniform quantizers, signs and thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import TwoSlope
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector, vector
from hwc.compiler.lower.multiply import from_breakpoints, quantize, two_slopes
from hwc.compiler.lower.quantize import bipolar, threshold_breakpoints
from hwc.compiler.lower.steps import Leak
from hwc.compiler.lower.sums import narrow_sum
from hwc.compiler.lower.tables import TABLE_BITS, quantize_steps, threshold_steps
from hwc.compiler.lower.value import Value

__all__ = ["Quantize", "lower_bipolar", "lower_quant", "lower_threshold"]


@dataclass(frozen=True, eq=False)
class Quantize:
    """code = clip(round(real / scale) + zero, lo, hi), scale in the order of the graph."""

    scale: Vector
    zero: int
    lo: int
    hi: int
    rounding: str


def lower_quant(build: Builder, name: str, x: Value, to: Quantize) -> str:
    """The node of the codes; that of x itself if they are the same integers."""
    if x.steps:
        op = _falling_leak(x, to) if x.type.width > TABLE_BITS else None
        op = op or quantize_steps(x, to.scale, to.zero, to.lo, to.hi, to.rounding)
    elif (narrow := narrow_sum(build, x, to.scale, to.zero, to.lo, to.hi, to.rounding)) is not None:
        x, points = narrow
        slope, offset = x.slope / to.scale, x.offset / to.scale
        op = from_breakpoints(points, slope, offset + to.zero, to.hi - to.lo)
    else:
        op = quantize(x, to.scale, to.zero, to.lo, to.hi, to.rounding)
    return x.node if op is None else build.emit(name, op, x.node)


def _falling_leak(x: Value, to: Quantize) -> TwoSlope | None:
    """A leaky ReLU that falls below 0 in some channels, of sums too wide for a table, or None.

    For every slope a <= 1, negative ones too, it is max(v, a * v), else min. Rounding keeps the
    order, so the larger of both lines' codes is the code of the larger line.
    """
    if len(x.steps) != 1 or not isinstance(x.steps[0], Leak):
        return None
    plain = replace(x, steps=()).settled()
    if plain.clipped or plain.second is not None:
        return None
    slopes = x.steps[0].slope
    lines = (plain, plain.affine(slopes, vector(0)))
    return two_slopes(lines, slopes <= 1, to.scale, to.zero, to.lo, to.hi, to.rounding)


def lower_bipolar(build: Builder, name: str, x: Value) -> str:
    """The node of the signs; that of x itself if it holds them already."""
    same = x.type.bipolar and not x.clipped and x.linear and all(b == 0 for b in x.offset)
    if same and all(s > 0 for s in x.slope):
        return x.node
    op = threshold_steps(x, [[Fraction(0)]], -1, 2) if x.steps else bipolar(x)
    return build.emit(name, op, x.node)


def lower_threshold(
    build: Builder, name: str, x: Value, rows: np.ndarray, lo: int, step: int
) -> str:
    """The node of lo + step * (how many of its channel's thresholds the value reaches)."""
    numbers = [[Fraction(float(t)) for t in row] for row in rows]
    if x.steps:
        op = threshold_steps(x, numbers, lo, step)
    else:
        op = threshold_breakpoints(x.settled(), numbers, lo).thresholds(step)
    return build.emit(name, op, x.node)
