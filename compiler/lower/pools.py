"""Lowering of pooling and of the operations that only move elements."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import GlobalSumPool, MaxPool2d, Op, Reshape, SumPool2d
from hwc.compiler.lower.align import clip_codes, positive_slopes, zero_at_0
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector, collapse, spread
from hwc.compiler.lower.geometry import channels_last, graph_order, plane, sides, torch_order
from hwc.compiler.lower.value import LowerError, Value
from hwc.compiler.source import AvgPool, MaxPool, Shape, SourceNode

__all__ = ["lower_average", "lower_global_average", "lower_max", "lower_reshape"]


def lower_max(build: Builder, node: SourceNode, x: Value) -> Value:
    """Max commutes with every function that does not decrease: only the codes' sign matters."""
    op = node.op
    assert isinstance(op, MaxPool)
    x = positive_slopes(build, x)
    pool = MaxPool2d(plane(op.kernel), plane(op.stride), sides(op.padding), plane(op.dilation))
    name = _pool(build, node.name, pool, x)
    return replace(x, node=name, type=build.type(name), origin=node.name)


def lower_average(build: Builder, node: SourceNode, x: Value) -> Value:
    """The sum of the codes; 1/k goes into the pending scale."""
    op = node.op
    assert isinstance(op, AvgPool)
    x = clip_codes(build, x)
    if any(op.padding):
        if not op.count_include_pad:
            raise LowerError(
                "count_include_pad=False with padding divides by another count at the border; use "
                "count_include_pad=True or padding 0"
            )
        x = zero_at_0(build, x)
    pool = SumPool2d(plane(op.kernel), plane(op.stride), sides(op.padding))
    name = _pool(build, node.name, pool, x)
    slope = x.slope * Fraction(1, int(np.prod(op.kernel)))
    return replace(x, node=name, type=build.type(name), slope=slope, origin=node.name)


def lower_global_average(build: Builder, node: SourceNode, x: Value) -> Value:
    """The sum over all positions; 1/k goes into the pending scale."""
    x = clip_codes(build, x)
    name = build.emit(node.name, GlobalSumPool(), x.node)
    slope = x.slope * Fraction(x.channels, x.type.size)
    return replace(x, node=name, type=build.type(name), slope=slope, origin=node.name)


def lower_reshape(build: Builder, node: SourceNode, x: Value, old: Shape, new: Shape) -> Value:
    """A flat result may keep its elements in the graph's order, with the permutation pending.

    `old` and `new` are torch's shapes. Raises LowerError if elements would have to move.
    """
    if x.order is not None:
        elements = np.empty_like(x.order)
        elements[x.order] = np.arange(len(x.order))
    else:
        elements = torch_order(old)
    order = graph_order(elements) if len(new) == 1 else None
    if len(new) > 1 and not np.array_equal(elements, torch_order(new)):
        raise LowerError(
            f"reshape from {old} to {new} moves elements in the channels-last layout; only "
            "flattening, and shapes of one channel or one position, keep their order"
        )
    shape = channels_last(new)
    vectors = {}
    for what in ("slope", "offset", "low", "high"):
        vectors[what] = _reshaped(getattr(x, what), x, shape)
    node_name = x.node
    if shape != x.type.shape:
        node_name = build.emit(node.name, Reshape(shape), x.node)
    type = build.type(node_name)
    return replace(x, node=node_name, type=type, order=order, origin=node.name, **vectors)


def _reshaped(values: Vector, x: Value, shape: Shape) -> Vector:
    """A per-channel vector for another shape; LowerError if positions would differ."""
    if len(values) == 1:
        return values
    rows = np.tile(spread(values, x.channels), x.type.size // x.channels).reshape(-1, shape[-1])
    if any(len(collapse(column)) > 1 for column in rows.T):
        raise LowerError(
            f"reshape to {shape} (channels last) would give one channel of {x} several scales; "
            "use one scale per tensor in the quantizer before"
        )
    return rows[0]


def _pool(build: Builder, name: str, pool: Op, x: Value) -> str:
    """A pool of (H, W, C), or of (L, C) seen as one row."""
    if len(x.type.shape) == 3:
        return build.emit(name, pool, x.node)
    row = build.helper(name, "map", Reshape((1, *x.type.shape)), x.node)
    pooled = build.helper(name, "flat", pool, row)
    return build.emit(name, Reshape(build.type(pooled).shape[1:]), pooled)
