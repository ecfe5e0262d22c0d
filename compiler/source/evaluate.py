"""What a source graph means, in floats or exact rationals: the oracle of lowering's tests.

Simple on purpose: one expression per op, in torch's layout. Rounding is half to even everywhere.
With `dtype=object` every number is a `fractions.Fraction` and the result is exact (batch-norm's
slope and intercept are computed once in float64, as lowering does); slow, for small networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.source import ops, spatial
from hwc.compiler.source.ops import Shape, SourceError
from hwc.compiler.source.source import Source, SourceNode

__all__ = ["batch_norm_constants", "evaluate"]

Array = np.ndarray


def evaluate(
    source: Source,
    inputs: Mapping[str, Any],
    dtype: Any = np.float64,
    taps: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Values of the outputs (and of `taps`) for a batch of inputs, each of shape (batch, *shape).

    Inputs with a scale are given as raw integers. Index outputs (ArgMax, TopK) are integers.
    """
    values: dict[str, Array] = {n: _numbers(t, dtype) for n, t in source.tensors.items()}
    for item in source.inputs:
        if item.name not in inputs:
            raise SourceError(f"input {item.name!r} is missing; got {sorted(inputs)}")
        x = np.asarray(inputs[item.name])
        if x.shape[1:] != item.shape:
            raise SourceError(f"input {item.name}: shape {x.shape} must be (batch, *{item.shape})")
        if item.scale is not None:
            if ((x < item.lo) | (x > item.hi)).any():
                raise SourceError(f"input {item.name}: values must lie in [{item.lo}, {item.hi}]")
            x = _numbers(x, dtype) * _numbers(np.array(item.scale), dtype)
        values[item.name] = _numbers(x, dtype)
    for node in source.nodes:
        values[node.name] = _node(source, node, values, dtype)
    return {name: values[name] for name in (*source.outputs, *taps)}


def batch_norm_constants(
    gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array]:
    """(slope, intercept) of a batch-norm, in float64: the one definition for all of hwc."""
    g, b, m, v = (np.asarray(a, dtype=np.float64) for a in (gamma, beta, mean, var))
    slope = g / np.sqrt(v + eps)
    return slope, b - m * slope


def _numbers(values: Array, dtype: Any) -> Array:
    """The same numbers in `dtype`; exact for object (floats are dyadic rationals)."""
    if dtype is not object:
        return np.asarray(values).astype(dtype)
    flat = [
        v if isinstance(v, Fraction) else Fraction(v) for v in np.asarray(values).ravel().tolist()
    ]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(np.shape(values))


def _round(x: Array) -> Array:
    if x.dtype != object:
        return np.rint(x)
    half_even = np.frompyfunc(lambda v: Fraction(round(v)), 1, 1)  # as round() of a Fraction is
    return np.asarray(half_even(x), dtype=object)


def _along(vector: Array, rank: int, axis: int) -> Array:
    """A scalar or per-channel vector, shaped to broadcast along `axis` of a rank-`rank` array."""
    shape = [1] * rank
    shape[axis] = vector.size
    return vector.reshape(shape)


def _node(source: Source, node: SourceNode, values: Mapping[str, Array], dtype: Any) -> Array:
    op, args = node.op, [values[a] for a in node.args]
    x = args[0]
    match op:
        case ops.Quant():
            scale = _along(args[1], x.ndim, op.axis or 0)
            code = np.clip(_round(x / scale) + op.zero, op.lo, op.hi)
            return (code - op.zero) * scale
        case ops.Bipolar():
            scale = _along(args[1], x.ndim, op.axis or 0)
            return np.where(x >= 0, scale, -scale)
        case ops.Affine():
            return x * _along(args[1], x.ndim, 1) + _along(args[2], x.ndim, 1)
        case ops.BatchNorm():
            raw = [np.asarray(source.tensors.get(a, values[a])) for a in node.args[1:]]
            slope, shift = batch_norm_constants(*raw, eps=op.eps)
            slope, shift = _numbers(slope, dtype), _numbers(shift, dtype)
            return x * _along(slope, x.ndim, 1) + _along(shift, x.ndim, 1)
        case ops.Relu():
            return np.maximum(x, _numbers(np.array(0), dtype))
        case ops.HardTanh():
            return np.minimum(np.maximum(x, _bound(op.lo, dtype)), _bound(op.hi, dtype))
        case ops.Linear():
            return _add_bias(x @ args[1].T, args[2:])
        case spatial.Conv():
            return _conv(op, x, args[1], args[2:])
        case spatial.MaxPool():
            return _windows(x, op.kernel, op.stride, op.padding, op.dilation, -np.inf).max(axis=-1)
        case spatial.AvgPool():
            return _average(op, x)
        case _:
            return _rearrange(node, args)


def _rearrange(node: SourceNode, args: list[Array]) -> Array:
    op, x = node.op, args[0]
    match op:
        case spatial.Add():
            return sum(args[1:], start=x)
        case spatial.Concat():
            return np.concatenate(args, axis=1)
        case spatial.GlobalAvgPool():
            flat = x.reshape(*x.shape[:2], -1)
            return flat.sum(axis=-1) / flat.shape[-1]
        case spatial.Flatten():
            return x.reshape(len(x), -1)
        case spatial.Reshape():
            return x.reshape(len(x), *op.shape)
        case spatial.ArgMax():
            return x.argmax(axis=1)[:, None].astype(np.int64)
        case spatial.TopK():
            return np.argsort(-x, axis=1, kind="stable")[:, : op.k]
        case _:
            raise SourceError(f"node {node.name}: evaluate does not know {type(op).__name__}")


def _bound(value: float, dtype: Any) -> Any:
    return value if np.isinf(value) else _numbers(np.array(value), dtype)


def _add_bias(x: Array, bias: list[Array]) -> Array:
    return x + _along(bias[0], x.ndim, 1) if bias else x


def _windows(
    x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, fill: float
) -> Array:
    """Windows of (batch, C, *size), padded with `fill`: (batch, C, *positions, taps)."""
    rank = len(kernel)
    pads = [(0, 0), (0, 0)] + [(padding[2 * i], padding[2 * i + 1]) for i in range(rank)]
    padded = np.pad(x, pads, constant_values=fill)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    axes = tuple(range(2, 2 + rank))
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
    step = tuple(slice(None, None, s) for s in stride)
    skip = tuple(slice(None, None, d) for d in dilation)
    view = view[(slice(None), slice(None), *step, *skip)]
    return view.reshape(*view.shape[: 2 + rank], -1)


def _conv(op: spatial.Conv, x: Array, weight: Array, bias: list[Array]) -> Array:
    out, groups = len(weight), op.groups
    windows = _windows(x, weight.shape[2:], op.stride, op.padding, op.dilation, 0)
    positions = windows.shape[2:-1]
    parts = []
    for w, xs in zip(np.split(weight, groups), np.split(windows, groups, axis=1), strict=True):
        # (batch, C, P, T) -> (batch, P, C * T) @ (C * T, N)
        columns = np.moveaxis(xs.reshape(*xs.shape[:2], -1, xs.shape[-1]), 1, 2)
        columns = columns.reshape(*columns.shape[:2], -1)
        parts.append(columns @ w.reshape(out // groups, -1).T)
    y = np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)
    return _add_bias(y.reshape(len(x), out, *positions), bias)


def _average(op: spatial.AvgPool, x: Array) -> Array:
    ones = (1,) * len(op.kernel)
    total = _windows(x, op.kernel, op.stride, op.padding, ones, 0).sum(axis=-1)
    if op.count_include_pad:
        return total / int(np.prod(op.kernel))
    inside = np.ones((1, 1, *x.shape[2:]), dtype=np.int64)
    return total / _windows(inside, op.kernel, op.stride, op.padding, ones, 0).sum(axis=-1)
