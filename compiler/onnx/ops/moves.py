"""Operators that move or drop elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.node import Node, slice_bounds
from hwc.compiler.onnx.ops.resizing import MOST_INDICES, picked
from hwc.compiler.onnx.reshaping import reshaped
from hwc.compiler.onnx.values import Coding, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Concat, Pad, Reshape

__all__ = ["concat", "concat_of", "cut", "gather", "pad", "slice_of", "split"]


def concat(walk: Walk, node: Node) -> Value:
    """Of activations, along any axis but the batch; the axis becomes the source's channels."""
    xs = [node.activation(i) for i in range(len(node.operands))]
    return concat_of(walk, node, xs, node.axis("axis", 0, xs[0].rank))


def concat_of(walk: Walk, node: Node, xs: list[Value], axis: int) -> Value:
    """The concatenation; operands whose codes mean different reals are decoded."""
    node.check(len({x.rank for x in xs}) == 1, "all inputs must have the same rank")
    if any(walk.is_batch(x, axis) for x in xs):
        walk.mixes("concatenation along the batch")
    codings = [x.coding for x in xs]
    first = codings[0]
    same = all(c is None for c in codings) or (first is not None and all(map(first.same, codings)))
    if not same:
        xs = [walk.decoded(x) for x in xs]
    if len(xs) == 1:
        return xs[0]
    head = xs[0]
    shape = walk.shape(head)
    batch = [a for a in range(head.rank) if all(x.axes[a] == 0 for x in xs)]
    rest = [a for a in range(head.rank) if a != axis and a not in batch and shape[a] > 1]
    rest.sort(key=lambda a: head.axes[a] or 0)
    ys = [walk.arranged(x, [axis, *rest]) for x in xs]
    return replace(ys[0], name=walk.emit(Concat(), *(y.name for y in ys)))


def cut(walk: Walk, node: Node, x: Value, axis: int, part: range) -> Value:
    """The elements `part` of an ONNX axis."""
    size = walk.shape(x)[axis]
    if part == range(size):
        return x
    if walk.is_batch(x, axis):
        walk.mixes("samples are dropped or reordered")
    node.check(len(part) > 0, f"nothing is left of axis {axis}, which has size {size}")
    return picked(walk, node, x, axis, part)


def split(walk: Walk, node: Node) -> list[Value]:
    """Into parts of given or equal sizes, along any axis but the batch."""
    x, count = node.activation(), len(node.proto.output)
    axis = node.axis("axis", 0, x.rank)
    size = walk.shape(x)[axis]
    sizes = node.ints("split")
    if node.opset >= 13:
        sizes = node.integers(1, "split") if node.operand(1) is not None else ()
    if not sizes:
        each = -(-size // node.int("num_outputs", count))
        node.check(each > 0, "cannot be split that far")
        sizes = tuple(min(each, size - i * each) for i in range(count))
    node.check(
        sum(sizes) == size and len(sizes) == count and min(sizes) > 0,
        f"parts {sizes} must be {count} sizes > 0 with sum {size}",
    )
    ends = np.cumsum(sizes).tolist()
    return [
        cut(walk, node, x, axis, range(end - n, end)) for n, end in zip(sizes, ends, strict=True)
    ]


def slice_of(walk: Walk, node: Node) -> Value:
    """Constant bounds, steps of either sign, any axes but the batch."""
    x = node.activation()
    starts, ends, axes, steps = slice_bounds(node)
    lengths = {len(starts), len(ends), len(axes), len(steps)}
    node.check(len(lengths) == 1 and all(steps), "starts, ends, axes, steps must fit; steps not 0")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = node.position(axis, x.rank)
        part = range(*slice(start, end, step).indices(walk.shape(x)[axis]))
        x = cut(walk, node, x, axis, part)
    return x


def gather(walk: Walk, node: Node) -> Value:
    """Constant indices along any axis but the batch; one index, or a vector."""
    x = node.activation()
    indices = node.array(1, "indices")
    axis = node.axis("axis", 0, x.rank)
    shape = walk.shape(x)
    size = shape[axis]
    node.check(indices.dtype.kind in "iu" and indices.size > 0, "indices must be integers")
    node.check(indices.size <= MOST_INDICES, f"{indices.size} indices are too many")
    wanted = [int(i) for i in indices.ravel()]
    node.check(all(-size <= i < size for i in wanted), f"indices must lie in axis {axis}: {size}")
    wanted = [i % size for i in wanted]
    if walk.is_batch(x, axis) and wanted != list(range(size)):
        walk.mixes("samples are dropped or reordered")
    y = picked(walk, node, x, axis, wanted)
    return reshaped(walk, y, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def pad(walk: Walk, node: Node) -> Value:
    """All modes, along any axes but the batch; negative pads crop. In front of a convolution or
    pool a constant becomes their padding where that is the same."""
    x = node.activation()
    mode = node.string("mode", "constant")
    node.check(mode in ("constant", *REPEATED), f"mode {mode!r} is unknown")
    if node.opset < 11:
        pads, value = node.ints("pads"), node.float("value", 0.0)
    else:
        pads, value = node.integers(1, "pads"), node.scalar(2, "constant_value", 0.0)
    axes = tuple(range(x.rank))
    if node.operand(3) is not None:
        axes = tuple(node.position(a, x.rank) for a in node.integers(3, "axes"))
    node.check(len(pads) == 2 * len(axes), f"pads {pads} must be two for each axis of {axes}")
    sides = {a: (pads[i], pads[i + len(axes)]) for i, a in enumerate(axes)}
    for axis, (before, after) in sides.items():
        size = walk.shape(x)[axis]
        part = range(max(-before, 0), size - max(-after, 0))
        x = cut(walk, node, x, axis, part)
    more = {a: (max(b, 0), max(c, 0)) for a, (b, c) in sides.items() if b > 0 or c > 0}
    if mode == "constant":
        return _padded(walk, node, x, more, value) if more else x
    for axis, (before, after) in more.items():
        size = walk.shape(x)[axis]
        node.check(before + size + after <= MOST_INDICES, f"pads {pads} are too large")
        if walk.is_batch(x, axis):
            walk.mixes("the batch is padded")
        x = picked(walk, node, x, axis, [REPEATED[mode](i, size) for i in
                                         range(-before, size + after)])  # fmt: skip
    return x


def _mirrored(place: int, size: int) -> int:
    """Reflected at the first and last element, which are not repeated."""
    period = max(2 * (size - 1), 1)
    place %= period
    return min(place, period - place)


REPEATED: Mapping[str, Callable[[int, int], int]] = {
    "edge": lambda place, size: min(max(place, 0), size - 1),
    "reflect": _mirrored,
    "wrap": lambda place, size: place % size,
}
"""Padding that repeats elements: which one stands at a place, from its own size."""


def _padded(
    walk: Walk, node: Node, x: Value, sides: dict[int, tuple[int, int]], value: float
) -> Value:
    if any(walk.is_batch(x, a) for a in sides):
        walk.mixes("the batch is padded")
    value = _real_value(node, x.coding, value)
    value = max(value, -np.finfo(np.float64).max)
    inner = [a for a in range(x.rank) if x.axes[a] or a in sides]
    inner.sort(key=lambda a: x.axes[a] or 1 << 30)
    free = [a for a in inner if a not in sides]
    if inner[:1] != free[:1] and free:
        inner = [free[0], *(a for a in inner if a != free[0])]
    y = walk.arranged(x, inner)
    name = y.name
    if not free:
        name = walk.move(name, Reshape((1, *walk.shapes[name])))
    spaced = inner[1:] if free else inner
    padding = tuple(p for a in spaced for p in sides.get(a, (0, 0)))
    name = walk.emit(lambda: Pad(padding, value), name)
    if not free:
        name = walk.move(name, Reshape(walk.shapes[name][1:]))
    return y.renamed(name)


def _real_value(node: Node, coding: Coding | None, value: float) -> float:
    if coding is None:
        return value
    node.check(coding.axis is None, "codes with a scale per channel cannot be padded")
    return float((value - coding.zero) * coding.scale)
