"""Operators on quantized tensors: QLinear*, ConvInteger, MatMulInteger.

A quantized activation is a real value whose codes ONNX sees. QLinear operators are dequantization,
the operator in exact arithmetic, and quantization.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops import curves, pools
from hwc.compiler.onnx.ops.arithmetic import joined, plus
from hwc.compiler.onnx.ops.contract import gemm_of, matmul_of
from hwc.compiler.onnx.ops.convolutions import conv_of
from hwc.compiler.onnx.ops.moves import concat_of
from hwc.compiler.onnx.ops.quantizers import decode, decode_constant, encode, parameters
from hwc.compiler.onnx.reshaping import permuted
from hwc.compiler.onnx.values import Coding, Constant, Grid, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Function, Multiply

__all__ = [
    "conv_integer", "matmul_integer", "qgemm", "qlinear_add", "qlinear_average", "qlinear_concat",
    "qlinear_conv", "qlinear_curve", "qlinear_global_pool", "qlinear_matmul", "qlinear_multiply",
    "qlinear_softmax",
]  # fmt: skip


def _decoded(walk: Walk, node: Node, at: int, axis: int = 1) -> Value | Constant:
    """The real value of inputs (at, at + 1, at + 2): codes, scale, zero point."""
    codes = node.operand(at)
    zero = node.optional(at + 2, "zero point")
    shape = walk.shape(codes) if isinstance(codes, Value) else node.array(at, "codes").shape
    s, z = parameters(
        node, node.array(at + 1, "scale"), None if zero is None else zero.value, shape, axis
    )
    if isinstance(codes, Constant):
        return decode_constant(node, codes, s, z)
    return decode(walk, node, node.activation(at), s, z)


def _activation(walk: Walk, node: Node, at: int) -> Value:
    x = _decoded(walk, node, at)
    if isinstance(x, Constant):
        node.fail(f"input {at} is constant; it must be an activation")
    return x


def _encoded(walk: Walk, node: Node, y: Value, at: int, *, joint: bool = False) -> Value:
    """y quantized by inputs (at, at + 1): scale, zero point."""
    zero = node.optional(at + 1, "output zero point")
    kind = np.dtype(np.uint8) if zero is None else zero.value.dtype
    node.check(node.array(at, "output scale").size == 1, "the output's scale must be a scalar")
    s, z = parameters(
        node, node.array(at, "output scale"), None if zero is None else zero.value, walk.shape(y), 1
    )
    return encode(walk, node, y, s, z, kind, joint=joint)


def qlinear_conv(walk: Walk, node: Node) -> Value:
    """As Conv; the weight's scale and zero point per tensor or output channel."""
    x = _activation(walk, node, 0)
    weight = _decoded(walk, node, 3, axis=0)
    if not isinstance(weight, Constant) or weight.grid is None:
        node.fail("the weight is an activation; it must be a constant tensor")
    bias = node.optional(8, "bias")
    if bias is not None:
        scale = node.array(1, "scale").astype(np.float64).reshape(())
        rows = weight.grid.scale.reshape(len(weight.value), -1)[:, 0]
        bias = Constant.of_grid(Grid.of(bias.value, scale * rows))
    return _encoded(walk, node, conv_of(walk, node, x, weight, bias), 6)


def qlinear_matmul(walk: Walk, node: Node) -> Value:
    """One factor is a constant; its scale per tensor, row or column."""
    left = isinstance(node.operand(0), Constant)
    weight = _decoded(walk, node, 0 if left else 3, axis=0 if left else -1)
    assert isinstance(weight, Constant) or not left
    if not isinstance(weight, Constant):
        node.fail("both factors are activations; one must be a constant tensor")
    x = _activation(walk, node, 3 if left else 0)
    return _encoded(walk, node, matmul_of(walk, node, x, weight, left=left), 6)


def qlinear_add(walk: Walk, node: Node) -> Value:
    """One summand may be a constant that broadcasts to the other. The zero point is inside
    the rounding, as in onnxruntime."""
    a, b = _decoded(walk, node, 0), _decoded(walk, node, 3)
    if isinstance(a, Value) and isinstance(b, Value):
        y = plus(walk, node, a, b)
    elif isinstance(a, Value) and isinstance(b, Constant):
        y = walk.affine(a, 1.0, b.value)
    else:
        y = walk.affine(_activation(walk, node, 3), 1.0, np.asarray(getattr(a, "value", 0.0)))
    return _encoded(walk, node, y, 6, joint=True)


def qlinear_multiply(walk: Walk, node: Node) -> Value:
    """One factor may be a constant that broadcasts to the other. The zero point is inside the
    rounding, as in onnxruntime."""
    a, b = _decoded(walk, node, 0), _decoded(walk, node, 3)
    if isinstance(a, Value) and isinstance(b, Value):
        y = joined(walk, node, a, b, Multiply())
    elif isinstance(a, Value) and isinstance(b, Constant):
        y = walk.affine(a, b.value, 0.0)
    else:
        y = walk.affine(_activation(walk, node, 3), np.asarray(getattr(a, "value", 1.0)), 0.0)
    return _encoded(walk, node, y, 6, joint=True)


def qgemm(walk: Walk, node: Node) -> Value:
    """alpha * A' B' + C, C as int32 sums; B is a constant, its scale per tensor or column. Without
    a scale of the result that is a float."""
    weight = _decoded(walk, node, 3, axis=0 if node.flag("transB", False) else -1)
    if not isinstance(weight, Constant) or weight.grid is None:
        node.fail("both factors are activations; B must be a constant tensor")
    bias = node.optional(6, "C")
    if bias is not None:
        scales = [node.array(i, "scale").astype(np.float64) for i in (1, 4)]
        unit = node.float("alpha", 1.0) * scales[0].reshape(()) * scales[1]
        bias = Constant.of_grid(Grid.of(bias.value, unit))
    y = gemm_of(walk, node, _activation(walk, node, 0), weight, bias, left=False)
    return y if node.operand(7) is None else _encoded(walk, node, y, 7)


def qlinear_concat(walk: Walk, node: Node) -> Value:
    """Inputs (scale, zero point) of the result, then (codes, scale, zero point) of each."""
    xs = [_activation(walk, node, at) for at in range(2, len(node.operands), 3)]
    y = concat_of(walk, node, xs, node.axis("axis", 1, xs[0].rank))
    return _encoded(walk, node, y, 0)


def qlinear_global_pool(walk: Walk, node: Node) -> Value:
    """Channels first or last."""
    x = _activation(walk, node, 0)
    node.check(x.rank > 2, "the input has no positions")
    last = node.flag("channels_last", False)
    axes = tuple(range(1, x.rank - 1)) if last else tuple(range(2, x.rank))
    y = pools.reduced(walk, node, x, axes, "Mean", keep=True)
    return _encoded(walk, node, y, 3)


def qlinear_average(walk: Walk, node: Node) -> Value:
    """As AveragePool; channels first or last. The zero point is inside the rounding, as in
    onnxruntime."""
    x = _activation(walk, node, 0)
    node.check(x.rank > 2, "the input has no positions")
    last = node.flag("channels_last", False)
    first = (0, x.rank - 1, *range(1, x.rank - 1))
    y = pools.average_of(walk, node, permuted(x, first) if last else x)
    y = permuted(y, (0, *range(2, y.rank), 1)) if last else y
    return _encoded(walk, node, y, 3, joint=True)


def qlinear_softmax(walk: Walk, node: Node) -> Value:
    """Along one axis; before operator set 13 over all axes from `axis` on. Not onnxruntime's
    table of floats but the integers of docs/numerics.md."""
    y = curves.softmax_of(walk, node, _activation(walk, node, 0), node.int("opset", 13))
    return _encoded(walk, node, y, 3)


def qlinear_curve(walk: Walk, node: Node) -> Value:
    """The real function between dequantization and quantization."""
    x = _activation(walk, node, 0)
    if node.type == "QLinearSigmoid":
        y = x.renamed(walk.emit(Function("sigmoid"), x.name))
    else:
        slope = np.array(node.float("alpha", 0.01))
        y = walk.per_channel(x, [slope], lambda axis: curves.PRelu())
    return _encoded(walk, node, y, 3)


def _offset(walk: Walk, node: Node, at: int, zero_at: int, axis: int) -> Value | Constant:
    """Codes minus their zero point: a constant on the grid of integers, or an activation whose
    scale is still to be divided out (its coding says by what)."""
    codes = node.operand(at)
    zero = node.optional(zero_at, "zero point")
    z = None if zero is None else zero.value
    if isinstance(codes, Constant):
        s, z = parameters(node, np.array(1.0), z, codes.value.shape, axis)
        return decode_constant(node, codes, s, z)
    x = node.activation(at)
    node.check(x.dtype.kind in "iu", "the input must be quantized codes")
    coding = x.coding or Coding.of(1.0)
    node.check(
        coding.axis is None and (z is None or z.size == 1),
        "an activation quantized per channel is not supported; use one scale for the tensor",
    )
    zero_point = 0 if z is None else int(z.reshape(()))
    plain = replace(x, coding=None)
    y = walk.affine(plain, 1.0, (coding.zero - zero_point) * coding.scale)
    return replace(y, coding=Coding.of(float(coding.scale)), dtype=np.dtype(np.int32))


def conv_integer(walk: Walk, node: Node) -> Value:
    """As Conv, on codes minus their zero points; the result is int32."""
    x, weight = _offset(walk, node, 0, 2, 1), _offset(walk, node, 1, 3, 0)
    if not isinstance(x, Value) or not isinstance(weight, Constant):
        node.fail("the weight must be a constant and the input an activation")
    y = conv_of(walk, node, x, weight, None)
    return replace(y, coding=x.coding, dtype=x.dtype)


def matmul_integer(walk: Walk, node: Node) -> Value:
    """One factor is a constant, on codes minus their zero points; the result is int32."""
    a, b = _offset(walk, node, 0, 2, 0), _offset(walk, node, 1, 3, -1)
    left = isinstance(a, Constant)
    x, weight = (b, a) if left else (a, b)
    if not isinstance(x, Value) or not isinstance(weight, Constant):
        node.fail("both factors are activations; one must be a constant tensor")
    y = matmul_of(walk, node, x, weight, left=left)
    return replace(y, coding=x.coding, dtype=x.dtype)
