"""What a source graph means, in floats or exact rationals: the oracle of lowering's tests.

Simple on purpose: one expression per op, in torch's layout. Rounding is half to even everywhere.
With `dtype=object` every number is a `fractions.Fraction` and the result is exact (batch-norm's
slope and intercept are computed once in float64, as lowering does); slow, for small networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.source import moving, nonlinear, ops, spatial
from hwc.compiler.source.arrange import rearrange
from hwc.compiler.source.curves import curve, curve_exact, softmax
from hwc.compiler.source.ops import SourceError
from hwc.compiler.source.rounding import round_array
from hwc.compiler.source.shares import codes_before, shares
from hwc.compiler.source.source import Source, SourceNode
from hwc.compiler.source.windows import (
    add_bias,
    along,
    average_pool,
    conv,
    conv_transpose,
    max_pool,
)

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


def _each(function: Callable[[Fraction], Fraction | float], x: Array) -> Array:
    out = np.empty(x.size, dtype=object)
    out[:] = [function(v) for v in x.ravel()]
    return out.reshape(x.shape)


def _threshold(op: nonlinear.Threshold, x: Array, thresholds: Array) -> Array:
    levels = np.moveaxis(thresholds, 0, 1)  # (L, C or 1)
    shape = (len(levels), *((1, -1) + (1,) * (x.ndim - 2)))
    count = (x[None] >= levels.reshape(shape)).sum(axis=0)
    return _numbers(op.lo + op.step * count, x.dtype if x.dtype == object else np.float64)


def _node(source: Source, node: SourceNode, values: Mapping[str, Array], dtype: Any) -> Array:
    op, args = node.op, [values[a] for a in node.args]
    x = args[0]
    match op:
        case ops.Quant():
            scale = along(args[1], x.ndim, op.axis or 0)
            zero = op.zero if op.joint else 0
            code = round_array(x / scale + zero, op.rounding) + (op.zero - zero)
            return (np.clip(code, op.lo, op.hi) - op.zero) * scale
        case ops.Bipolar():
            scale = along(args[1], x.ndim, op.axis or 0)
            return np.where(x >= 0, scale, -scale)
        case ops.Affine():
            return x * along(args[1], x.ndim, 1) + along(args[2], x.ndim, 1)
        case ops.BatchNorm():
            raw = [np.asarray(source.tensors.get(a, values[a])) for a in node.args[1:]]
            slope, shift = batch_norm_constants(*raw, eps=op.eps)
            slope, shift = _numbers(slope, dtype), _numbers(shift, dtype)
            return x * along(slope, x.ndim, 1) + along(shift, x.ndim, 1)
        case ops.Relu():
            return np.maximum(x, _numbers(np.array(0), dtype))
        case ops.HardTanh():
            return np.minimum(np.maximum(x, _bound(op.lo, dtype)), _bound(op.hi, dtype))
        case ops.Linear():
            return add_bias(x @ args[1].T, args[2:])
        case nonlinear.PRelu():
            return np.where(x >= 0, x, x * along(args[1], x.ndim, 1))
        case nonlinear.Threshold():
            return _threshold(op, x, args[1])
        case nonlinear.Function():
            return curve(op, x) if dtype is not object else _each(lambda v: curve_exact(op, v), x)
        case nonlinear.Softmax():
            codes = codes_before(source, node)
            return softmax(x.astype(np.float64), axis=1) if codes is None else shares(x, codes)
        case spatial.Conv():
            return conv(op, x, args[1], args[2:])
        case moving.ConvTranspose():
            return conv_transpose(op, x, args[1], args[2:])
        case spatial.MaxPool():
            return max_pool(op, x)
        case spatial.AvgPool():
            return average_pool(op, x)
        case _:
            return rearrange(node, args)


def _bound(value: float, dtype: Any) -> Any:
    return value if np.isinf(value) else _numbers(np.array(value), dtype)
