"""QuantizeLinear and DequantizeLinear, and what the integer operators share with them.

ONNX's QuantizeLinear is saturate(round_half_even(x / scale) + zero).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.element import INTERVALS
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.values import Coding, Constant, Grid, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Quant, SourceOp

__all__ = [
    "decode", "decode_constant", "dequantize", "encode", "encode_constant", "interval",
    "parameters", "quantize",
]  # fmt: skip


def interval(node: Node, dtype: np.dtype) -> tuple[int, int]:
    """Smallest and largest value of an integer type."""
    if dtype.name not in INTERVALS or dtype.itemsize > 4:
        node.fail(f"quantization to {dtype.name} is not supported; use integers of up to 32 bits")
    return INTERVALS[dtype.name]


def parameters(
    node: Node, scale: np.ndarray, zero: np.ndarray | None, shape: tuple[int, ...], axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (float64) and zero point (int64), shaped to broadcast to `shape`: scalars, vectors
    along `axis`, or blocks of `block_size` along it."""
    scale = np.asarray(scale, np.float64)
    zero = np.zeros((), np.int64) if zero is None else np.asarray(zero).astype(np.int64)
    node.check(bool(np.isfinite(scale).all() and (scale != 0).all()), "scales must not be 0 or inf")
    return _spread(node, scale, shape, axis), _spread(node, zero, shape, axis)


def _spread(node: Node, value: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    if value.size == 1:
        return value.reshape(())
    axis = node.position(axis, len(shape))
    if value.ndim == 1 and value.size == shape[axis]:
        return value.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    block = node.int("block_size", 0)
    node.check(
        block > 0 and value.ndim == len(shape) and -(-shape[axis] // block) == value.shape[axis],
        f"scale or zero point {value.shape} does not fit {shape} along axis {axis}",
    )
    whole = np.repeat(value, block, axis=axis)
    return np.take(whole, np.arange(shape[axis]), axis=axis)


def quantize(walk: Walk, node: Node) -> Value | Constant:
    """Per tensor and per axis (zero points along an axis must agree in parity); to signed and
    unsigned integers of 2, 4, 8 and 16 bits."""
    operand = node.operand(0)
    zero = node.optional(2, "zero point")
    dtype = np.dtype(np.uint8) if zero is None else zero.value.dtype
    if zero is None and node.int("output_dtype", 0):
        from onnx.helper import tensor_dtype_to_np_dtype

        dtype = np.dtype(tensor_dtype_to_np_dtype(node.int("output_dtype", 0)))
    interval(node, dtype)
    shape = walk.shape(operand) if isinstance(operand, Value) else node.array(0, "x").shape
    s, z = parameters(
        node, node.array(1, "scale"), None if zero is None else zero.value, shape,
        node.int("axis", 1),
    )  # fmt: skip
    if isinstance(operand, Constant):
        return encode_constant(node, operand.value, s, z, dtype)
    return encode(walk, node, real(walk, node), s, z, dtype)


def encode_constant(
    node: Node, x: np.ndarray, scale: np.ndarray, zero: np.ndarray, dtype: np.dtype
) -> Constant:
    """Codes of a constant."""
    lo, hi = interval(node, dtype)
    codes = np.clip(np.rint(x.astype(np.float64) / scale) + zero, lo, hi)
    return Constant(codes.astype(np.int64).astype(dtype))


def _vector(node: Node, array: np.ndarray) -> tuple[np.ndarray, int | None]:
    """(scalar, None) or (vector, axis) of a broadcast array that varies along one axis."""
    axes = [a for a, n in enumerate(array.shape) if n > 1]
    node.check(len(axes) <= 1, f"a scale of shape {array.shape} for an activation is not supported")
    return (array.ravel(), axes[0]) if axes else (array.reshape(()), None)


def encode(
    walk: Walk,
    node: Node,
    x: Value,
    scale: np.ndarray,
    zero: np.ndarray,
    dtype: np.dtype,
    *,
    joint: bool = False,
) -> Value:
    """saturate(round_half_even(x / scale) + zero) of an activation; with `joint` the zero point
    is inside the rounding."""
    lo, hi = interval(node, dtype)
    node.check(bool((scale > 0).all()), "scales of activations must be positive")
    first = int(zero.ravel()[0])
    offset = (zero - first) * scale  # per channel; even, so that ties round alike
    node.check(
        not ((zero - first) % 2).any(),
        "zero points of different parity along an axis are not supported; use one for the tensor",
    )
    x = walk.affine(x, 1.0, offset)
    y = walk.per_channel(x, [scale], _quant(lo, hi, first, joint=joint))
    y = walk.affine(y, 1.0, -offset)
    s, axis = _vector(node, scale)
    z, other = _vector(node, zero)
    full = axis if other is None else other
    coding = Coding(s, z, full)
    return replace(y, dtype=dtype, coding=coding)


def _quant(lo: int, hi: int, zero: int, *, joint: bool) -> Callable[[int | None], SourceOp]:
    return lambda axis: Quant(lo, hi, zero, axis, joint=joint)


def dequantize(walk: Walk, node: Node) -> Value | Constant:
    """Per tensor, per axis and (constants) per block; after the QuantizeLinear with the same
    scale nothing remains to be computed."""
    operand = node.operand(0)
    zero = node.optional(2, "zero point")
    shape = walk.shape(operand) if isinstance(operand, Value) else node.array(0, "x").shape
    s, z = parameters(
        node, node.array(1, "scale"), None if zero is None else zero.value, shape,
        node.int("axis", 1),
    )  # fmt: skip
    if isinstance(operand, Constant):
        return decode_constant(node, operand, s, z)
    return decode(walk, node, node.activation(), s, z)


def decode_constant(node: Node, x: Constant, scale: np.ndarray, zero: np.ndarray) -> Constant:
    """(codes - zero) * scale, which keeps its codes."""
    name = x.value.dtype.name
    node.check(x.value.dtype.kind in "iu" or name in INTERVALS, f"{name} is not an integer type")
    codes = x.value.astype(np.int64) - zero
    return Constant.of_grid(Grid.of(codes, np.broadcast_to(scale, codes.shape)))


def decode(walk: Walk, node: Node, x: Value, scale: np.ndarray, zero: np.ndarray) -> Value:
    """(code - zero) * scale as a real number."""
    node.check(x.dtype.kind != "f", "the input is not an integer; quantize it first")
    coding = x.coding or Coding.of(1.0)
    have, at = walk.along(x, coding.scale), walk.along(x, coding.zero)
    plain = replace(x, coding=None, dtype=np.dtype(np.float32))
    return walk.affine(plain, scale / have, (at - zero) * scale)
