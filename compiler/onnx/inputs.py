"""The inputs of a graph: shapes, the batch axis, integer inputs, inputs with channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx.helper import tensor_dtype_to_np_dtype

from hwc.compiler.onnx.element import FLOATS, INTERVALS
from hwc.compiler.onnx.errors import OnnxError
from hwc.compiler.onnx.tensors import check_size
from hwc.compiler.onnx.values import Coding, Constant, Value
from hwc.compiler.onnx.walk import Batch, Walk

__all__ = ["Declared", "Raw", "choose_batch", "declare", "enter"]

WIDEST = 32  # bits of an integer input

SCALED = {
    "DequantizeLinear": {0: 1},
    "QLinearConv": {0: 1},
    "QLinearMatMul": {0: 1, 3: 4},
    "QLinearAdd": {0: 1, 3: 4},
    "QGemm": {0: 1},
    "QLinearAveragePool": {0: 1},
    "QLinearGlobalAveragePool": {0: 1},
    "QLinearMul": {0: 1, 3: 4},
    "QLinearSigmoid": {0: 1},
    "QLinearSoftmax": {0: 1},
    "QLinearLeakyRelu": {0: 1},
}
"""Operator -> {input with codes: input with their scale}."""

ELEMENTWISE = frozenset(
    {"Add", "BipolarQuant", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "IntQuant",
     "Mul", "Quant", "QuantizeLinear", "Relu", "Sub"}
)  # fmt: skip


@dataclass(frozen=True)
class Raw:
    """What arrives at a float input: integers in lo..hi, each standing for integer * scale (8-bit
    images: 1 / 255)."""

    scale: float = 1 / 255
    lo: int = 0
    hi: int = 255


@dataclass(frozen=True)
class Declared:
    """An input as the file declares it; None is an open size. `raw`: integers arrive at it."""

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    raw: Raw | None = None


def declare(
    item: onnx.ValueInfoProto, shapes: Mapping[str, Sequence[int]], raw: Raw | None
) -> Declared:
    """Type and shape; raises OnnxError for what cannot be an input."""
    what = f"input {item.name!r}"
    if not item.type.HasField("tensor_type"):
        raise OnnxError(f"{what}: must be a tensor")
    tensor = item.type.tensor_type
    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, ValueError, TypeError):
        raise OnnxError(f"{what}: element type {tensor.elem_type} is unknown") from None
    narrow = dtype.name in INTERVALS and int(dtype.name.split("int")[1]) <= WIDEST
    if dtype.name not in FLOATS and not narrow:
        raise OnnxError(
            f"{what}: element type {dtype.name} is not supported; "
            f"use floats, or integers of up to {WIDEST} bits"
        )
    if item.name in shapes:
        sizes: list[int | None] = [int(n) for n in shapes[item.name]]
        _check_given(what, tensor, sizes)
    elif tensor.HasField("shape"):
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    else:
        raise OnnxError(f"{what}: has no shape; give one with {_way_out(item.name)}")
    if None in sizes[1:]:
        raise OnnxError(
            f"{what}: shape {_written(tensor)} is open beyond the batch axis 0; "
            f"fix it with {_way_out(item.name)}"
        )
    known = tuple(n for n in sizes if n is not None)
    if any(n < 1 for n in known):
        raise OnnxError(f"{what}: sizes {known} must be positive")
    check_size(what, known)
    if raw is not None and dtype.name not in FLOATS:
        raise OnnxError(f"{what}: has integers of type {dtype.name} already; leave raw out")
    return Declared(item.name, dtype, tuple(sizes), raw)


def _way_out(name: str) -> str:
    return f"--shape {name}=1,... (in Python: shapes={{{name!r}: (1, ...)}}), the batch included"


def _check_given(what: str, tensor: onnx.TypeProto.Tensor, sizes: Sequence[int | None]) -> None:
    """Refuse a shape with other axes than the file's; sizes may be others where the network
    allows it."""
    if tensor.HasField("shape") and len(tensor.shape.dim) != len(sizes):
        raise OnnxError(
            f"{what}: shape {tuple(sizes)} does not fit the file's {_written(tensor)}; give a size "
            "for each axis, the batch included"
        )


def _written(tensor: onnx.TypeProto.Tensor) -> str:
    return str(tuple(d.dim_param or d.dim_value or "?" for d in tensor.shape.dim))


def choose_batch(inputs: Sequence[Declared]) -> Batch:
    """Axis 0 of all inputs, if they agree on its size; else nothing is a batch."""
    if any(len(i.shape) < 2 for i in inputs):
        if any(None in i.shape for i in inputs):
            raise OnnxError("an input has only a batch axis; samples need features")
        return Batch(None)
    sizes = {i.shape[0] for i in inputs}
    if None in sizes:
        if len(sizes) > 1:
            raise OnnxError(
                "some inputs have an open batch axis 0 and others have not; fix them with --shape "
                "(in Python: shapes=)"
            )
        return Batch.open()
    return Batch(sizes.pop()) if len(sizes) == 1 else Batch(None)


def enter(
    walk: Walk,
    item: Declared,
    nodes: Sequence[onnx.NodeProto],
    initial: Callable[[str], Constant | None],
) -> Value:
    """The source input. Integers get the scale with which they are first dequantized; an input
    that is first transposed has the shape after it."""
    batched = walk.batch.size is not None
    sizes = tuple(n or 1 for n in (item.shape[1:] if batched else item.shape))
    axes: tuple[int | None, ...] = tuple(range(not batched, len(item.shape) + (not batched)))
    if not sizes:
        sizes, axes = (1,), ()
    perm = _first_transpose(item.name, nodes)
    if batched and perm is not None and len(perm) == len(axes) and perm[0] == 0:
        sizes = tuple(sizes[a - 1] for a in perm[1:])
        axes = tuple(perm.index(a) for a in range(len(perm)))
    if item.raw is not None:
        scale, lo, hi = item.raw.scale, item.raw.lo, item.raw.hi
        return Value(walk.add_input(item.name, sizes, scale, lo, hi), axes)
    if item.dtype.name in FLOATS:
        return Value(walk.add_input(item.name, sizes, None, 0, 255), axes)
    lo, hi = INTERVALS[item.dtype.name]
    scale = _first_scale(item.name, nodes, initial)
    name = walk.add_input(item.name, sizes, scale, lo, hi)
    return Value(name, axes, item.dtype, Coding.of(scale))


def _users(name: str, nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    return [n for n in nodes if name in n.input]


def _first_transpose(name: str, nodes: Sequence[onnx.NodeProto]) -> tuple[int, ...] | None:
    """The permutation if the input is transposed before anything else but elementwise steps."""
    for _ in range(8):
        users = _users(name, nodes)
        if len(users) != 1:
            return None
        user = users[0]
        if user.op_type == "Transpose":
            perm = next((tuple(a.ints) for a in user.attribute if a.name == "perm"), None)
            return perm if perm is not None and sorted(perm) == list(range(len(perm))) else None
        if user.op_type not in ELEMENTWISE or not user.output:
            return None
        name = user.output[0]
    return None


def _first_scale(
    name: str, nodes: Sequence[onnx.NodeProto], initial: Callable[[str], Constant | None]
) -> float:
    for node in _users(name, nodes):
        at = list(node.input).index(name)
        scale = SCALED.get(node.op_type, {}).get(at)
        if scale is not None and scale < len(node.input):
            found = initial(node.input[scale])
            if found is not None and found.value.size == 1:
                value = float(found.value.reshape(()))
                return value if np.isfinite(value) and value > 0 else 1.0
    return 1.0
