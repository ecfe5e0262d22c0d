"""What a softmax is in integers, where it stands between two quantizers.

With codes x of one scale s, d = max(x) - x along the channels, e = round(exp(-s * d) * 2**16),
half to even, and t the sum of e, the result is floor(e * 2**10 / t + 1/2) * 2**-10. One table, one
sum and one division, which hardware has.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from hwc.compiler.source import moving, nonlinear, ops, spatial
from hwc.compiler.source.curves import curve_exact
from hwc.compiler.source.source import Source, SourceNode

__all__ = ["EXP_BITS", "SHARE_BITS", "WIDEST", "Codes", "codes_before", "exponentials", "shares"]

EXP_BITS = 16
"""Fraction bits of the exponentials."""

SHARE_BITS = 10
"""Fraction bits of the result."""

WIDEST = 10
"""Bits of the widest codes that have a table."""

MOVES = (spatial.Flatten, spatial.Reshape, moving.Slice, moving.Transpose, moving.Upsample)
"""What leaves codes as they are."""


@dataclass(frozen=True)
class Codes:
    """The grid of a value: its scale, and how far apart two codes can be."""

    scale: float
    span: int


def codes_before(source: Source, node: SourceNode) -> Codes | None:
    """The codes that a softmax takes, if it is one of integers; None for one of real numbers.

    It is if its argument has codes of one scale, of up to `WIDEST` bits, and if a quantizer depends
    on it other than by the order of its channels. At an output the host computes it.
    """
    codes = _codes(source, node.args[0])
    if codes is None or codes.span >= 1 << WIDEST or not _quantized(source, node.name):
        return None
    return codes


def _codes(source: Source, value: str) -> Codes | None:
    while value not in {i.name for i in source.inputs}:
        made = source.node(value)
        if isinstance(made.op, ops.Quant):
            scale = source.tensors[made.args[1]]
            return Codes(float(scale.item()), made.op.hi - made.op.lo) if scale.size == 1 else None
        if not isinstance(made.op, MOVES) and not _shift(source, made):
            return None
        value = made.args[0]
    item = next(i for i in source.inputs if i.name == value)
    return None if item.scale is None else Codes(item.scale, item.hi - item.lo)


def _shift(source: Source, node: SourceNode) -> bool:
    """True if the same number is added to all elements, of which a softmax knows nothing."""
    if not isinstance(node.op, ops.Affine):
        return False
    scale, shift = (source.tensors.get(name) for name in node.args[1:])
    alike = scale is not None and shift is not None and scale.size == shift.size == 1
    return alike and bool((np.asarray(scale) == 1).all())


def _quantized(source: Source, name: str) -> bool:
    """True if a quantizer depends on a value."""
    for node in source.consumers(name):
        if isinstance(node.op, (ops.Quant, ops.Bipolar, nonlinear.Threshold)):
            return True
        if not isinstance(node.op, (spatial.ArgMax, spatial.TopK)) and _quantized(
            source, node.name
        ):
            return True
    return False


@lru_cache(maxsize=64)
def exponentials(codes: Codes) -> tuple[int, ...]:
    """e for d = 0 .. span."""
    exp, scale = nonlinear.Function("exp"), Fraction(codes.scale)
    return tuple(round(curve_exact(exp, -scale * d) * 2**EXP_BITS) for d in range(codes.span + 1))


def shares(x: np.ndarray, codes: Codes, axis: int = 1) -> np.ndarray:
    """The softmax of the real values of codes, along an axis, in x's dtype."""
    exact = x.dtype == object
    scale = Fraction(codes.scale) if exact else codes.scale
    gaps = (x.max(axis=axis, keepdims=True) - x) / scale
    gaps = gaps.astype(np.int64) if exact else np.rint(gaps).astype(np.int64)
    e = np.array(exponentials(codes), np.int64)[gaps]
    total = e.sum(axis=axis, keepdims=True)
    parts = ((e << SHARE_BITS + 1) // total + 1) >> 1
    if not exact:
        return parts.astype(x.dtype) / 2**SHARE_BITS
    return parts.astype(object) * Fraction(1, 2**SHARE_BITS)
