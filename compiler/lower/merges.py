"""Lowering of what combines values: sums, concatenation, and comparison of channels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Add, ArgMax, Concat, Multiply, Requant, TopK
from hwc.compiler.lower.align import clip_codes, small_ratios, zero_at_0
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector, collapse, show, spread
from hwc.compiler.lower.moves import in_torch_order
from hwc.compiler.lower.value import INFINITY, LowerError, Second, Value
from hwc.compiler.source import SourceNode
from hwc.compiler.source import TopK as SourceTopK

__all__ = ["lower_add", "lower_concat", "lower_multiply", "lower_select"]

LARGEST_FACTOR = 1 << 40
"""Largest integer that an operand of a sum is multiplied by; `sums` makes it smaller."""

SELECT_BITS = 48
"""Widest integers that argmax and top-k compare."""


def lower_add(build: Builder, node: SourceNode, xs: list[Value]) -> Value:
    """A sum of codes: plain if the scales are shared, with small integer multipliers if not."""
    xs = [clip_codes(build, x) for x in _same_order(build, xs)]
    base = next((x for x in xs if all(s != 0 for s in x.slope)), None)
    if base is None:
        raise LowerError(f"every input has a channel of scale 0: {', '.join(map(str, xs))}")
    ratios = [collapse(x.slope / base.slope) for x in xs]
    scaled = None
    if all(len(r) == 1 for r in ratios):
        scaled = small_ratios(np.concatenate(ratios), LARGEST_FACTOR)
    if scaled is None:
        scales = " and ".join(f"{show(x.slope)} of '{x.origin}'" for x in xs)
        raise LowerError(
            f"cannot add integers of the scales {scales}: their ratio is not one of integers up to "
            f"2**{LARGEST_FACTOR.bit_length() - 1}; share one scale between the quantizers before "
            "the add"
        )
    multipliers, unit = scaled
    name = build.emit(node.name, Add(tuple(multipliers)), *(x.node for x in xs))
    offset = sum((x.offset for x in xs[1:]), start=xs[0].offset)
    value = Value.of(name, build.type(name), base.slope * unit, offset, node.name)
    return replace(value, order=xs[0].order, weighted=any(x.weighted for x in xs))


def lower_multiply(build: Builder, node: SourceNode, xs: list[Value]) -> Value:
    """A product of codes whose zero is real 0; the scales multiply."""
    a, b = (zero_at_0(build, clip_codes(build, x), _OFF_ZERO) for x in _same_order(build, xs))
    name = build.emit(node.name, Multiply(), a.node, b.node)
    slope = spread(a.slope, a.channels) * spread(b.slope, b.channels)
    value = Value.of(name, build.type(name), slope, origin=node.name)
    return replace(value, order=a.order, weighted=a.weighted or b.weighted)


_OFF_ZERO = "a product of codes needs real 0 at an integer code, the same in all channels"


def lower_concat(build: Builder, node: SourceNode, xs: list[Value]) -> Value:
    """Codes side by side, each channel with its own pending function."""
    if any(x.steps for x in xs):
        raise LowerError(
            f"{next(x for x in xs if x.steps)} goes through a function that is not quantized; put "
            "a Quant after it"
        )
    name = build.emit(node.name, Concat(), *(x.node for x in xs))
    slope, offset, low, high = (
        collapse(np.concatenate([spread(getattr(x, what), x.channels) for x in xs]))
        for what in ("slope", "offset", "low", "high")
    )
    order = None
    if any(x.order is not None for x in xs):
        starts = np.cumsum([0] + [x.channels for x in xs])
        own = [np.arange(x.channels) if x.order is None else x.order for x in xs]
        order = np.concatenate([o + s for o, s in zip(own, starts, strict=False)])
    weighted = any(x.weighted for x in xs)
    return Value(
        name,
        build.type(name),
        slope,
        offset,
        low,
        high,
        order=order,
        weighted=weighted,
        origin=node.name,
        second=_seconds(xs),
    )


def _seconds(xs: list[Value]) -> Second | None:
    """The second lines side by side; a value without one has the same line twice."""
    if all(x.second is None for x in xs):
        return None
    lines = [x.second or Second(x.slope, x.offset, np.array([True], object)) for x in xs]
    columns = zip(*(line.vectors for line in lines), strict=True)
    joined = [
        collapse(np.concatenate([spread(v, x.channels) for v, x in zip(column, xs, strict=True)]))
        for column in columns
    ]
    return Second(*joined)


def lower_select(build: Builder, node: SourceNode, x: Value) -> Value:
    """ArgMax or TopK of codes that compare as the real values do."""
    x = _comparable(build, in_torch_order(build, _ordered(x)))
    op = TopK(node.op.k) if isinstance(node.op, SourceTopK) else ArgMax()
    name = build.emit(node.name, op, x.node)
    return Value.of(name, build.type(name), 1, 0, node.name)


def _ordered(x: Value) -> Value:
    """The value without what keeps the order of its elements: sigmoids, softmax, a leak."""
    x = x.settled()
    if x.second is not None and x.rows == 1 and x.slope[0] * x.second.slope[0] > 0:
        x = x if x.clipped else replace(x, second=None)
    if x.second is not None or not all(step.strict for step in x.steps):
        raise LowerError(
            f"the channels of {x} go through a function that does not keep their order; put a "
            "Quant before comparing them"
        )
    return replace(x, steps=())


def _comparable(build: Builder, x: Value) -> Value:
    """Codes of one positive scale and offset for all channels; exact, ties included."""
    x = x.settled()
    if len(x.slope) == len(x.offset) == 1 and x.slope[0] > 0 and not x.clipped:
        return x
    if len(x.low) > 1 or len(x.high) > 1:
        raise LowerError(f"{x} is clipped per channel; put a Quant of one scale before comparing")
    m, b, unit, start = _integers(x)
    # A clip makes ties. Off the integers it lies between two: the lower of them stands for it.
    low, high = ((v[0] - start) / unit if abs(v[0]) != INFINITY else None for v in (x.low, x.high))
    ends = [c * v + o for v in (x.type.lo, x.type.hi) for c, o in zip(m, b, strict=True)]
    lo, hi = min(ends), max(ends)
    if low is not None:
        lo = max(lo, low.numerator // low.denominator)
    if high is not None:
        hi = min(hi, -(-high.numerator // high.denominator))
    hi = max(lo, hi)  # a clip that no code escapes leaves a constant
    if (max(abs(lo), abs(hi), *map(abs, ends))).bit_length() >= SELECT_BITS:
        raise LowerError(
            f"comparing the channels of {x} exactly needs more than {SELECT_BITS} bits; use one "
            "weight scale per tensor in the last layer, or a Quant before comparing"
        )
    node = build.helper(x.node, "compare", Requant(m, b, 0, lo, hi, "floor"), x.node)
    return Value.of(node, build.type(node), unit, start, x.origin)


def _integers(x: Value) -> tuple[list[int], list[int], Fraction, Fraction]:
    """m, b, unit, start with real order of channels = order of m * code + b.

    Where no clip is pending and all channels share one scale s, the offsets o may be off the grid:
    only the order of their fractional parts o/s matters, and a few bits hold it.
    """
    slopes, offsets = spread(x.slope, x.channels), spread(x.offset, x.channels)
    if x.uniform and x.slope[0] != 0 and not x.clipped:
        shifts = [o / abs(x.slope[0]) for o in offsets]
        whole = [v.numerator // v.denominator for v in shifts]
        parts = sorted({v - w for v, w in zip(shifts, whole, strict=True)})
        steps = 1 << (len(parts) - 1).bit_length()
        rank = {part: i for i, part in enumerate(parts)}
        b = [w * steps + rank[v - w] for v, w in zip(shifts, whole, strict=True)]
        m = [steps if x.slope[0] > 0 else -steps] * x.channels
        return m, b, abs(x.slope[0]) / steps, Fraction(0)
    start = offsets[0]
    both: Vector = np.concatenate([slopes, offsets - start])
    scaled = small_ratios(both, 1 << SELECT_BITS)
    if scaled is None:
        if all(v == 0 for v in both):
            return [0] * x.channels, [0] * x.channels, Fraction(1), start
        raise LowerError(
            f"the channels of {x} cannot be compared as integers of {SELECT_BITS} bits; use one "
            "weight scale per tensor in the last layer, or a Quant before comparing"
        )
    return scaled[0][: x.channels], scaled[0][x.channels :], scaled[1], start


def _same_order(build: Builder, xs: list[Value]) -> list[Value]:
    """Flattened maps are added element by element only if they lie in the same order."""
    orders = [np.arange(x.channels) if x.order is None else x.order for x in xs]
    if all(np.array_equal(orders[0], order) for order in orders[1:]):
        return xs
    return [in_torch_order(build, x) for x in xs]
