"""Operations of two tensors that are no sums: products, and shares of a total."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import INT64_MAX, INT64_MIN, Type

MOST_BITS = 62
"""Widest dividend, shifted by the bits of the quotient and one more."""


@dataclass(frozen=True)
class Multiply(Op):
    """y = a * b, element by element, of inputs of one shape; bipolar if both are."""

    def infer(self, *types: Type) -> Type:
        a, b = _two(self, types)
        ends = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        lo, hi = min(ends), max(ends)
        if not INT64_MIN <= lo <= hi <= INT64_MAX:
            raise self.error(f"products must fit in int64, got [{lo}, {hi}]; use narrower inputs")
        return Type(a.shape, lo, hi, a.bipolar and b.bipolar)

    def reference(self, *arrays: IntNd) -> IntNd:
        return arrays[0] * arrays[1]


@dataclass(frozen=True)
class Ratio(Op):
    """y = min(floor(a * 2**bits / b + 1/2), 2**bits) of inputs a, b >= 0 of one shape.

    What a is of b in parts of 2**-bits, ties up; all of it where a >= b, and so where b is 0.
    The type is [0, 2**bits], whatever can occur.
    """

    bits: int

    def __post_init__(self) -> None:
        self._set(bits=self.to_int("bits", self.bits, 0))

    def infer(self, *types: Type) -> Type:
        a, b = _two(self, types)
        if min(a.lo, b.lo) < 0:
            raise self.error(f"inputs must be >= 0, got intervals from {a.lo} and {b.lo}")
        if max(a.width, b.width) + self.bits + 1 > MOST_BITS:
            raise self.error(
                f"inputs must have at most {MOST_BITS - 1 - self.bits} bits for a quotient of "
                f"{self.bits}, got {a.width} and {b.width}"
            )
        return Type(a.shape, 0, 1 << self.bits)

    def reference(self, *arrays: IntNd) -> IntNd:
        a, b = arrays
        y = ((a << self.bits + 1) // np.maximum(b, 1) + 1) >> 1
        return np.where(a >= b, 1 << self.bits, y)


def _two(op: Op, types: tuple[Type, ...]) -> tuple[Type, Type]:
    if len(types) != 2:
        raise op.error(f"takes 2 inputs, got {len(types)}")
    a, b = types
    if a.shape != b.shape:
        raise op.error(f"both inputs must have one shape, got {a.shape} and {b.shape}")
    return a, b
