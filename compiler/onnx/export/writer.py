"""An ONNX graph under construction, for export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwc.compiler.graph import Graph, Type

__all__ = ["DOMAIN", "Writer", "fit"]

DOMAIN = "qonnx.custom_op.general"
OPSET, IR = 17, 8
FLOAT32_BITS, FLOAT64_BITS = 24, 53


def fit(lo: int, hi: int) -> tuple[bool, bool, int] | None:
    """(signed, narrow, bits) of the QONNX interval that is exactly [lo, hi], if there is one."""
    for narrow in (False, True):
        span = hi - lo + 1 + narrow
        bits = span.bit_length() - 1
        if bits < 1 or span != 1 << bits:
            continue
        if lo == 0 and (bits > 1 or not narrow):
            return False, narrow, bits
        if lo == -(1 << (bits - 1)) + narrow and bits > 1:
            return True, narrow, bits
    return None


def cover(lo: int, hi: int) -> tuple[bool, bool, int]:
    """The smallest QONNX interval that holds [lo, hi]."""
    if lo >= 0:
        return False, False, max(hi.bit_length(), 1)
    return True, False, max(2, 1 + max((v if v >= 0 else ~v).bit_length() for v in (lo, hi)))


class Writer:
    """Nodes and initializers. Values are floats that hold integers; maps have the channels at
    axis 1. `float64` is used for all if float32 could round one."""

    def __init__(self, graph: Graph, *, float64: bool) -> None:
        self.graph = graph
        self.types: Mapping[str, Type] = graph.types
        self.dtype = np.dtype(np.float64 if float64 else np.float32)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}
        self.taken: set[str] = set()

    def unique(self, hint: str) -> str:
        name, count = hint, 1
        while name in self.taken:
            count += 1
            name = f"{hint}_{count}"
        self.taken.add(name)
        return name

    def number(self, array: Any, hint: str = "constant") -> str:
        """An initializer of the file's float type; the numbers must survive it."""
        values = np.asarray(array)
        made = values.astype(self.dtype)
        if not np.array_equal(made.astype(np.longdouble), values.astype(np.longdouble)):
            raise ValueError(f"constants for {hint} need more than {self.dtype}")
        return self.tensor(made, hint)

    def tensor(self, array: np.ndarray, hint: str) -> str:
        name = self.unique(hint)
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, kind: str, *inputs: str, hint: str = "value", **attributes: Any) -> str:
        """Append a node of one output."""
        name = self.unique(hint)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def quant(self, x: str, lo: int, hi: int, mode: str, hint: str) -> str:
        """round(x) clipped to [lo, hi]: a Quant of scale 1, and a Clip where its interval is
        another."""
        exact = fit(lo, hi)
        signed, narrow, bits = exact or cover(lo, hi)
        scale, zero, width = (self.number(np.array(v), hint) for v in (1, 0, bits))
        x = self.emit(
            "Quant", x, scale, zero, width, hint=hint, domain=DOMAIN,
            signed=int(signed), narrow=int(narrow), rounding_mode=mode,
        )  # fmt: skip
        if exact is None:
            x = self.emit("Clip", x, *(self.number(np.array(v), hint) for v in (lo, hi)), hint=hint)
        return x

    def signs(self, x: str, hint: str) -> str:
        """+1 where x >= 0, else -1."""
        return self.emit(
            "BipolarQuant", x, self.number(np.array(1), hint), hint=hint, domain=DOMAIN
        )

    def weight(self, values: np.ndarray, hint: str) -> str:
        """Integer weights, with the quantizer that states their width."""
        name = self.number(values, f"{hint}_weight")
        if np.isin(values, (-1, 1)).all():
            return self.signs(name, f"{hint}_codes")
        lo, hi = int(values.min()), int(values.max())
        if lo < 0 and fit(-max(-lo, hi), max(-lo, hi)):
            lo, hi = -max(-lo, hi), max(-lo, hi)
        signed, narrow, bits = fit(lo, hi) or cover(lo, hi)
        parts = (self.number(np.array(v), hint) for v in (1, 0, bits))
        return self.emit(
            "Quant", name, *parts, hint=f"{hint}_codes", domain=DOMAIN,
            signed=int(signed), narrow=int(narrow), rounding_mode="ROUND",
        )  # fmt: skip

    def along_channels(self, values: np.ndarray, type: Type) -> np.ndarray:
        """(1 or C,) shaped to broadcast along axis 1 of a value of `type`."""
        return np.asarray(values).reshape(1, -1, *(1,) * (len(type.shape) - 1))

    def last(self, x: str, type: Type, hint: str) -> str:
        """The value with its channels at the last axis."""
        rank = len(type.shape)
        perm = [0, *range(2, rank + 1), 1]
        return x if rank == 1 else self.emit("Transpose", x, hint=hint, perm=perm)

    def first(self, x: str, type: Type, hint: str) -> str:
        """A value with the channels last, with them at axis 1."""
        rank = len(type.shape)
        perm = [0, rank, *range(1, rank)]
        return x if rank == 1 else self.emit("Transpose", x, hint=hint, perm=perm)

    def model(self, outputs: list[tuple[str, str]]) -> onnx.ModelProto:
        """The file; outputs are (value, name in the file)."""
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        inputs = [
            helper.make_tensor_value_info(name, kind, ["N", *channels_first(type.shape)])
            for name, type in self.graph.inputs
        ]
        ends = [
            helper.make_tensor_value_info(
                self._named(value, name),
                TensorProto.INT64 if self._is_index(name) else kind,
                ["N", *channels_first(self.types[name].shape)],
            )
            for value, name in outputs
        ]
        graph = helper.make_graph(self.nodes, "hwc", inputs, ends, self.tensors)
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=IR, producer_name="hwc")

    def _is_index(self, name: str) -> bool:
        return name not in dict(self.graph.inputs) and type(self.graph.node(name).op).__name__ in (
            "ArgMax",
            "TopK",
        )

    def _named(self, value: str, name: str) -> str:
        wanted = self.unique(f"{name}_out") if name in dict(self.graph.inputs) else name
        self.nodes.append(helper.make_node("Identity", [value], [wanted], name=wanted))
        return wanted


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])
