"""Pooling over windows and over all positions."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.ops.convolutions import folded_padding, positions, single_batch
from hwc.compiler.onnx.ops.reductions import LOWEST, reduced
from hwc.compiler.onnx.ops.windows import Window, spatial, window
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import AvgPool, Conv, MaxPool, Pad, Shape

__all__ = ["average_of", "average_pool", "global_pool", "max_pool", "sum_pool"]

MOST_TAPS = 1 << 23
"""Positions times kernel along an axis of a pool."""


def max_pool(walk: Walk, node: Node) -> Value:
    """One or two spatial axes; all paddings, dilations and ceil mode; values only, not indices.
    Quantized codes are compared as they are."""
    node.check(not node.wants(1), "the indices of MaxPool are not supported; use its values only")
    x = node.activation()
    size = spatial(walk, node, x)
    w = window(node, size)
    _check_padding(node, w, size)
    y = positions(walk, node, x)
    padding = [p + (w.extra[i // 2] if i % 2 else 0) for i, p in enumerate(w.padding)]
    name, made = y.name, walk.nodes.get(y.name)
    if made is not None and isinstance(made.op, Pad) and made.op.value <= LOWEST:
        name = made.args[0]
        padding = [a + b for a, b in zip(padding, made.op.padding, strict=True)]
    op = MaxPool(w.kernel, w.stride, tuple(padding), w.dilation)
    return y.renamed(walk.emit(lambda: op, name))


def average_pool(walk: Walk, node: Node) -> Value:
    """One or two spatial axes; all paddings, ceil mode, count_include_pad; dilations only where
    every window counts as many places."""
    return average_of(walk, node, real(walk, node))


def average_of(walk: Walk, node: Node, x: Value) -> Value:
    """The mean of real values with the node's attributes."""
    size = spatial(walk, node, x)
    w = window(node, size)
    _check_padding(node, w, size)
    include = node.flag("count_include_pad", False)
    y = positions(walk, node, x)
    if any(d > 1 for d in w.dilation):
        return _dilated(walk, node, y, w, include=include)
    name, padding = y.name, w.padding
    if include or not any(padding):
        name, padding = folded_padding(walk, name, padding)
        include = include or name != y.name
    return y.renamed(walk.emit(AvgPool(w.kernel, w.stride, padding, include, w.extra), name))


def _dilated(walk: Walk, node: Node, y: Value, w: Window, *, include: bool) -> Value:
    """A depthwise convolution with ones, divided by the taps."""
    node.check(
        not any(w.extra) and (include or not any(w.padding)),
        "dilations with padding that is not counted or ceil mode are not supported",
    )
    channels = walk.shapes[y.name][0]
    weight = walk.tensor(np.ones((channels, 1, *w.kernel), np.float32), "ones")
    total = walk.emit(Conv(w.stride, w.padding, w.dilation, channels), y.name, weight)
    return walk.affine(y.renamed(total), 1 / prod(w.kernel), 0.0)


def _check_padding(node: Node, w: Window, size: Shape) -> None:
    """Refuse windows that lie in padding altogether, and too many to look at each."""
    for i, reach in enumerate(w.reach):
        node.check(
            size[i] * w.kernel[i] <= MOST_TAPS,
            f"{size[i]} positions with kernel {w.kernel[i]} are too many to pool",
        )
        node.check(
            max(w.padding[2 * i : 2 * i + 2]) < reach,
            f"pads {w.padding} must be smaller than the kernel's reach {w.reach}",
        )


def global_pool(walk: Walk, node: Node) -> Value:
    """Over all positions."""
    x = node.activation() if node.type == "GlobalMaxPool" else real(walk, node)
    node.check(x.rank > 2, f"input {walk.shape(x)} has no positions")
    single_batch(walk, node, x)
    kind = "Max" if node.type == "GlobalMaxPool" else "Mean"
    return reduced(walk, node, x, tuple(range(2, x.rank)), kind, keep=True)


def sum_pool(walk: Walk, x: Value, w: Window) -> Value:
    """The sum over windows without padding: a mean times the taps."""
    y = walk.arranged(x, range(1, x.rank))
    name = walk.emit(AvgPool(w.kernel, w.stride, w.padding), y.name)
    return walk.affine(replace(y, name=name), float(prod(w.kernel)), 0.0)
