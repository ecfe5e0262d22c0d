"""Lowering of operations that move elements: one static gather each, or nothing at all.

An operation is applied to the numbers of the elements in torch's layout; what that gives, seen in
the graph's layout, is the gather. A flat result keeps its elements where they are and remembers
torch's order instead.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Gather, Reshape, Window
from hwc.compiler.lower.align import alike, clip_codes, zero_message
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.exact import Vector, collapse, spread
from hwc.compiler.lower.geometry import channels_last, plane, sides, torch_order
from hwc.compiler.lower.value import LowerError, Value
from hwc.compiler.source import Pad, Shape, SourceNode
from hwc.compiler.source.arrange import rearrange

__all__ = ["code_of", "in_torch_order", "lower_move", "lower_pad", "move"]


def lower_move(build: Builder, node: SourceNode, x: Value, shape: Shape) -> Value:
    """Reshape, flatten, slice, transpose, upsample: whatever `rearrange` does to numbers.

    `shape` is torch's shape of x.
    """
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(1, *shape)
    return move(build, node.name, x, shape, rearrange(node, [numbers])[0])


def move(
    build: Builder, name: str, x: Value, shape: Shape, elements: np.ndarray, fill: int | None = None
) -> Value:
    """x of torch's `shape` as the elements in torch's layout; -1 is the code `fill`."""
    places = np.argsort(torch_order(shape)) if x.order is None else x.order
    new = channels_last(elements.shape)
    order = None
    if elements.ndim == 1 and fill is None:
        order, index = _pending(places, elements)
    else:
        moved = np.moveaxis(elements, 0, -1).ravel()
        index = np.where(moved < 0, -1, places[np.maximum(moved, 0)])
    x, value = _moved(build, x, index, new)
    node = x.node
    if not (len(index) == x.type.size and (index == np.arange(len(index))).all()):
        node = build.helper(name, "moved", Gather(index, new, fill or 0), node)
    elif new != x.type.shape:
        node = build.emit(name, Reshape(new), node)
    return replace(value, node=node, type=build.type(node), order=order, origin=name)


def _moved(build: Builder, x: Value, index: np.ndarray, new: Shape) -> tuple[Value, Value]:
    """x, and x with its vectors in the order of the new channels. Where one of these comes from
    several, x has been given one scale and offset."""
    if x.rows == 1:
        return x, x
    try:
        return x, x.mapped(_Vectors(x, index, new).of)
    except LowerError:
        same = alike(build, x)
        if same is None:
            raise
    return same, same.mapped(_Vectors(same, index, new).of)


def _pending(places: np.ndarray, elements: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The order to remember of a flat result, and the gather that is left.

    The graph keeps its own order of the elements that stay, unless some are repeated.
    """
    index = places[elements]
    kept, rank = np.unique(index, return_inverse=True)
    if len(kept) < len(index):
        return None, index
    return (None if (rank == np.arange(len(rank))).all() else rank), kept


def in_torch_order(build: Builder, x: Value) -> Value:
    """The value with no order pending."""
    if x.order is None:
        return x
    node = build.helper(x.node, "ordered", Gather(x.order, x.type.shape), x.node)
    order = x.order
    value = x.mapped(lambda v: v if len(v) == 1 else v[order])
    return replace(value, node=node, type=build.type(node), order=None)


class _Vectors:
    """Per-channel vectors of a value whose elements move to `index` in the new shape."""

    def __init__(self, x: Value, index: np.ndarray, new: Shape) -> None:
        self.x, self.new = x, new
        self.channels = np.where(index < 0, -1, index % x.channels).reshape(-1, new[-1])

    def of(self, values: Vector) -> Vector:
        """The vector of the new channels; LowerError if the parts of one differ."""
        if len(values) == 1:
            return values
        old = spread(values, self.x.channels)
        out = np.empty(self.new[-1], dtype=object)
        for c, column in enumerate(self.channels.T):
            entries = collapse(old[np.unique(column[column >= 0])])
            if len(entries) > 1:
                raise LowerError(
                    f"one channel of the result {self.new} (channels last) would come from several "
                    f"channels of {self.x}, which have scales of their own; use one scale per "
                    "tensor in the quantizer before"
                )
            out[c] = entries[0] if len(entries) else old[0]
        return collapse(out)


def lower_pad(build: Builder, node: SourceNode, x: Value, shape: Shape) -> Value:
    """Windows of one place, whose padding is the code of the padded number."""
    op = node.op
    assert isinstance(op, Pad)
    x = clip_codes(build, x)
    if not any(op.padding):
        return replace(x, origin=node.name)
    fill = code_of(x, Fraction(op.value))
    if not 2 <= len(x.type.shape) <= 3:
        raise LowerError(f"takes (C, L) or (C, H, W), not {shape}")
    flat = len(x.type.shape) == 2
    source = x.node
    if flat:
        source = build.helper(node.name, "map", Reshape((1, *x.type.shape)), source)
    window = Window((1, 1), plane((1,) * (len(shape) - 1)), sides(op.padding), fill=fill)
    source = build.helper(node.name, "window", window, source)
    last = tuple(n + a + b for n, a, b in zip(shape[1:], op.padding[::2], op.padding[1::2],
                                              strict=True))  # fmt: skip
    name = build.emit(node.name, Reshape((*last, shape[0])), source)
    return replace(x, node=name, type=build.type(name), origin=node.name)


def code_of(x: Value, real: Fraction) -> int:
    """The integer that stands for a real number in every channel; LowerError if none does."""
    codes = set()
    if x.linear and all(s != 0 for s in x.slope):
        codes = set(((real - x.offset) / x.slope).tolist())
    code = codes.pop() if len(codes) == 1 else None
    if code is None or code.denominator != 1:
        raise LowerError(zero_message(x, code, real))
    return int(code)
