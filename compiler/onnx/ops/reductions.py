"""Sums, means and extremes over axes; the index of the largest."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.ops.contract import contract
from hwc.compiler.onnx.ops.resizing import picked
from hwc.compiler.onnx.reshaping import reshaped
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import ArgMax, Function, GlobalAvgPool, MaxPool, Reshape, TopK

__all__ = ["LOWEST", "arg_extreme", "reduce", "reduced", "top_k"]

LOWEST = -3e38
"""A padding below this never wins a maximum of float32 values."""

MOST_POSITIONS = 1 << 20
"""Largest kernel of the pool that a maximum over whole axes becomes."""

INT64 = np.dtype(np.int64)


def reduce(walk: Walk, node: Node) -> Value:
    """Over any axes but the batch. Over channels alone a mean or sum is a product with ones."""
    x = node.activation() if node.type in ("ReduceMax", "ReduceMin") else real(walk, node)
    keep = node.flag("keepdims", True)
    axes = node.ints("axes")
    since = 13 if node.type == "ReduceSum" else 18
    if node.opset >= since:
        axes = node.integers(1, "axes") if node.operand(1) is not None else ()
    if not axes:
        if node.flag("noop_with_empty_axes", False):
            return _powered(walk, node, x)
        axes = tuple(range(x.rank))
    axes = tuple(sorted({node.position(a, x.rank) for a in axes}))
    if any(walk.is_batch(x, a) for a in axes):
        walk.mixes("the reduction includes the batch")
    return reduced(walk, node, _powered(walk, node, x), axes, node.type[6:], keep=keep)


def _powered(walk: Walk, node: Node, x: Value) -> Value:
    return x.renamed(walk.emit(Function("abs"), x.name)) if node.type == "ReduceL1" else x


def reduced(
    walk: Walk, node: Node, x: Value, axes: tuple[int, ...], kind: str, *, keep: bool
) -> Value:
    """Mean, Sum, L1 (of what is positive already), Max or Min over ONNX axes."""
    shape = walk.shape(x)
    if x.coding is not None and x.coding.axis is not None:
        node.fail("codes with a scale per channel are not supported here; dequantize first")
    gone = [a for a in axes if shape[a] > 1]
    if gone:
        if kind in ("Max", "Min"):
            sign = 1.0 if kind == "Max" else -1.0
            y = x if sign > 0 else walk.affine(walk.decoded(x), -1.0, 0.0)
            y = _over(walk, y, gone, mean=False)
            x = y if sign > 0 else walk.affine(y, -1.0, 0.0)
        else:
            x = _average(walk, node, x, gone, total=kind != "Mean")
    final = tuple(n for a, n in enumerate(_kept(shape, axes)) if keep or a not in axes)
    return reshaped(walk, x, final)


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if a in axes else n for a, n in enumerate(shape))


def _average(walk: Walk, node: Node, x: Value, gone: list[int], *, total: bool) -> Value:
    """Sum or mean over the axes `gone`, which stay with size 1."""
    shape = walk.shape(x)
    count = prod(shape[a] for a in gone)
    if len(gone) == 1 and x.axes[gone[0]] == 1 and len(walk.shapes[x.name]) > 1:
        ones = Constant(np.ones((1, count), np.float32))
        y = contract(walk, node, x, gone[0], ones)
        return y if total else walk.affine(y, 1 / count, 0.0)
    y = _over(walk, x, gone, mean=True)
    return walk.affine(y, float(count), 0.0) if total else y


def _over(walk: Walk, x: Value, gone: list[int], *, mean: bool) -> Value:
    """Mean or maximum over axes `gone`, which stay with size 1; what remains are channels."""
    shape = walk.shape(x)
    stay = [a for a in range(x.rank) if x.axes[a] and a not in gone and shape[a] > 1]
    stay.sort(key=lambda a: x.axes[a] or 0)
    gone = sorted(gone, key=lambda a: x.axes[a] or 0)
    y = walk.arranged(x, [*stay, *gone])
    channels = prod(shape[a] for a in stay)
    sizes = tuple(shape[a] for a in gone)
    if len(gone) > 2:
        sizes = (prod(sizes),)
    if walk.shapes[y.name] != (channels, *sizes):
        y = y.renamed(walk.move(y.name, Reshape((channels, *sizes))))
    if mean:
        name = walk.emit(GlobalAvgPool(), y.name)
    else:
        if max(sizes) > MOST_POSITIONS:
            walk.fail(
                f"a maximum over {sizes} is too large; at most {MOST_POSITIONS} along an axis"
            )
        name = walk.emit(MaxPool(sizes, sizes, (0, 0) * len(sizes), (1,) * len(sizes)), y.name)
    target = tuple(shape[a] for a in stay) or (1,)
    if walk.shapes[name] != target:
        name = walk.move(name, Reshape(target))
    place = {a: i for i, a in enumerate(stay, 1)}
    axes = tuple(place.get(a, 0 if x.axes[a] == 0 else None) for a in range(x.rank))
    return replace(y, name=name, axes=axes)


def arg_extreme(walk: Walk, node: Node) -> Value:
    """The index of the largest (smallest) along an axis, at each place of the others; ties to the
    lowest index, or the highest (select_last_index)."""
    x = walk.decoded(node.activation())
    axis = node.axis("axis", 0, x.rank)
    size, last = walk.shape(x)[axis], node.flag("select_last_index", False)
    y = _compared(walk, x, axis)
    if last:
        y = picked(walk, node, y, axis, range(size)[::-1])
    if node.type == "ArgMin":
        y = walk.affine(y, -1.0, 0.0)
    out = Value(walk.emit(ArgMax(), y.name), y.axes, INT64)
    if last:
        out = walk.affine(out, -1.0, size - 1.0)
    shape = list(walk.shape(out))
    if node.flag("keepdims", True):
        return out
    del shape[axis]
    return reshaped(walk, out, tuple(shape))


def _compared(walk: Walk, x: Value, axis: int) -> Value:
    """x with the axis as its channels, which are all it has if the others have size 1."""
    if walk.is_batch(x, axis):
        walk.mixes("the samples are compared with each other")
    rest = [a for a in range(x.rank) if a != axis and x.axes[a] != 0]
    if any(walk.shape(x)[a] != 1 for a in rest):
        return walk.channels(x, axis)
    return walk.arranged(x, [axis])


def top_k(walk: Walk, node: Node) -> list[Value | None]:
    """The indices of the k largest along an axis, at each place of the others, largest first; the
    values must be unused."""
    x = walk.decoded(node.activation())
    node.check(not node.wants(0), "the values of TopK are not supported; use its indices only")
    axis = node.axis("axis", -1, x.rank)
    k = node.int("k", 1)
    if node.opset >= 10:
        (k,) = node.integers(1, "k")
    node.check(bool(node.int("sorted", 1)), "an unsorted TopK is not supported; use sorted=1")
    y = _compared(walk, x, axis)
    if not node.int("largest", 1):
        y = walk.affine(y, -1.0, 0.0)
    name = walk.emit(lambda: TopK(k), y.name)
    return [None, Value(name, y.axes, INT64)]
