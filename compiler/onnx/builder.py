"""The source graph under construction: names, tensors, nodes, errors at the ONNX node at hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwc.compiler.onnx.errors import BatchError
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.tensors import check_size
from hwc.compiler.onnx.values import Constant
from hwc.compiler.source import Input, Quant, Shape, SourceError, SourceNode, SourceOp

__all__ = ["Batch", "Builder", "identifier"]

DYNAMIC = 1009
"""Stands for an open batch size while shapes are computed: a prime that shapes do not contain."""


@dataclass(frozen=True)
class Batch:
    """What axis 0 of the inputs is: `size` samples, or (None) an axis like any other."""

    size: int | None
    dynamic: bool = False

    @staticmethod
    def open() -> Batch:
        return Batch(DYNAMIC, dynamic=True)


def identifier(hint: str) -> str:
    """An identifier made of any name."""
    base = re.sub(r"\W+", "_", hint, flags=re.ASCII).strip("_") or "value"
    return f"n{base}" if base[0].isdigit() else base


class Builder:
    """Emits source nodes for the ONNX node at hand, `node`, in which errors are reported."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.inputs: list[Input] = []
        self.nodes: dict[str, SourceNode] = {}
        self.tensors: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.notes: list[str] = []
        self.node: Node | None = None
        self._moved: dict[tuple[str, SourceOp], str] = {}

    def unique(self, hint: str) -> str:
        """An identifier made of `hint` that is not taken."""
        base = identifier(hint)
        name, count = base, 1
        while name in self.shapes:
            count += 1
            name = f"{base}_{count}"
        return name

    def _hint(self) -> str:
        if self.node is None:
            return "value"
        return next(filter(None, self.node.proto.output), self.node.type)

    def add_input(self, hint: str, shape: Shape, scale: float | None, lo: int, hi: int) -> str:
        name = self.unique(hint)
        self.inputs.append(Input(name, shape, scale, lo, hi))
        self.shapes[name] = shape
        return name

    def tensor(self, array: np.ndarray, role: str) -> str:
        """Name of a tensor of the source; raises OnnxError unless all values are finite."""
        array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            array = array.astype(np.int64)
        if not array.size or not np.isfinite(array).all():
            self.fail(f"{role}: there must be values, all of them finite")
        name = self.unique(f"{self._hint()}_{role}")
        self.tensors[name], self.shapes[name] = array, array.shape
        return name

    def fail(self, message: str) -> None:
        assert self.node is not None
        self.node.fail(message)

    def emit(
        self, op: Callable[[], SourceOp] | SourceOp, *args: str, role: str | None = None
    ) -> str:
        """Append a node; raises OnnxError where the source language has no such thing."""
        try:
            made = op if isinstance(op, SourceOp) else op()
            shape = made.infer(*(self.shapes[a] for a in args))
        except SourceError as error:
            self.fail(str(error))
            raise
        title = self.node.title if self.node else "graph"
        check_size(title, shape)
        name = self.unique(self._hint() if role is None else f"{self._hint()}_{role}")
        self.nodes[name], self.shapes[name] = SourceNode(name, made, args), shape
        return name

    def weight(self, constant: Constant, role: str, axis: int = 0) -> str:
        """Name of a constant whose `axis` is the output channels: a quantized tensor if it has a
        grid with one scale, or one for each index of the axis; else a tensor."""
        grid = constant.grid
        if grid is None:
            return self.tensor(constant.value, role)
        name = self.tensor(grid.values, role)
        along = np.moveaxis(grid.scale, axis, 0) if grid.scale.ndim else grid.scale[None]
        rows = along.reshape(len(along), -1)
        if (rows != rows[:, :1]).any():
            return name
        scales = rows[:, 0]
        alike = bool((scales == scales[0]).all())
        lo, hi = min(int(grid.codes.min()), 0), max(int(grid.codes.max()), 1)
        scale = self.tensor(np.array(scales[0] if alike else scales), f"{role}_scale")
        op = Quant(lo, hi, axis=None if alike else axis)
        return self.emit(op, name, scale, role=f"{role}_codes")

    def mixes(self, message: str) -> None:
        """Raise BatchError at the current node."""
        assert self.node is not None
        raise BatchError(
            f"{self.node.title}: {message}; samples must stay apart: export the model for a "
            "single sample"
        )

    def move(self, name: str, op: SourceOp) -> str:
        """As emit, but the same movement of the same value is made once."""
        if (name, op) not in self._moved:
            self._moved[name, op] = self.emit(op, name)
        return self._moved[name, op]
