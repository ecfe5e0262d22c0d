"""Constants of a source graph as exact integers and rationals: weight codes, biases, scales."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.lower.exact import Vector, collapse, common_unit, spread, vector
from hwc.compiler.lower.value import LowerError
from hwc.compiler.source import Bipolar, Quant, Source
from hwc.compiler.source.rounding import round_array, round_exact

__all__ = ["Codes", "codes", "numbers"]

GRID_BITS = 16
"""A weight tensor without a quantizer is taken as it is if its codes on a grid need no more."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Codes:
    """A quantized constant: real = code * scale, with one scale or one per index of `axis`."""

    values: Ints
    scale: Vector
    axis: int


def codes(source: Source, name: str) -> Codes:
    """The integer codes of a weight: a Quant or Bipolar of a tensor, or a tensor on a grid.

    Codes are the rounding of the exact quotient w / scale. Raises LowerError for a float
    tensor that no quantizer has put on a grid.
    """
    if name in source.tensors:
        return _on_grid(source, name)
    node = source.node(name)
    op, (arg, scale_name) = node.op, node.args
    if arg not in source.tensors:
        raise LowerError(f"weight '{name}': '{arg}' is quantized twice; quantize a tensor once")
    assert isinstance(op, (Quant, Bipolar))
    x = _float64(source.tensors[arg])
    scale = _float64(source.tensors[scale_name]).ravel()
    shape = [1] * max(x.ndim, 1)
    shape[op.axis or 0] = scale.size
    if isinstance(op, Bipolar):
        values = np.where(x >= 0, 1, -1).astype(np.int64)
    else:
        shift = op.zero if op.joint else 0
        quotient = _divide(x, np.broadcast_to(scale.reshape(shape), x.shape), op.rounding, shift)
        values = np.clip(quotient - shift, op.lo - op.zero, op.hi - op.zero)
    return Codes(values, collapse(vector(scale)), op.axis or 0)


def numbers(source: Source, name: str) -> Vector:
    """A constant vector or scalar as exact rationals, flattened."""
    if name in source.tensors:
        return vector(source.tensors[name])
    quantized = codes(source, name)
    flat = quantized.values.ravel()
    return vector([int(v) for v in flat]) * spread(quantized.scale, flat.size)


def _float64(tensor: np.ndarray) -> NDArray[np.float64]:
    out = tensor.astype(np.float64)
    if tensor.dtype.kind in "iu" and (out.astype(tensor.dtype) != tensor).any():
        raise LowerError(f"an integer tensor of dtype {tensor.dtype} needs more than 53 bits")
    return out


def _divide(x: NDArray[np.float64], scale: NDArray[np.float64], rounding: str, shift: int) -> Ints:
    """round(x / scale + shift), exactly: float64 where it is safe, rationals near the steps."""
    quotient = np.clip(x / scale, -(2.0**40), 2.0**40) + shift
    out = round_array(quotient, rounding).astype(np.int64)
    steps = quotient - 0.5 if rounding.startswith("half") else quotient
    distance = np.abs(steps - np.rint(steps))  # to the nearest place where the result changes
    size = np.abs(quotient)
    unsure = (distance <= 1e-12 * np.maximum(1, size)) & (size < 2.0**40)  # larger: clipped anyway
    for index in map(tuple, np.argwhere(unsure)):
        exact = Fraction(float(x[index])) / Fraction(float(scale[index])) + shift
        out[index] = round_exact(exact, rounding)
    return out


def _on_grid(source: Source, name: str) -> Codes:
    """A bare tensor whose values are small multiples of one unit (integers, powers of two ...)."""
    x = _float64(source.tensors[name])
    distinct = np.unique(x)
    unit = common_unit(map(Fraction, distinct[: 1 << GRID_BITS].tolist()))
    if unit == 0:
        return Codes(np.zeros(x.shape, np.int64), vector(1), 0)
    largest = int(Fraction(float(np.abs(x).max())) / unit)
    if distinct.size >= 1 << GRID_BITS or largest.bit_length() >= GRID_BITS:
        raise LowerError(
            f"weight '{name}' is float: codes of {largest.bit_length() + 1} bits would be needed; "
            "put a Quant or Bipolar on the tensor (train or calibrate it)"
        )
    return Codes(np.rint(x / float(unit)).astype(np.int64), vector(unit), 0)
