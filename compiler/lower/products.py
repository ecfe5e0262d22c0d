"""Lowering of linear layers and convolutions: exact integer weights, the scales stay pending."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hwc.compiler.graph import Conv1d, Conv2d, GroupedMatMul, MatMul, Reshape, Window, recognize
from hwc.compiler.lower.align import clip_codes, one_scale
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.constants import Codes, Ints, codes, numbers
from hwc.compiler.lower.exact import Vector, collapse, spread, vector
from hwc.compiler.lower.geometry import plane, sides
from hwc.compiler.lower.moves import code_of
from hwc.compiler.lower.transposed import as_convolution
from hwc.compiler.lower.value import LowerError, Value
from hwc.compiler.source import Conv, ConvTranspose, Linear, Source, SourceNode

__all__ = ["lower_conv", "lower_linear"]

WEIGHTED_BITS, OPERAND_BITS = 16, 24
"""Widest operand of a product: for sums of products, and for sums of quantized codes (pools)."""


def lower_linear(source: Source, build: Builder, node: SourceNode, x: Value) -> Value:
    """x (K,) times the weight's codes; a pending permutation goes into the weight's columns."""
    assert isinstance(node.op, Linear)
    x = _operand(build, x, groups=1)
    weight = codes(source, node.args[1])
    w = weight.values
    if x.order is not None:
        w = np.empty_like(weight.values)
        w[:, x.order] = weight.values
    name = build.emit(node.name, MatMul(recognize(w)), x.node)
    return _result(source, build, node, x, weight, _offset_sums(x, w[:, None, :], 1), name)


def lower_conv(source: Source, build: Builder, node: SourceNode, x: Value) -> Value:
    """x (*positions, C) convolved; padding inserts the integer of real 0."""
    op, weight = node.op, codes(source, node.args[1])
    assert isinstance(op, Conv | ConvTranspose)
    x = _operand(build, x, op.groups)
    if isinstance(op, ConvTranspose):
        size = source.shapes[node.args[0]]
        op, x, weight = as_convolution(build, node, x, weight, size)
    w = np.ascontiguousarray(np.moveaxis(weight.values, 1, -1))  # (N, *kernel, C / groups)
    fill = code_of(x, Fraction(0)) if any(op.padding) else 0
    if fill:
        name = _filled_conv(build, node.name, op, x, w, fill)
    elif w.ndim == 4:
        strides, dilations = plane(op.stride), plane(op.dilation)
        conv = Conv2d(recognize(w), strides, sides(op.padding), dilations, op.groups)
        name = build.emit(node.name, conv, x.node)
    else:
        (stride,), (dilation,), (left, right) = op.stride, op.dilation, op.padding
        conv = Conv1d(recognize(w), stride, (left, right), dilation, op.groups)
        name = build.emit(node.name, conv, x.node)
    sums = _offset_sums(x, w.reshape(len(w), -1, w.shape[-1]), op.groups)
    return _result(source, build, node, x, weight, sums, name)


def _operand(build: Builder, x: Value, groups: int) -> Value:
    """x as integers of one scale in each group, narrow enough to be multiplied."""
    x = one_scale(build, clip_codes(build, x), groups)
    most = WEIGHTED_BITS if x.weighted else OPERAND_BITS
    if x.type.width > most:
        raise LowerError(
            f"the activation {x} arrives without a quantizer as {x.type.width}-bit sums, over the "
            f"{most} bits that are multiplied; put a Quant after '{x.origin}' (calibrate it)"
        )
    return x


def _offset_sums(x: Value, w: Ints, groups: int) -> Vector:
    """sum of weight * offset over the inputs of every output; w is (N, taps, C / groups)."""
    if all(b == 0 for b in x.offset):
        return vector(0)
    sums = w.sum(axis=1).astype(object)  # (N, C / groups)
    offsets = spread(x.offset, x.channels).reshape(groups, -1)
    rows = sums.reshape(groups, len(w) // groups, -1)
    return np.concatenate([r @ o for r, o in zip(rows, offsets, strict=True)])


def _result(
    source: Source,
    build: Builder,
    node: SourceNode,
    x: Value,
    weight: Codes,
    sums: Vector,
    name: str,
) -> Value:
    """The pending function of the sums: weight scale * (input scale * sum + offsets) + bias."""
    if weight.axis != 0 and len(weight.scale) > 1:
        raise LowerError(
            f"weight '{node.args[1]}' has a scale per index of axis {weight.axis}, which a sum "
            "over inputs cannot factor; use one scale per output channel (axis 0) or per tensor"
        )
    n = len(weight.values)
    groups = node.op.groups if isinstance(node.op, Conv | ConvTranspose) else 1
    firsts = spread(x.slope, x.channels).reshape(groups, -1)[:, 0]
    slope = weight.scale * (np.repeat(firsts, n // groups) if groups > 1 else firsts)
    bias = numbers(source, node.args[2]) if len(node.args) > 2 else vector(0)
    offset = weight.scale * sums + bias
    value = Value.of(name, build.type(name), slope, offset, node.name)
    return replace(value, slope=collapse(slope), weighted=True)


def _filled_conv(build: Builder, name: str, op: Conv, x: Value, w: Ints, fill: int) -> str:
    """A convolution whose padding is the integer `fill`: windows, then their product."""
    flat = w.ndim == 3
    source, kernel = x.node, plane(w.shape[1:-1])
    if flat:
        source = build.helper(name, "map", Reshape((1, *x.type.shape)), source)
    strides, dilations = plane(op.stride), plane(op.dilation)
    window = Window(kernel, strides, sides(op.padding), dilations, op.groups, fill)
    source = build.helper(name, "window", window, source)
    shape = (op.groups, len(w) // op.groups, kernel[0] * kernel[1], w.shape[-1])
    product = GroupedMatMul(recognize(w.reshape(len(w), -1)).reshape(shape))
    if not flat:
        return build.emit(name, product, source)
    source = build.helper(name, "flat", product, source)
    return build.emit(name, Reshape(build.type(source).shape[1:]), source)
