"""From the float source graph to exact integers, by interpretation.

Walking the source in order, every activation is an integer code of the graph plus a pending
per-channel function (`Value`). Linear operations, batch-norms and poolings propagate it; a
quantizer turns it into thresholds or a proved multiply-shift.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from hwc.compiler.graph import MultiThreshold, Requant, TwoSlope, Type
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.constants import numbers
from hwc.compiler.lower.exact import Vector, collapse, vector
from hwc.compiler.lower.geometry import channels_last
from hwc.compiler.lower.merges import lower_add, lower_concat, lower_multiply, lower_select
from hwc.compiler.lower.moves import lower_move, lower_pad
from hwc.compiler.lower.multiply import THRESHOLD_BITS
from hwc.compiler.lower.pools import lower_average, lower_global_average, lower_max
from hwc.compiler.lower.products import lower_conv, lower_linear
from hwc.compiler.lower.quantizers import Quantize, lower_bipolar, lower_quant, lower_threshold
from hwc.compiler.lower.result import Encoding, Lowered, Reading
from hwc.compiler.lower.shares import lower_softmax
from hwc.compiler.lower.steps import Bend, Normalize
from hwc.compiler.lower.value import INFINITY, LowerError, Value
from hwc.compiler.source import moving, nonlinear, ops, spatial
from hwc.compiler.source.evaluate import batch_norm_constants
from hwc.compiler.source.shares import codes_before
from hwc.compiler.source.source import Input, Source, SourceNode

__all__ = ["lower"]

DSP_BITS = 17
"""A multiplier magnitude up to this (18 bits with its sign) fits the narrow port of a DSP48."""

LARGEST = 1 << 1000
"""Largest scale or offset: code times scale still is a float64."""


def lower(source: Source) -> Lowered:
    """The integer graph of a source, equal to it in exact arithmetic.

    Raises LowerError naming the node, the rule and what would work.
    """
    return _Lowering(source).run()


class _Lowering:
    """The state of one walk."""

    def __init__(self, source: Source) -> None:
        self.source = source
        names = [*(i.name for i in source.inputs), *(n.name for n in source.nodes)]
        self.build = Builder(names)
        self.values: dict[str, Value] = {}
        self.floats = {i.name: i for i in source.inputs if i.scale is None}
        self.encodings: dict[str, Encoding] = {}
        self.quantizers: dict[str, SourceNode] = {}
        self.notes: list[str] = []

    def run(self) -> Lowered:
        source = self.source
        needed = _needed(source)
        for item in source.inputs:
            if item.name not in needed:
                raise LowerError(f"input '{item.name}' is not used by any output; remove it")
            if item.scale is not None:
                self._raw_input(item)
        for node in source.nodes:
            if node.name in needed and node.name not in source.constants:
                try:
                    self.values[node.name] = replace(self._node(node), origin=node.name)
                    _check_range(self.values[node.name])
                except HwcError as error:
                    kind = type(node.op).__name__
                    raise LowerError(f"node '{node.name}' ({kind}): {error}") from error
        for name in source.outputs:
            if name not in self.values:
                raise LowerError(f"output '{name}' is a float input; put a Quant after it")
        graph = self.build.graph(self.values[name].node for name in source.outputs)
        readings = {
            name: Reading.of(name, value, source.shapes[name])
            for name, value in self.values.items()
            if value.node in graph.types
        }
        return Lowered(
            graph,
            tuple(self.encodings[i.name] for i in source.inputs),
            tuple(readings[name] for name in source.outputs),
            MappingProxyType(readings),
            tuple(self.notes),
        )

    def _raw_input(self, item: Input) -> None:
        type = Type(channels_last(item.shape), item.lo, item.hi)
        self.build.input(item.name, type)
        self.encodings[item.name] = Encoding(item.name, "raw", item.shape, type)
        self.values[item.name] = Value.of(item.name, type, item.scale, origin=item.name)

    def _node(self, node: SourceNode) -> Value:
        """The value of one node."""
        source, op, first = self.source, node.op, node.args[0]
        if first in self.floats:
            return self._float_input(node)
        count = len(node.args) if op.activations is None else op.activations
        for arg in node.args[:count]:
            if arg in self.floats:
                raise LowerError(_float_message(arg))
        xs = [self.values[arg] for arg in node.args[:count]]
        x = xs[0]
        match op:
            case ops.Quant() | ops.Bipolar() | nonlinear.Threshold():
                return self._quantize(node, x)
            case ops.Affine() | ops.BatchNorm():
                return x.affine(*(x.channel_vector(v) for v in self._affine(node)))
            case ops.Relu():
                return x.clip(vector(0), vector(INFINITY))
            case ops.HardTanh():
                return x.clip(vector(op.lo), vector(op.hi))
            case nonlinear.PRelu():
                return x.leak(x.channel_vector(numbers(source, node.args[1])))
            case nonlinear.Function():
                return x.then(Bend(op))
            case nonlinear.Softmax():
                codes = codes_before(source, node)
                if codes is not None:
                    return lower_softmax(self.build, node, x, codes)
                return x.then(Normalize())  # its order is that of x; the host computes it
            case ops.Linear():
                return lower_linear(source, self.build, node, x)
            case spatial.Conv() | moving.ConvTranspose():
                return lower_conv(source, self.build, node, x)
            case spatial.Add():
                return lower_add(self.build, node, xs)
            case spatial.Multiply():
                return lower_multiply(self.build, node, xs)
            case spatial.Concat():
                return lower_concat(self.build, node, xs)
            case _:
                return self._spatial(node, x)

    def _spatial(self, node: SourceNode, x: Value) -> Value:
        """The value of a node that pools, moves or compares elements."""
        build, shape = self.build, self.source.shapes[node.args[0]]
        match node.op:
            case spatial.MaxPool():
                return lower_max(build, node, x)
            case spatial.AvgPool():
                return lower_average(build, node, x)
            case spatial.GlobalAvgPool():
                return lower_global_average(build, node, x)
            case moving.Pad():
                return lower_pad(build, node, x, shape)
            case (
                spatial.Flatten()
                | spatial.Reshape()
                | moving.Slice()
                | moving.Transpose()
                | moving.Upsample()
            ):
                return lower_move(build, node, x, shape)
            case spatial.ArgMax() | spatial.TopK():
                return lower_select(build, node, x)
            case _:
                raise LowerError("this operation cannot be lowered")

    def _affine(self, node: SourceNode) -> tuple[Vector, Vector]:
        """Scale and shift per channel in torch's order; batch-norm's once in float64."""
        if isinstance(node.op, ops.BatchNorm):
            raw = [np.array([float(v) for v in numbers(self.source, a)]) for a in node.args[1:]]
            scale, shift = batch_norm_constants(*raw, eps=node.op.eps)
            return vector(scale), vector(shift)
        scale, shift = (numbers(self.source, a) for a in node.args[1:])
        return scale, shift

    def _quantize(self, node: SourceNode, x: Value) -> Value:
        """A quantizer: integers from here on."""
        op, build = node.op, self.build
        if isinstance(op, nonlinear.Threshold):
            return self._threshold(node, x)
        constant = x.channel_vector(numbers(self.source, node.args[1]))
        if isinstance(op, ops.Bipolar):
            name = lower_bipolar(build, node.name, x)
            return replace(Value.of(name, build.type(name), constant), order=x.order)
        assert isinstance(op, ops.Quant)
        scale, lo, hi, zero = collapse(constant), op.lo, op.hi, op.zero
        offset = -zero * scale
        if op.joint:  # round(x / s + z) is the rounding of a shifted x
            x, zero = x.affine(vector(1), zero * scale), 0
        name = lower_quant(build, node.name, x, Quantize(scale, zero, lo, hi, op.rounding))
        self._remark(node.name, name)
        return replace(Value.of(name, build.type(name), scale, offset), order=x.order)

    def _threshold(self, node: SourceNode, x: Value) -> Value:
        """Thresholds on real values, one row or one for each channel."""
        op = node.op
        assert isinstance(op, nonlinear.Threshold)
        rows = self.source.tensors[node.args[1]]
        if x.order is not None and len(rows) > 1:
            rows = rows[np.argsort(x.order)]
        name = lower_threshold(self.build, node.name, x, rows, op.lo, op.step)
        return replace(Value.of(name, self.build.type(name), 1), order=x.order)

    def _remark(self, source: str, name: str) -> None:
        """Notes on what a quantizer became."""
        op = self.build.op(name)
        if isinstance(op, TwoSlope):
            op = op.first
        if isinstance(op, Requant):
            bits = int(np.abs(op.multiplier.values).max()).bit_length()
            if bits > DSP_BITS:
                self.notes.append(f"'{source}' needs a multiplier of {bits} bits")
        elif isinstance(op, MultiThreshold) and op.levels.bit_length() > THRESHOLD_BITS:
            self.notes.append(
                f"'{source}' uses {op.levels} thresholds a channel: no multiplier was "
                "proved exact; power-of-two scales make one"
            )

    def _float_input(self, node: SourceNode) -> Value:
        """The quantizer of a float input runs on the host: its codes are the graph's input."""
        op, item = node.op, self.floats[node.args[0]]
        if not isinstance(op, (ops.Quant, ops.Bipolar)):
            raise LowerError(_float_message(item.name))
        raw = self.source.tensors[node.args[1]].astype(np.float64).ravel()
        scale = tuple(raw.tolist())
        shape = channels_last(item.shape)
        if isinstance(op, ops.Quant) and op.rounding != "half_even":
            raise LowerError(
                f"float input '{item.name}' is rounded {op.rounding}, but the host rounds half to "
                "even; quantize it with half_even, or give the input a scale and pass integers"
            )
        if isinstance(op, ops.Bipolar):
            encoding = Encoding(item.name, "sign", item.shape, Type(shape, -1, 1, True), scale)
        else:
            type = Type(shape, op.lo, op.hi)
            encoding = Encoding(item.name, "quantize", item.shape, type, scale, op.zero, op.joint)
        known = self.encodings.setdefault(item.name, encoding)
        if known != encoding:
            other = self.quantizers[item.name].name
            raise LowerError(
                f"float input '{item.name}' is quantized differently by '{other}'; quantize it once"
            )
        if item.name not in self.quantizers:
            self.quantizers[item.name] = node
            self.build.input(item.name, encoding.type)
        return Value.of(item.name, encoding.type, vector(scale), -encoding.zero * vector(scale))


def _check_range(value: Value) -> None:
    """Refuse what no float64 holds: what is said of a value, or read of it, would be infinite."""
    vectors = (value.slope, value.offset, *(value.second.vectors[:2] if value.second else ()))
    if any(abs(v) > LARGEST for vector in vectors for v in vector):
        raise LowerError(
            "its scale or offset is beyond float64; divide by the factors that were multiplied"
        )


def _float_message(name: str) -> str:
    return (
        f"'{name}' is a float input; put a Quant or Bipolar directly after it, or give the input a "
        "scale (uint8 images: 1/256)"
    )


def _needed(source: Source) -> set[str]:
    """Names that the outputs depend on."""
    needed = set(source.outputs)
    for node in reversed(source.nodes):
        if node.name in needed:
            needed |= set(node.args)
    return needed
