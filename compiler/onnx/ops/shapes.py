"""Operators that change shapes: mostly of the axes only, without moving data."""

from __future__ import annotations

from math import prod

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.reshaping import permuted, reshaped, resolve_shape
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk

__all__ = [
    "depth_to_space", "expand", "flatten", "reshape", "shape_of", "space_to_depth", "squeeze",
    "transpose", "unsqueeze",
]  # fmt: skip


def shape_of(walk: Walk, node: Node) -> Constant:
    """Known at once; an open batch is carried through."""
    shape = walk.shape(node.activation())
    if node.type == "Size":
        return Constant(np.array(prod(shape), np.int64))
    start, end = node.int("start", 0), node.int("end", len(shape))
    return Constant(np.array(shape[slice(start, end)], np.int64))


def reshape(walk: Walk, node: Node) -> Value:
    """To a constant shape that keeps the batch in front."""
    x = node.activation()
    target = node.integers(1, "shape")
    copies = not node.flag("allowzero", False)
    shape = resolve_shape(walk, walk.shape(x), target, zero_copies=copies)
    if not shape and target:
        node.fail(f"shape {target} does not hold the elements of {walk.shape(x)}")
    return reshaped(walk, x, shape)


def flatten(walk: Walk, node: Node) -> Value:
    """Any axis that keeps the batch in front."""
    x = node.activation()
    shape = walk.shape(x)
    axis = node.int("axis", 1)
    node.check(-x.rank <= axis <= x.rank, f"axis {axis} is outside a shape of rank {x.rank}")
    axis = axis + x.rank if axis < 0 else axis
    return reshaped(walk, x, (prod(shape[:axis]), prod(shape[axis:])))


def _axes(node: Node) -> tuple[int, ...] | None:
    """Axes of Squeeze and Unsqueeze: an attribute before operator set 13, then an input."""
    if node.opset < 13:
        return node.ints("axes") if node.has("axes") else None
    return None if node.operand(1) is None else node.integers(1, "axes")


def squeeze(walk: Walk, node: Node) -> Value:
    """Axes of size 1 disappear."""
    x = node.activation()
    shape, axes = walk.shape(x), _axes(node)
    if axes is None:
        gone = {a for a, n in enumerate(shape) if n == 1}
    else:
        gone = {node.position(a, x.rank) for a in axes}
    node.check(
        all(shape[a] == 1 for a in gone), f"axes {sorted(gone)} of {shape} are not of size 1"
    )
    return reshaped(walk, x, tuple(n for a, n in enumerate(shape) if a not in gone))


def unsqueeze(walk: Walk, node: Node) -> Value:
    """Axes of size 1 appear."""
    x = node.activation()
    axes = _axes(node) or ()
    rank = x.rank + len(axes)
    new = {node.position(a, rank) for a in axes}
    node.check(len(new) == len(axes), f"axes {axes} repeat")
    rest = iter(x.axes)
    codes = x.coding is not None and x.coding.axis is not None
    node.check(not codes, "codes with a scale per channel are not supported; dequantize first")
    axes_ = tuple(None if a in new else next(rest) for a in range(rank))
    return Value(x.name, axes_, x.dtype, x.coding)


def transpose(walk: Walk, node: Node) -> Value:
    """Any permutation; data moves only where an operator needs another order."""
    x = node.activation()
    perm = node.ints("perm", tuple(reversed(range(x.rank))))
    node.check(sorted(perm) == list(range(x.rank)), f"perm {perm} must permute {x.rank} axes")
    return permuted(x, perm)


def expand(walk: Walk, node: Node) -> Value:
    """Only to more axes of size 1: activations are not repeated."""
    x = node.activation()
    target = node.integers(1, "shape")
    shape = (1,) * (len(target) - x.rank) + walk.shape(x)
    target = (1,) * (len(shape) - len(target)) + target
    node.check(
        all(t in (1, n) for t, n in zip(target, shape, strict=True)),
        f"repeating {shape} to {target} is not supported; use Resize for positions",
    )
    return reshaped(walk, x, shape)


def _blocks(walk: Walk, node: Node) -> tuple[Value, tuple[int, ...], int]:
    x, b = node.activation(), node.int("blocksize", 0)
    shape = walk.shape(x)
    node.check(len(shape) == 4 and b >= 1, f"needs (N, C, H, W) and a blocksize, not {shape}, {b}")
    return x, shape, b


def depth_to_space(walk: Walk, node: Node) -> Value:
    """Modes DCR and CRD."""
    x, (n, c, h, w), b = _blocks(walk, node)
    mode = node.string("mode", "DCR")
    node.check(mode in ("DCR", "CRD") and c % b**2 == 0, f"mode {mode!r} with {c} channels, {b}")
    deep = mode == "DCR"
    split = (n, b, b, c // b**2, h, w) if deep else (n, c // b**2, b, b, h, w)
    perm = (0, 3, 4, 1, 5, 2) if deep else (0, 1, 4, 2, 5, 3)
    x = permuted(reshaped(walk, x, split), perm)
    return reshaped(walk, x, (n, c // b**2, h * b, w * b))


def space_to_depth(walk: Walk, node: Node) -> Value:
    """Blocks of positions become channels; modes DCR and CRD."""
    x, (n, c, h, w), b = _blocks(walk, node)
    mode = node.string("mode", "DCR")
    node.check(mode in ("DCR", "CRD"), f"mode {mode!r} must be DCR or CRD")
    node.check(h % b == 0 and w % b == 0, f"blocksize {b} must divide {h} x {w}")
    perm = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    x = permuted(reshaped(walk, x, (n, c, h // b, b, w // b, b)), perm)
    return reshaped(walk, x, (n, c * b * b, h // b, w // b))
