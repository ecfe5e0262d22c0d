"""Minimal filters of A. L. Toom (1963) and S. A. Cook (1966), as S. Winograd (1980) uses them.

F(m, r): m neighbouring outputs of a filter of r taps from m + r - 1 products. Derived in exact
rationals and brought into integers: no rounding anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

__all__ = ["LARGEST", "Toom", "cook_toom"]

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3")))
"""Where polynomials are evaluated, besides infinity: small numbers give small constants."""

LARGEST = len(POINTS) + 1
"""The most products, m + r - 1, that there are points for."""

Row = list[Fraction]
Ints = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Toom:
    """``divisor * y = a @ ((g @ w) * (b @ x))`` for y[i] = sum_k w[k] * x[i + k], in integers.

    a is (m, n), g is (n, r), b is (n, n), n = m + r - 1. In two dimensions, with the same on both
    sides, the divisor counts twice; the division is exact.
    """

    a: Ints
    g: Ints
    b: Ints
    divisor: int


@lru_cache(maxsize=64)
def cook_toom(m: int, r: int) -> Toom:
    """F(m, r) for m, r >= 1 and m + r - 1 up to :data:`LARGEST`.

    A product of polynomials is found from its values; this is the transposed algorithm. The rows
    of g and b carry no common factor: those are moved to a, where few numbers see them.
    """
    n = m + r - 1
    if min(m, r) < 1 or n > LARGEST:
        raise ValueError(f"F({m}, {r}): m, r >= 1 and m + r <= {LARGEST + 1} are needed")
    points = POINTS[: n - 1]

    def values(size: int) -> list[Row]:
        """What turns coefficients into values at the points; at infinity it is the last one."""
        infinity = [Fraction(0)] * (size - 1) + [Fraction(1)]
        return [[p**k for k in range(size)] for p in points] + [infinity]

    b = _transposed(_inverse(values(n)))
    g, a = values(r), values(m)
    for i in range(n):
        g[i], more = _primitive(g[i])
        b[i], yet_more = _primitive(b[i])
        a[i] = [v * more * yet_more for v in a[i]]
    divisor = math.lcm(*(v.denominator for row in a for v in row))
    scaled = [[v * divisor for v in row] for row in _transposed(a)]
    return Toom(_ints(scaled), _ints(g), _ints(b), divisor)


def _primitive(row: Row) -> tuple[Row, Fraction]:
    """The row as integers without a common factor, first one positive; and the factor taken out."""
    scale = math.lcm(*(v.denominator for v in row))
    whole = [int(v * scale) for v in row]
    common = math.gcd(*whole) * (1 if next(v for v in whole if v) > 0 else -1)
    return [Fraction(v // common) for v in whole], Fraction(common, scale)


def _transposed(rows: list[Row]) -> list[Row]:
    return [list(column) for column in zip(*rows, strict=True)]


def _ints(rows: list[Row]) -> Ints:
    return tuple(tuple(int(v) for v in row) for row in rows)


def _inverse(rows: list[Row]) -> list[Row]:
    """Gauss and Jordan; the matrix is regular, since the points differ."""
    n = len(rows)
    work = [row + [Fraction(int(i == k)) for k in range(n)] for i, row in enumerate(rows)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if work[k][i])
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for k in range(n):
            if k != i:
                factor = work[k][i]
                work[k] = [u - factor * v for u, v in zip(work[k], work[i], strict=True)]
    return [row[n:] for row in work]
