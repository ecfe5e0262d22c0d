"""What the integers on a wire can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hwc.compiler.graph.errors import HwcError

__all__ = ["DotError", "Number"]


class DotError(HwcError):
    """A sum of products was asked for that cannot be built."""


class _Interval(Protocol):
    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def bipolar(self) -> bool: ...


@dataclass(frozen=True)
class Number:
    """The integers of [lo, hi] on ``width`` wires: two's complement if lo < 0, else unsigned.

    ``bipolar`` narrows [-1, 1] to -1 and +1 on one wire: bit 1 is +1, bit 0 is -1.
    """

    lo: int
    hi: int
    bipolar: bool = False

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise DotError(f"Number: lo <= hi is needed, got lo={self.lo}, hi={self.hi}")
        if self.bipolar and (self.lo, self.hi) != (-1, 1):
            raise DotError(
                f"Number: a bipolar number has lo=-1, hi=1, got lo={self.lo}, hi={self.hi}"
            )

    @classmethod
    def of(cls, type: _Interval) -> Number:
        """The number that one element of a graph ``Type`` is."""
        return cls(type.lo, type.hi, type.bipolar)

    @classmethod
    def unsigned(cls, width: int) -> Number:
        """Every unsigned integer of ``width`` bits."""
        return cls(0, 2**width - 1)

    @classmethod
    def two_complement(cls, width: int) -> Number:
        """Every two's complement integer of ``width`` bits."""
        return cls(-(2 ** (width - 1)), 2 ** (width - 1) - 1)

    @property
    def signed(self) -> bool:
        """True if the wires are two's complement (never for bipolar)."""
        return self.lo < 0 and not self.bipolar

    @property
    def width(self) -> int:
        """Bits on a wire, at least 1."""
        if self.bipolar:
            return 1
        if self.lo >= 0:
            return max(1, self.hi.bit_length())
        return 1 + max((v if v >= 0 else ~v).bit_length() for v in (self.lo, self.hi))

    def span(self, other: Number) -> tuple[int, int]:
        """Smallest and largest product of one value of each."""
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return min(ends), max(ends)
