"""Lowering of a softmax between quantizers: a maximum, a table, a sum and a quotient."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Add, Gather, Ratio, Reshape, Table, WindowReduce
from hwc.compiler.graph.pool import Reduction
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.value import Value
from hwc.compiler.source import SourceNode
from hwc.compiler.source.shares import SHARE_BITS, Codes, exponentials

__all__ = ["lower_softmax"]


def lower_softmax(build: Builder, node: SourceNode, x: Value, codes: Codes) -> Value:
    """The integers of `shares`. The maximum and the sum go back to every channel by a gather."""
    most = _over_channels(build, node.name, "max", x.node)
    gap = build.helper(node.name, "gap", Add((1, -1)), most, x.node)
    lo, hi = build.type(gap).lo, build.type(gap).hi
    values = exponentials(codes)
    # No gap is negative; that some were possible is what a sum of two intervals can say.
    table = Table(np.array([values[max(0, d)] for d in range(lo, hi + 1)]), lo)
    e = build.helper(node.name, "exp", table, gap)
    total = _over_channels(build, node.name, "sum", e)
    name = build.emit(node.name, Ratio(SHARE_BITS), e, total)
    value = Value.of(name, build.type(name), Fraction(1, 1 << SHARE_BITS), origin=node.name)
    return replace(value, order=x.order)


def _over_channels(build: Builder, base: str, kind: Reduction, x: str) -> str:
    """The maximum or sum over the last axis, repeated along it."""
    *places, channels = shape = build.type(x).shape
    rows = build.helper(x, "rows", Reshape((*places, 1, channels, 1)), x)
    one = build.helper(base, kind, WindowReduce(kind), rows)
    index = np.repeat(np.arange(math.prod(places)), channels)
    return build.helper(base, f"{kind}_of_all", Gather(index, shape), one)
