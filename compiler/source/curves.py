"""The curves of `Function`, once, over any arithmetic that has exp, log, tanh, erf and powers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.source.nonlinear import Function
from hwc.compiler.source.ops import SourceError

__all__ = ["curve", "curve_exact", "softmax"]

EXACT_POWER = 16
"""Largest whole exponent whose powers are computed as rationals."""

FARTHEST = 1 << 14
"""Results beyond 2**FARTHEST count as infinite, those below 2**-FARTHEST as that number: both are
far beyond every step of a quantizer, whose scales are float64."""


class _Floats:
    """float64 element by element, without overflow warnings."""

    exp = staticmethod(lambda x: np.exp(np.minimum(x, 700)))
    tanh = staticmethod(np.tanh)
    erf = staticmethod(np.vectorize(math.erf, otypes=[np.float64]))
    log = staticmethod(np.log)
    log1p = staticmethod(np.log1p)
    power = staticmethod(np.power)
    sqrt = staticmethod(np.sqrt)
    where = staticmethod(np.where)
    number = staticmethod(float)


class _Digits:
    """mpmath at a working precision far above what a table of 16 bits needs."""

    DIGITS = 60

    def __init__(self) -> None:
        import mpmath

        self.mp = mpmath.mp.clone()
        self.mp.dps = self.DIGITS
        self.exp, self.tanh, self.erf = self.mp.exp, self.mp.tanh, self.mp.erf
        self.log, self.log1p = self.mp.log, self.mp.log1p
        self.power, self.sqrt = self.mp.power, self.mp.sqrt

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        return yes if condition else no

    def number(self, value: Any) -> Any:
        value = Fraction(value)
        return self.mp.mpf(value.numerator) / value.denominator


def curve(op: Function, x: np.ndarray) -> np.ndarray:
    """The curve of `op` at every x, in float64; nan where it is not defined. -0 counts as 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _formula(op, _Floats)(x + 0.0)


def curve_exact(op: Function, x: Fraction) -> Fraction | float:
    """The curve of `op` at x, to 60 digits, as a rational; infinity at poles and beyond FARTHEST.

    Reciprocals and small whole powers are exact. SourceError where the curve is not defined.
    """
    power = -1.0 if op.curve == "reciprocal" else op.alpha if op.curve == "pow" else None
    if op.curve == "log" or power is not None:
        if x == 0 and (power is None or power < 0):
            return -math.inf if power is None else math.inf
        _defined(op, x, x > 0 or (power is not None and (x == 0 or power % 1 == 0)))
    _defined(op, x, op.curve != "sqrt" or x >= 0)
    bits = max(abs(x.numerator).bit_length(), x.denominator.bit_length())
    if power is not None and power % 1 == 0 and abs(power) <= min(EXACT_POWER, FARTHEST // bits):
        return x ** int(power)
    digits = _Digits()
    y = _formula(op, digits)(digits.number(x))
    sign, mantissa, exponent, bits = digits.mp.mpf(y)._mpf_
    if mantissa and exponent + bits > FARTHEST:
        return -math.inf if sign else math.inf
    if mantissa and exponent + bits < -FARTHEST:
        mantissa, exponent = 1, -FARTHEST
    return (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _defined(op: Function, x: Fraction, ok: bool) -> None:
    if not ok:
        place = float(max(x, -sys.float_info.max))
        raise SourceError(
            f"{op.curve} is not defined at {place:g}, which can occur; "
            "put a Relu or a Quant without negative codes before it"
        )


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """exp(x) over its sum along an axis, in float64."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _formula(op: Function, m: Any) -> Callable[[Any], Any]:
    alpha, beta, half = m.number(op.alpha), m.number(op.beta), m.number(0.5)

    def sigmoid(x: Any) -> Any:
        small = m.exp(-abs(x))  # never overflows
        return m.where(x >= 0, 1 / (1 + small), small / (1 + small))

    def softplus(x: Any) -> Any:
        return m.where(x > 0, x, 0 * x) + m.log1p(m.exp(-abs(x)))

    def clip01(x: Any) -> Any:
        x = m.where(x > 0, x, 0 * x)
        return m.where(x < 1, x, 0 * x + 1)

    match op.curve:
        case "sigmoid":
            return sigmoid
        case "silu":
            return lambda x: x * sigmoid(x)
        case "tanh":
            return m.tanh
        case "erf":
            return m.erf
        case "exp":
            return m.exp
        case "abs":
            return abs
        case "log":
            return m.log
        case "sqrt":
            return m.sqrt
        case "reciprocal":
            return lambda x: 1 / x
        case "pow":
            return lambda x: m.power(x, alpha)
        case "softplus":
            return softplus
        case "mish":
            return lambda x: x * m.tanh(softplus(x))
        case "softsign":
            return lambda x: x / (1 + abs(x))
        case "hard_sigmoid":
            return lambda x: clip01(alpha * x + beta)
        case "hard_swish":
            return lambda x: x * clip01(x / 6 + half)
        case "elu":
            return lambda x: m.where(x > 0, x, alpha * (m.exp(m.where(x > 0, 0 * x, x)) - 1))
        case "selu":
            return lambda x: beta * m.where(x > 0, x, alpha * (m.exp(m.where(x > 0, 0 * x, x)) - 1))
        case "gelu":
            return lambda x: half * x * (1 + m.erf(x / m.number(2) ** half))
        case _:
            pi = m.mp.pi if hasattr(m, "mp") else math.pi
            root = (m.number(2) / pi) ** half
            return lambda x: half * x * (1 + m.tanh(root * (x + m.number(0.044715) * x * x * x)))
