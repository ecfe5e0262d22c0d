"""How each operation of the integer language is written in QONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Concat,
    Conv1d,
    Conv2d,
    Gather,
    GlobalMaxPool,
    GlobalSumPool,
    GroupedMatMul,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Op,
    Requant,
    Reshape,
    SumPool2d,
    Table,
    TopK,
    TwoSlope,
    Type,
    Window,
)
from hwc.compiler.onnx.export import quantizers
from hwc.compiler.onnx.export.writer import Writer

__all__ = ["OPERATIONS", "Export"]

Export = Callable[[Writer, Node, list[str]], str]
"""Writes a node whose operands have these names; returns the name of the result."""


def _matmul(w: Writer, node: Node, args: list[str]) -> str:
    assert isinstance(node.op, MatMul)
    weight = node.op.weight.dense()
    rank = len(w.types[node.args[0]].shape)
    if rank == 1:
        return w.emit("MatMul", args[0], w.weight(weight.T, node.name), hint=node.name)
    kernel = weight.reshape(*weight.shape, *(1,) * (rank - 1))
    return w.emit("Conv", args[0], w.weight(kernel, node.name), hint=node.name)


def _conv(w: Writer, node: Node, args: list[str]) -> str:
    op = node.op
    assert isinstance(op, Conv1d | Conv2d)
    one = isinstance(op, Conv1d)
    return w.emit(
        "Conv",
        args[0],
        w.weight(np.moveaxis(op.weight.dense(), -1, 1), node.name),
        hint=node.name,
        strides=[op.stride] if isinstance(op, Conv1d) else list(op.stride),
        dilations=[op.dilation] if isinstance(op, Conv1d) else list(op.dilation),
        pads=list(op.padding) if one else sides(op.padding),
        group=op.groups,
    )


def sides(padding: tuple[int, ...]) -> list[int]:
    """(top, bottom, left, right) as ONNX's (top, left, bottom, right)."""
    top, bottom, left, right = padding
    return [top, left, bottom, right]


def _grouped(w: Writer, node: Node, args: list[str]) -> str:
    """A product over windows: a convolution, padded with the window's integer."""
    assert isinstance(node.op, GroupedMatMul)
    source = next((n for n in w.graph.nodes if n.name == node.args[0]), None)
    if source is None or not isinstance(source.op, Window):
        raise ValueError("a grouped product of anything but windows has no QONNX operator")
    window, x = source.op, w.names[source.args[0]]
    groups, outputs, _, channels = node.op.weight.shape
    kernel = node.op.weight.dense().reshape(groups * outputs, *window.kernel, channels)
    pads = sides(window.padding)
    if window.fill and window.padded:
        top, left, bottom, right = pads
        places = w.tensor(np.array([0, 0, top, left, 0, 0, bottom, right]), f"{node.name}_pads")
        x = w.emit("Pad", x, places, w.number(np.array(window.fill)), hint=f"{node.name}_padded")
        pads = [0, 0, 0, 0]
    weight = w.weight(np.moveaxis(kernel, -1, 1), node.name)
    return w.emit(
        "Conv", x, weight, hint=node.name, strides=list(window.stride), pads=pads,
        dilations=list(window.dilation), group=groups,
    )  # fmt: skip


def _add(w: Writer, node: Node, args: list[str]) -> str:
    assert isinstance(node.op, Add)
    terms = [
        x if m == 1 else w.emit("Mul", x, w.number(np.array(m)), hint=f"{node.name}_term")
        for m, x in zip(node.op.multipliers, args, strict=True)
    ]
    return w.emit("Sum", *terms, hint=node.name)


def _max_pool(w: Writer, node: Node, args: list[str]) -> str:
    op = node.op
    assert isinstance(op, MaxPool2d)
    return w.emit(
        "MaxPool", args[0], hint=node.name, kernel_shape=list(op.kernel), pads=sides(op.padding),
        strides=list(op.stride), dilations=list(op.dilation),
    )  # fmt: skip


def _sum_pool(w: Writer, node: Node, args: list[str]) -> str:
    """A depthwise convolution with ones: sums stay integers."""
    op = node.op
    assert isinstance(op, SumPool2d)
    channels = w.types[node.args[0]].shape[-1]
    ones = w.number(np.ones((channels, 1, *op.kernel)), f"{node.name}_ones")
    return w.emit(
        "Conv", args[0], ones, hint=node.name, strides=list(op.stride), pads=sides(op.padding),
        group=channels,
    )  # fmt: skip


def _global(w: Writer, node: Node, args: list[str]) -> str:
    rank = len(w.types[node.args[0]].shape)
    axes = list(range(2, rank + 1))
    if isinstance(node.op, GlobalSumPool):
        places = w.tensor(np.array(axes), f"{node.name}_axes")
        return w.emit("ReduceSum", args[0], places, hint=node.name, keepdims=0)
    return w.emit("ReduceMax", args[0], hint=node.name, axes=axes, keepdims=0)


def _concat(w: Writer, node: Node, args: list[str]) -> str:
    return w.emit("Concat", *args, hint=node.name, axis=1)


def _reshaped(w: Writer, x: str, old: Type, new: Type, hint: str) -> str:
    shape = w.tensor(np.array([0, *new.shape]), f"{hint}_shape")
    return w.first(w.emit("Reshape", w.last(x, old, hint), shape, hint=hint), new, hint)


def _reshape(w: Writer, node: Node, args: list[str]) -> str:
    return _reshaped(w, args[0], w.types[node.args[0]], w.types[node.name], node.name)


def _gather(w: Writer, node: Node, args: list[str]) -> str:
    """Selection from the flat value, channels last."""
    assert isinstance(node.op, Gather)
    if node.op.fills:
        raise ValueError("a gather that fills in constants has no QONNX operator")
    old, new = w.types[node.args[0]], w.types[node.name]
    flat = Type((old.size,), old.lo, old.hi)
    x = _reshaped(w, args[0], old, flat, f"{node.name}_flat")
    index = w.tensor(node.op.index.values, f"{node.name}_index")
    x = w.emit("Gather", x, index, hint=f"{node.name}_taken", axis=1)
    return _reshaped(w, x, Type((new.size,), old.lo, old.hi), new, node.name)


def _select(w: Writer, node: Node, args: list[str]) -> str:
    if isinstance(node.op, ArgMax):
        return w.emit("ArgMax", args[0], hint=node.name, axis=1, keepdims=1)
    assert isinstance(node.op, TopK)
    names = [w.unique(f"{node.name}_values"), w.unique(node.name)]
    count = w.tensor(np.array([node.op.k]), f"{node.name}_k")
    w.nodes.append(onnx.helper.make_node("TopK", [args[0], count], names, axis=1, name=names[1]))
    return names[1]


OPERATIONS: Mapping[type[Op], Export] = {
    Add: _add,
    ArgMax: _select,
    Concat: _concat,
    Conv1d: _conv,
    Conv2d: _conv,
    Gather: _gather,
    GlobalMaxPool: _global,
    GlobalSumPool: _global,
    GroupedMatMul: _grouped,
    MatMul: _matmul,
    MaxPool2d: _max_pool,
    MultiThreshold: quantizers.multi_threshold,
    Requant: quantizers.requant,
    Reshape: _reshape,
    SumPool2d: _sum_pool,
    Table: quantizers.monotone,
    TopK: _select,
    TwoSlope: quantizers.monotone,
}
