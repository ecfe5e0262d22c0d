"""Lowering of pooling."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import GlobalSumPool, MaxPool2d, Op, Requant, Reshape, SumPool2d
from hwc.compiler.lower.align import clip_codes, positive_slopes, zero_at_0
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.geometry import plane, sides
from hwc.compiler.lower.value import Value
from hwc.compiler.source import AvgPool, MaxPool, SourceNode
from hwc.compiler.source.windows import window_counts

__all__ = ["lower_average", "lower_global_average", "lower_max"]


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
    if any(op.sides):
        x = zero_at_0(build, x)
    pool = SumPool2d(plane(op.kernel), plane(op.stride), sides(op.sides))
    counts = window_counts(op, x.type.shape[:-1])[0, 0]
    whole = math.lcm(*np.unique(counts).tolist())
    if len(np.unique(counts)) == 1:
        name = _pool(build, node.name, pool, x)
    else:
        name = _weighed(build, node.name, pool, x, whole // counts)
    slope = x.slope * Fraction(1, whole)
    return replace(x, node=name, type=build.type(name), slope=slope, origin=node.name)


def _weighed(build: Builder, name: str, pool: Op, x: Value, factors: np.ndarray) -> str:
    """The sums times a factor of each position: where fewer places count, each weighs more."""
    sums = _pool(build, build.free(name, "sum"), pool, x)
    type = build.type(sums)
    flat = build.helper(name, "flat", Reshape((type.size,)), sums)
    weights = np.repeat(factors.ravel(), type.shape[-1])
    ends = [end * int(f) for f in (factors.min(), factors.max()) for end in (type.lo, type.hi)]
    scale = Requant(weights, [0], 0, min(ends), max(ends), "floor")
    scaled = build.helper(name, "weighed", scale, flat)
    return build.emit(name, Reshape(type.shape), scaled)


def lower_global_average(build: Builder, node: SourceNode, x: Value) -> Value:
    """The sum over all positions; 1/k goes into the pending scale."""
    x = clip_codes(build, x)
    name = build.emit(node.name, GlobalSumPool(), x.node)
    slope = x.slope * Fraction(x.channels, x.type.size)
    return replace(x, node=name, type=build.type(name), slope=slope, origin=node.name)


def _pool(build: Builder, name: str, pool: Op, x: Value) -> str:
    """A pool of (H, W, C), or of (L, C) seen as one row."""
    if len(x.type.shape) == 3:
        return build.emit(name, pool, x.node)
    row = build.helper(name, "map", Reshape((1, *x.type.shape)), x.node)
    pooled = build.helper(name, "flat", pool, row)
    return build.emit(name, Reshape(build.type(pooled).shape[1:]), pooled)
