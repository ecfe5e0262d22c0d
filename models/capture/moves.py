"""Capture of what pads, cuts, repeats and permutes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import Node

from hwc.compiler.source import Pad, Reshape, Slice, Transpose, Upsample
from hwc.models.capture.shapes import same
from hwc.models.capture.walk import Capture, Value

aten = torch.ops.aten
SPLITS = (aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default)


def pad(c: Capture, node: Node) -> Value:
    """A constant around the positions; torch counts from the last axis."""
    a = c.args(node)
    if a.get("mode", "constant") != "constant":
        c.fail(node, f"mode {a['mode']!r} is not supported; pad with a constant")
    rank = node.meta["val"].ndim
    sides = [tuple(a["pad"][i : i + 2]) for i in range(0, len(a["pad"]), 2)]
    sides += [(0, 0)] * (rank - len(sides))
    if min(min(side) for side in sides) < 0:
        c.fail(node, f"pad={a['pad']} cuts; use a slice")
    if any(map(any, sides[rank - 2 :])):
        c.fail(node, f"pad={a['pad']} reaches batch or channels; pad positions only")
    padding = tuple(n for side in reversed(sides[: rank - 2]) for n in side)
    if not any(padding):
        return a["self"]
    return c.emit(node, Pad(padding, float(a.get("value") or 0)), a["self"])


def upsample(c: Capture, node: Node) -> Value:
    x = same(c, node)
    before, after = c.shapes[x.name][1:], c.shape(node)[1:]
    if any(n % m for m, n in zip(before, after, strict=True)):
        c.fail(node, f"from {before} to {after} is no whole factor")
    return c.emit(node, Upsample(tuple(n // m for m, n in zip(before, after, strict=True))), x)


def permute(c: Capture, node: Node) -> Value:
    a = c.args(node)
    return moved(c, node, [d % len(a["dims"]) for d in a["dims"]])


def transpose(c: Capture, node: Node) -> Value:
    a = c.args(node)
    order = list(range(node.meta["val"].ndim))
    one, two = a["dim0"] % len(order), a["dim1"] % len(order)
    order[one], order[two] = two, one
    return moved(c, node, order)


def moved(c: Capture, node: Node, order: list[int]) -> Value:
    if order[0] != 0:
        c.fail(node, f"permutes the axes to {order}, which moves the batch axis; it must stay")
    if order == sorted(order):
        return same(c, node)
    return c.emit(node, Transpose(tuple(order[1:])), same(c, node))


def cut(c: Capture, node: Node) -> Value:
    a = c.args(node)
    axis, size = axis_of(c, node, a["dim"])
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(size)
    return sliced(c, node, axis, start, stop, step)


def narrow(c: Capture, node: Node) -> Value:
    a = c.args(node)
    axis, size = axis_of(c, node, a["dim"])
    start = int(a["start"]) % size
    return sliced(c, node, axis, start, start + int(a["length"]))


def select(c: Capture, node: Node) -> Value:
    a = c.args(node)
    axis, size = axis_of(c, node, a["dim"])
    start = int(a["index"]) % size
    if axis == 0:
        c.fail(node, "selects from the batch; keep axis 0 as it is")
    part = sliced(c, node, axis, start, start + 1)
    return c.emit(node, Reshape(c.shape(node)), part)


def split(c: Capture, node: Node) -> Value:
    """The whole; each part is cut where it is taken (`part`)."""
    return same(c, node)


def part(c: Capture, node: Node, of: Node, index: int) -> Value:
    """Part number `index` of a split."""
    a, parts = c.args(of), of.meta["val"]
    axis, _ = axis_of(c, of, a["dim"])
    starts = [0, *_sums(int(p.shape[axis]) for p in parts)]
    index %= len(parts)
    return sliced(c, node, axis, starts[index], starts[index + 1], of=of)


def sliced(
    c: Capture,
    node: Node,
    axis: int,
    start: int,
    stop: int,
    step: int = 1,
    *,
    of: Node | None = None,
) -> Value:
    """`start:stop:step` along an axis of what `node` (or the split `of`) is given."""
    x: Any = same(c, of or node)
    size = of_size(of or node, axis)
    if (start, stop, step) == (0, size, 1):
        return x
    if axis == 0:
        c.fail(node, "cuts the batch; keep axis 0 as it is")
    return c.emit(node, Slice(axis, start, stop, step), x)


def axis_of(c: Capture, node: Node, dim: int) -> tuple[int, int]:
    """An axis counted from 0, and its size before the operator."""
    axis = int(dim) % node.all_input_nodes[0].meta["val"].ndim
    return axis, of_size(node, axis)


def of_size(node: Node, axis: int) -> int:
    return int(node.all_input_nodes[0].meta["val"].shape[axis])


def _sums(sizes: Iterator[int]) -> Iterator[int]:
    total = 0
    for size in sizes:
        total += size
        yield total


def item(c: Capture, node: Node) -> Value:
    """Of the several results of an operator: a part of a split, the indices of top-k, the first of
    all others."""
    of, index = node.args
    assert isinstance(of, Node)
    assert isinstance(index, int)
    if of.target in SPLITS:
        return part(c, node, of, index)
    wanted = 1 if of.target == aten.topk.default else 0
    if index != wanted:
        c.fail(of, "only the indices of top-k and the values of a max-pool can be used")
    value = c.values[of]
    assert isinstance(value, Value)
    return value
