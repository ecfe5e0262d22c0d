"""A node as handlers see it: resolved operands, typed attributes, errors that name it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import onnx

from hwc.compiler.onnx.errors import OnnxError
from hwc.compiler.onnx.file import domain_of, title
from hwc.compiler.onnx.tensors import Tensors
from hwc.compiler.onnx.values import Constant, Operand, Value

__all__ = ["Node", "slice_bounds"]

MOST_INTEGER = 1 << 40  # attributes such as "to the end" of a slice are larger: they are clipped

Attribute = onnx.AttributeProto


class Node:
    """One node, its inputs resolved. `opset` is the version of its own domain."""

    def __init__(
        self,
        proto: onnx.NodeProto,
        operands: list[Operand],
        opset: int,
        tensors: Tensors,
        used: frozenset[str],
    ) -> None:
        self.proto = proto
        self.operands = operands
        self.opset = opset
        self.tensors = tensors
        self.used = used
        self.type = proto.op_type
        self.domain = domain_of(proto)
        self.title = title(proto)
        self.attributes: Mapping[str, Attribute] = {a.name: a for a in proto.attribute}
        if len(self.attributes) < len(proto.attribute):
            self.fail("an attribute is given twice; give each once")

    def fail(self, message: str) -> NoReturn:
        """Raise OnnxError naming the node."""
        raise OnnxError(f"{self.title}: {message}")

    def check(self, ok: bool, message: str) -> None:
        """Raise OnnxError naming the node unless ok."""
        if not ok:
            self.fail(message)

    def wants(self, index: int) -> bool:
        """True if output `index` is used by a node or the graph."""
        return index < len(self.proto.output) and self.proto.output[index] in self.used

    # Operands

    def operand(self, index: int) -> Operand:
        """Input `index`, None if it is left out."""
        return self.operands[index] if index < len(self.operands) else None

    def activation(self, index: int = 0) -> Value:
        """Input `index`, which must depend on an input of the graph."""
        operand = self.operand(index)
        if isinstance(operand, Value):
            return operand
        what = "missing" if operand is None else "constant"
        self.fail(f"input {index} is {what}; it must be an activation")

    def constant(self, index: int, role: str) -> Constant:
        """Input `index`, which must be known now."""
        operand = self.operand(index)
        if isinstance(operand, Constant):
            return operand
        what = "missing" if operand is None else "an activation"
        self.fail(f"{role} (input {index}) is {what}; it must be a constant tensor")

    def optional(self, index: int, role: str) -> Constant | None:
        """Input `index` if it is there; it must be known now."""
        return None if self.operand(index) is None else self.constant(index, role)

    def array(self, index: int, role: str) -> np.ndarray:
        return self.constant(index, role).value

    def scalar(self, index: int, role: str, default: float) -> float:
        """Input `index`, a constant of one element, or the default."""
        constant = self.optional(index, role)
        if constant is None:
            return default
        self.check(constant.value.size == 1, f"{role} has {constant.value.size} elements, not 1")
        return float(constant.value.reshape(()))

    def integers(self, index: int, role: str) -> tuple[int, ...]:
        """Input `index`, a constant vector of integers (clipped to 40 bits)."""
        value = self.array(index, role)
        self.check(value.dtype.kind in "iu" and value.ndim <= 1, f"{role} must be integers (n,)")
        return tuple(_clipped(v) for v in value.ravel().tolist())

    # Attributes

    def _attribute(self, name: str, kind: int) -> Attribute | None:
        found = self.attributes.get(name)
        if found is None:
            return None
        self.check(not found.ref_attr_name, f"attribute {name!r} refers to a function's parameter")
        if found.type != kind and not (found.type == 0 and kind in (Attribute.INT, Attribute.INTS)):
            self.fail(f"attribute {name!r} has the wrong type")
        return found

    def has(self, name: str) -> bool:
        return name in self.attributes

    def int(self, name: str, default: int) -> int:
        found = self._attribute(name, Attribute.INT)
        return default if found is None else _clipped(found.i)

    def flag(self, name: str, default: bool) -> bool:
        value = self.int(name, int(default))
        self.check(value in (0, 1), f"{name} {value} must be 0 or 1")
        return bool(value)

    def float(self, name: str, default: float) -> float:
        found = self._attribute(name, Attribute.FLOAT)
        value = default if found is None else found.f
        self.check(not math.isnan(value), f"{name} is not a number")
        return value

    def string(self, name: str, default: str) -> str:
        found = self._attribute(name, Attribute.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def ints(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        found = self._attribute(name, Attribute.INTS)
        return default if found is None else tuple(_clipped(v) for v in found.ints)

    def floats(self, name: str) -> tuple[float, ...]:
        found = self._attribute(name, Attribute.FLOATS)
        return () if found is None else tuple(found.floats)

    def tensor(self, name: str) -> np.ndarray | None:
        found = self._attribute(name, Attribute.TENSOR)
        return None if found is None else self.tensors.array(found.t, f"{self.title}: {name}")

    def axis(self, name: str, default: int, rank: int) -> int:
        """An axis attribute as a position from the front."""
        return self.position(self.int(name, default), rank)

    def position(self, axis: int, rank: int) -> int:
        """An axis counted from either end, as a position from the front."""
        self.check(-rank <= axis < max(rank, 1), f"axis {axis} is outside a shape of rank {rank}")
        return axis % max(rank, 1)


def _clipped(value: int) -> int:
    return max(-MOST_INTEGER, min(MOST_INTEGER, int(value)))


def slice_bounds(node: Node) -> tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]:
    """(starts, ends, axes, steps) of a Slice: attributes up to operator set 9, inputs since."""
    if node.opset < 10:
        starts, ends = node.ints("starts"), node.ints("ends")
        axes, steps = node.ints("axes", tuple(range(len(starts)))), (1,) * len(starts)
    else:
        starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
        given = node.operand(3) is not None
        axes = node.integers(3, "axes") if given else tuple(range(len(starts)))
        steps = node.integers(4, "steps") if node.operand(4) is not None else (1,) * len(starts)
    return starts, ends, axes, steps
