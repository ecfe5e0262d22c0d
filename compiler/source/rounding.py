"""Rounding modes of quantizers, in floats and in exact rationals.

They are those of QONNX: `half_even` (ROUND), `ceil`, `floor`, `to_zero` (ROUND_TO_ZERO, DOWN),
`from_zero` (UP: away from zero), `half_from_zero` (HALF_UP), `half_to_zero` (HALF_DOWN); and
`half_up`, ties towards +inf, of fixed-point hardware.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np

__all__ = ["Rounding", "reached", "round_array", "round_exact"]

Rounding = Literal[
    "half_even", "half_up", "half_from_zero", "half_to_zero", "floor", "ceil", "to_zero",
    "from_zero",
]  # fmt: skip

HALF = Fraction(1, 2)


def round_exact(value: Fraction, rounding: str) -> int:
    """The integer that `value` rounds to."""
    whole, sign = math.floor(abs(value)), -1 if value < 0 else 1
    match rounding:
        case "half_even":
            return round(value)
        case "half_up":
            return math.floor(value + HALF)
        case "half_from_zero":
            return sign * math.floor(abs(value) + HALF)
        case "half_to_zero":
            return sign * math.ceil(abs(value) - HALF)
        case "floor":
            return math.floor(value)
        case "ceil":
            return math.ceil(value)
        case "to_zero":
            return sign * whole
        case _:
            return sign * math.ceil(abs(value))


def reached(level: int, rounding: str) -> tuple[Fraction, bool]:
    """(t, strict): exactly the v >= t (v > t if strict) round to `level` or above."""
    below = level - HALF
    match rounding:
        case "half_even":
            return below, level % 2 == 1
        case "half_up":
            return below, False
        case "half_from_zero":
            return below, level <= 0
        case "half_to_zero":
            return below, level > 0
        case "floor":
            return Fraction(level), False
        case "ceil":
            return Fraction(level - 1), True
        case "to_zero":
            return (Fraction(level), False) if level > 0 else (Fraction(level - 1), True)
        case _:
            return (Fraction(level - 1), True) if level > 0 else (Fraction(level), False)


def round_array(x: np.ndarray, rounding: str) -> np.ndarray:
    """Every element rounded, in the array's dtype (object: exact rationals and infinities)."""
    if x.dtype == object:

        def one(v: Any) -> Fraction | float:
            return v if isinstance(v, float) else Fraction(round_exact(v, rounding))

        exact: Any = np.frompyfunc(one, 1, 1)
        return np.asarray(exact(x), dtype=object)
    match rounding:
        case "half_even":
            return np.rint(x)
        case "half_up":
            return _half(x, up=True)
        case "half_from_zero":
            return np.copysign(_half(np.abs(x), up=True), x)
        case "half_to_zero":
            return np.copysign(_half(np.abs(x), up=False), x)
        case "floor":
            return np.floor(x)
        case "ceil":
            return np.ceil(x)
        case "to_zero":
            return np.trunc(x)
        case _:
            return np.copysign(np.ceil(np.abs(x)), x)


def _half(x: np.ndarray, *, up: bool) -> np.ndarray:
    """Nearest integer, ties up or down; x + 0.5 itself could round."""
    whole = np.floor(x)
    rest = x - whole
    return whole + (rest >= 0.5 if up else rest > 0.5)
