"""Vectors of exact rationals: one entry for a whole tensor, or one per channel.

A `Vector` is a one-dimensional object array of `fractions.Fraction`; clip bounds may also be float
infinities. Length 1 broadcasts against any number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Vector", "collapse", "common_unit", "round_half_even", "show", "spread", "vector"]

Vector = np.ndarray


def vector(values: Any) -> Vector:
    """Exact rationals of a number or of a sequence (floats are dyadic rationals; inf stays)."""
    items = values if isinstance(values, (list, tuple)) else np.ravel(np.asarray(values)).tolist()
    out = np.empty(len(items), dtype=object)
    out[:] = [
        v if isinstance(v, float) and math.isinf(v) else Fraction(v)  # type: ignore[arg-type]
        for v in items
    ]
    return out


def collapse(values: Vector) -> Vector:
    """Length 1 if all entries are equal."""
    return values[:1] if len(values) > 1 and all(v == values[0] for v in values[1:]) else values


def spread(values: Vector, size: int) -> Vector:
    """Length `size`, repeating a single entry."""
    return np.repeat(values, size) if len(values) == 1 else values


def common_unit(values: Iterable[Fraction]) -> Fraction:
    """The largest u > 0 of which every value is an integer multiple; 0 if all are 0."""
    unit = Fraction(0)
    for v in values:
        den = math.lcm(unit.denominator, v.denominator)
        unit = Fraction(
            math.gcd(
                unit.numerator * (den // unit.denominator), v.numerator * (den // v.denominator)
            ),
            den,
        )
    return unit


def round_half_even(value: Fraction) -> int:
    """The nearest integer, ties to the even one."""
    return round(value)


def show(values: Vector) -> str:
    """Short decimal text for messages."""
    if len(values) == 1:
        return f"{float(values[0]):.9g}"
    return f"{float(min(values)):.6g}..{float(max(values)):.6g} ({len(values)} channels)"
