"""A model that was read: the source graph, and how its values appear in ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwc.compiler.onnx.errors import OnnxError
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Batch
from hwc.compiler.source import Shape, Source

__all__ = ["Imported", "Port"]


@dataclass(frozen=True, eq=False)
class Port:
    """An input or output: its name and shape in ONNX, and its value in the source."""

    name: str
    value: Value
    shape: Shape
    batch: Batch

    def to_source(self, array: np.ndarray) -> np.ndarray:
        """ONNX's array, as (batch, *shape of the source)."""
        x = np.asarray(array)
        axes = self.value.axes
        if x.ndim != len(axes):
            raise OnnxError(f"input {self.name!r}: shape {x.shape} must have {len(axes)} axes")
        if 0 not in axes:
            x, axes = x[None], (0, *axes)
        order = sorted(range(len(axes)), key=lambda a: axes[a] or 0)
        return x.transpose(order)

    def to_onnx(self, array: np.ndarray) -> np.ndarray:
        """The source's (batch, *shape) as ONNX's array, codes decoded to what ONNX sees."""
        value = self.value
        x = np.asarray(array)
        kept = [a for a in value.axes if a is not None]
        rest = [a for a in range(x.ndim) if a not in kept]
        sizes = [1 if a is None else x.shape[a] for a in value.axes]
        x = x.transpose([*kept, *rest]).reshape(sizes)
        if value.coding is not None:
            scale, zero = (self._along(v) for v in (value.coding.scale, value.coding.zero))
            x = x / scale + zero
        if value.dtype.kind != "f" or value.dtype.name in ("int4", "uint4"):
            return np.rint(x).astype(np.int64).astype(value.dtype)
        return x

    def _along(self, vector: np.ndarray) -> np.ndarray:
        coding = self.value.coding
        if coding is None or coding.axis is None or vector.ndim == 0:
            return vector
        return vector.reshape([-1 if i == coding.axis else 1 for i in range(self.value.rank)])


@dataclass(frozen=True, eq=False)
class Imported:
    """`source`, its ports in the order of the file, and notes for the user."""

    source: Source
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    notes: tuple[str, ...] = ()

    def feed(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inputs by ONNX name, as `evaluate` takes them; raises OnnxError for one missing."""
        missing = [p.name for p in self.inputs if p.name not in arrays]
        if missing:
            raise OnnxError(f"inputs {missing} are missing")
        return {p.value.name: p.to_source(arrays[p.name]) for p in self.inputs}

    def fetch(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `evaluate` returns, as ONNX's outputs by name."""
        return {p.name: p.to_onnx(values[p.value.name]) for p in self.outputs}
