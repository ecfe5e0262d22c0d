"""QONNX: Quant, BipolarQuant, Trunc, MultiThreshold, and FINN's layers with channels last.

Quant is round(clip(x / scale + zero, lo, hi)) - zero, times scale. Rounding is monotone, so that
clipping the rounded value to the rounded bounds is the same; bit widths need not be whole.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.values import Constant, Grid, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Bipolar, Quant, SourceOp
from hwc.compiler.source.rounding import round_array, round_exact

__all__ = ["FARTHEST", "bipolar_quant", "quant", "rounding_of", "trunc"]

ROUNDINGS = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "ROUND_TO_ZERO": "to_zero",
    "DOWN": "to_zero",
    "UP": "from_zero",
    "HALF_UP": "half_from_zero",
    "HALF_DOWN": "half_to_zero",
}
"""QONNX's names, which are those of Java and Python's decimal: UP is away from zero."""

MOST_BITS = 32

FARTHEST = 2.0**32
"""Zero points lie within: no code of `MOST_BITS` bits is farther from 0."""


def rounding_of(node: Node, default: str) -> str:
    """The rounding mode, by whichever name."""
    mode = node.string("rounding_mode", default)
    if mode.upper() not in ROUNDINGS:
        node.fail(f"rounding_mode {mode!r} must be one of {', '.join(ROUNDINGS)}")
    return ROUNDINGS[mode.upper()]


def bounds(node: Node, bits: float, *, signed: bool, narrow: bool) -> tuple[float, float]:
    """Smallest and largest code before rounding, as qonnx computes them."""
    node.check(1 <= bits <= MOST_BITS, f"bit width {bits} must be in 1..{MOST_BITS}")
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow


def _whole(value: float, rounding: str) -> int:
    return round_exact(Fraction(value), rounding)


def _numbers(node: Node, index: int, role: str) -> np.ndarray:
    value = node.array(index, role).astype(np.float64)
    node.check(bool(np.isfinite(value).all()), f"{role} must be finite")
    return value


def _single(node: Node, index: int, role: str) -> float:
    value = _numbers(node, index, role).ravel()
    node.check(value.size > 0 and bool((value == value[0]).all()), f"{role} must be one number")
    return float(value[0])


def quant(walk: Walk, node: Node) -> Value | Constant:
    """All rounding modes and signs, narrow ranges, bit widths that are not whole; scale and zero
    point of any shape that broadcasts."""
    scale, zero = _numbers(node, 1, "scale"), _numbers(node, 2, "zero point")
    far = bool((np.abs(zero) >= FARTHEST).any())
    node.check(not far, f"zero point {np.abs(zero).max():g} must be below 2^32")
    bits = _single(node, 3, "bit width")
    signed, narrow = node.flag("signed", True), node.flag("narrow", True)
    rounding = rounding_of(node, "ROUND")
    node.check(bool((scale > 0).all()), "scale must be positive")
    if bits == 1 and signed:
        return _signs(walk, node, scale, zero)
    low, high = bounds(node, bits, signed=signed, narrow=narrow)
    lo, hi = _whole(low, rounding), _whole(high, rounding)
    node.check(lo < hi, f"bit width {bits} leaves only the code {lo}")
    operand = node.operand(0)
    if isinstance(operand, Constant):
        codes = np.clip(round_array(_quotient(operand.value, scale) + zero, rounding), lo, hi)
        return _constant(node, codes, zero, scale)
    return quantized(walk, node, real(walk, node), scale, zero, (lo, hi), rounding)


def quantized(
    walk: Walk,
    node: Node,
    x: Value,
    scale: np.ndarray,
    zero: np.ndarray,
    between: tuple[int, int],
    rounding: str,
) -> Value:
    """Quant of an activation. One whole zero point goes into the quantizer; others are shifts
    around it, which is the same since they are inside the rounding."""
    lo, hi = between
    one = zero.size > 0 and bool((zero == zero.ravel()[0]).all())
    first = float(zero.ravel()[0])
    if one and first == int(first):
        op = _quant(lo, hi, int(first), rounding)
        return walk.per_channel(x, [scale], op)
    shift = zero * scale
    y = walk.affine(x, 1.0, shift)
    y = walk.per_channel(y, [scale], _quant(lo, hi, 0, rounding))
    return walk.affine(y, 1.0, -shift)


def _quant(lo: int, hi: int, zero: int, rounding: str) -> Callable[[int | None], SourceOp]:
    return lambda axis: Quant(lo, hi, zero, axis, rounding, joint=True)


def _quotient(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) / scale


def _constant(node: Node, codes: np.ndarray, zero: np.ndarray, scale: np.ndarray) -> Constant:
    """(codes - zero) * scale; on a grid if the zero points are whole."""
    if (zero == np.rint(zero)).all():
        whole = (codes - zero).astype(np.int64)
        return Constant.of_grid(Grid.of(whole, np.broadcast_to(scale, whole.shape)))
    return Constant((codes - zero) * scale)


def _signs(walk: Walk, node: Node, scale: np.ndarray, zero: np.ndarray) -> Value | Constant:
    """One signed bit is +1 where x / scale + zero >= 0, else -1."""
    operand = node.operand(0)
    if isinstance(operand, Constant):
        codes = np.where(_quotient(operand.value, scale) + zero >= 0, 1.0, -1.0)
        return _constant(node, codes, zero, scale)
    shift = zero * scale
    y = walk.affine(real(walk, node), 1.0, shift)
    y = walk.per_channel(y, [scale], lambda axis: Bipolar(axis))
    return walk.affine(y, 1.0, -shift)


def bipolar_quant(walk: Walk, node: Node) -> Value | Constant:
    """+scale where x >= 0, else -scale; a scale of any shape that broadcasts."""
    scale = _numbers(node, 1, "scale")
    node.check(bool((scale > 0).all()), "scale must be positive")
    return _signs(walk, node, scale, np.zeros((), np.float64))


def trunc(walk: Walk, node: Node) -> Value:
    """Both versions: 5 inputs drop low bits and keep the scale, 6 inputs give the output's scale
    and bit width. All rounding modes."""
    rounding = rounding_of(node, "FLOOR")
    scale, zero = _single(node, 1, "scale"), _single(node, 2, "zero point")
    node.check(abs(zero) < FARTHEST, f"zero point {zero:g} must be below 2^32")
    before = _single(node, 3, "input bit width")
    node.check(scale > 0 and 1 <= before <= MOST_BITS, f"scale {scale}, bit width {before}")
    if len(node.operands) > 5:
        out = _single(node, 4, "output scale")
        after = _single(node, 5, "output bit width")
        node.check(out > 0, "output scale must be positive")
        step = 2.0 ** round(np.log2(out / scale))
        signed, narrow = node.flag("signed", True), node.flag("narrow", False)
        low, high = bounds(node, after, signed=signed, narrow=narrow)
        rest = zero / step
    else:
        after, out = _single(node, 4, "output bit width"), scale
        step, rest = 2.0 ** (before - after), zero
        low, high = -(2.0**after), 2.0**after
    x = walk.affine(real(walk, node), 1.0, zero * scale)
    span = int(2.0**before)
    x = walk.per_channel(x, [np.array(scale)], _quant(-span, span, 0, "half_even"))
    lo, hi = _whole(low, rounding), _whole(high, rounding)
    x = walk.per_channel(x, [np.array(scale * step)], _quant(lo, hi, 0, rounding))
    return walk.affine(x, out / (scale * step), -rest * out)
