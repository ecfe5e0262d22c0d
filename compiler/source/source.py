"""The float source graph: an immutable, validated description of a trained network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from hwc.compiler.source.ops import BatchNorm, Bipolar, Quant, Shape, SourceError, SourceOp

__all__ = ["Input", "Source", "SourceNode"]


@dataclass(frozen=True)
class Input:
    """A network input of torch shape (batch, *shape).

    With a scale the caller gives integers r in [lo, hi] and the network sees r * scale (uint8
    images: scale 1/256 or 1/255, 0..255). Without one it gives floats, and a Quant or Bipolar must
    follow.
    """

    name: str
    shape: Shape
    scale: float | None = None
    lo: int = 0
    hi: int = 255

    def __post_init__(self) -> None:
        if not self.shape or any(n < 1 for n in self.shape):
            raise SourceError(f"input {self.name}: shape {self.shape} must have positive sizes")
        if self.scale is None:
            return
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise SourceError(f"input {self.name}: scale {self.scale} must be positive and finite")
        if self.lo >= self.hi:
            raise SourceError(f"input {self.name}: lo {self.lo} must be below hi {self.hi}")


@dataclass(frozen=True)
class SourceNode:
    """One application of an op; args name inputs, earlier nodes or tensors."""

    name: str
    op: SourceOp
    args: tuple[str, ...]


def _frozen(name: str, value: object) -> np.ndarray:
    array = np.array(value)
    if array.dtype.kind not in "fiub":
        raise SourceError(f"tensor {name}: dtype {array.dtype} is not a real number type")
    if array.size == 0 or not np.isfinite(array).all():
        raise SourceError(f"tensor {name}: there must be values, all of them finite")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Source:
    """Inputs, nodes in an order in which every argument comes first, outputs, and tensors by name.

    Validated on construction: unique names, arguments that exist, shapes that fit, positive scales.
    """

    inputs: tuple[Input, ...]
    nodes: tuple[SourceNode, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tensors = {name: _frozen(name, value) for name, value in self.tensors.items()}
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "tensors", MappingProxyType(tensors))
        self._check_names()
        missing = [name for name in self.outputs if name not in self.shapes]
        if missing or not self.outputs:
            raise SourceError(f"outputs {missing or '()'}: name at least one input or node")
        constant = [name for name in self.outputs if name in self.constants]
        if constant:
            raise SourceError(f"outputs {constant} do not depend on any input")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        return (
            (self.inputs, self.nodes, self.outputs) == (other.inputs, other.nodes, other.outputs)
            and self.tensors.keys() == other.tensors.keys()
            and all(
                value.dtype == other.tensors[name].dtype
                and np.array_equal(value, other.tensors[name])
                for name, value in self.tensors.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        lines = [
            f"{i.name} = Input{i.shape} scale {i.scale} in [{i.lo}, {i.hi}]" for i in self.inputs
        ]
        lines += [
            f"{n.name} = {n.op}({', '.join(n.args)})  {self.shapes[n.name]}" for n in self.nodes
        ]
        return "\n".join([*lines, f"return {', '.join(self.outputs)}"])

    def node(self, name: str) -> SourceNode:
        """The node of that name; raises SourceError."""
        if name not in self._by_name:
            raise SourceError(f"no node {name!r}; nodes are {', '.join(self._by_name)}")
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, SourceNode]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def constants(self) -> frozenset[str]:
        """Names whose value does not depend on the inputs: tensors and quantizers of tensors."""
        names = set(self.tensors)
        for node in self.nodes:
            if all(arg in names for arg in node.args):
                names.add(node.name)
        return frozenset(names)

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every value: without the batch axis for activations, in full for constants."""
        shapes: dict[str, Shape] = {i.name: i.shape for i in self.inputs}
        shapes |= {name: value.shape for name, value in self.tensors.items()}
        for node in self.nodes:
            try:
                shapes[node.name] = self._infer(node, shapes)
            except SourceError as e:
                raise SourceError(f"node {node.name}: {e}") from None
        return MappingProxyType(shapes)

    def consumers(self, name: str) -> tuple[SourceNode, ...]:
        """Nodes that read `name`."""
        return tuple(node for node in self.nodes if name in node.args)

    def _check_names(self) -> None:
        seen: set[str] = set()
        for name in [*(i.name for i in self.inputs), *self.tensors, *(n.name for n in self.nodes)]:
            if not name or name in seen:
                raise SourceError(f"name {name!r} must be non-empty and used once")
            seen.add(name)
        if not self.inputs:
            raise SourceError("a source needs at least one input")

    def _infer(self, node: SourceNode, shapes: Mapping[str, Shape]) -> Shape:
        """Shape of one node, given those before it; checks arity, kinds of arguments and scales."""
        op, args = node.op, node.args
        for arg in args:
            op.check(
                arg in shapes, f"argument {arg!r} is not an input, a tensor or an earlier node"
            )
        constant = {arg for arg in args if arg in self.constants}
        activations = args if op.activations is None else args[: op.activations]
        names = args[len(activations) :]
        least, most = len(op.constants), len(op.constants) + len(op.optional)
        what = ", ".join([*op.constants, *(f"[{o}]" for o in op.optional)]) or "nothing"
        op.check(
            len(activations) >= (op.activations or 2) and least <= len(names) <= most,
            f"arguments {args} must be {op.activations or '>= 2'} activation(s), then {what}",
        )
        if any(a in constant for a in activations):
            op.check(
                isinstance(op, (Quant, Bipolar)),
                f"argument {activations[0]!r} is a constant; only Quant and Bipolar take one",
            )
        for role, name in zip((*op.constants, *op.optional), names, strict=False):
            op.check(name in constant, f"{role} {name!r} must be a tensor or a quantized tensor")
        if isinstance(op, (Quant, Bipolar)):
            self._check_scale(op, args, shapes)
        if isinstance(op, BatchNorm) and args[4] in self.tensors:
            op.check(
                bool((self.tensors[args[4]] + op.eps > 0).all()),
                f"var {args[4]!r} + eps {op.eps} must be > 0 everywhere",
            )
        return op.infer(*(shapes[arg] for arg in args))

    def _check_scale(
        self, op: Quant | Bipolar, args: Sequence[str], shapes: Mapping[str, Shape]
    ) -> None:
        value, scale = args
        op.check(scale in self.tensors, f"scale {scale!r} must be a tensor")
        op.check(bool((self.tensors[scale] > 0).all()), f"scale {scale!r} must be > 0 everywhere")
        shape = shapes[value] if value in self.constants else (0, *shapes[value])
        batched = value not in self.constants
        if op.axis is None:
            op.check(
                shapes[scale] in ((), (1,)),
                f"scale {scale!r} has shape {shapes[scale]}; name its axis, or give a scalar",
            )
            return
        op.check(
            (1 if batched else 0) <= op.axis < len(shape),
            f"axis {op.axis} is outside the shape {shape} (batch axis 0 included for activations)",
        )
        op.check(
            not batched or op.axis == 1, f"axis {op.axis}: activations scale along axis 1 only"
        )
        op.check_vector(f"scale {scale!r}", shapes[scale], shape[op.axis])
