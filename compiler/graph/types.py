"""The type of a tensor: its shape for one sample and the interval its integers lie in."""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass

from hwc.compiler.graph.errors import GraphError

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


def int_tuple(values: Iterable[int]) -> tuple[int, ...]:
    """Plain Python ints of a sequence (NumPy integers included); floats raise GraphError."""
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError as error:
        raise GraphError(f"integers are needed, got {values!r}: {error}") from None


def shape_text(shape: Iterable[int]) -> str:
    """`28x28x1`: how shapes are written in messages and printed graphs."""
    return "x".join(str(size) for size in shape)


def wire_width(lo: int, hi: int) -> int:
    """Bits that hold every integer of [lo, hi]: two's complement if lo < 0, else unsigned; >= 1."""
    if lo >= 0:
        return max(1, hi.bit_length())
    return 1 + max((value if value >= 0 else ~value).bit_length() for value in (lo, hi))


@dataclass(frozen=True)
class Type:
    """Per-sample shape (no batch axis, channels last) and the interval [lo, hi] of every element.

    `bipolar` narrows [-1, 1] to the two values -1 and +1: one wire, bit 1 is +1, bit 0 is -1.
    Raises GraphError for an empty shape or interval, or one beyond int64.
    """

    shape: tuple[int, ...]
    lo: int
    hi: int
    bipolar: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", int_tuple(self.shape))
        lo, hi = int_tuple((self.lo, self.hi))
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)
        if not self.shape or min(self.shape) < 1:
            raise GraphError(
                f"Type: the shape needs at least one axis and sizes >= 1, got {self.shape}; "
                "a scalar is (1,)"
            )
        if not INT64_MIN <= lo <= hi <= INT64_MAX:
            raise GraphError(f"Type: INT64_MIN <= lo <= hi <= INT64_MAX, got lo={lo}, hi={hi}")
        if self.bipolar and (lo, hi) != (-1, 1):
            raise GraphError(f"Type: bipolar values are -1 and +1, got lo={lo}, hi={hi}")

    @property
    def signed(self) -> bool:
        """True if the wires are two's complement (never for bipolar)."""
        return self.lo < 0 and not self.bipolar

    @property
    def width(self) -> int:
        """Bits of one element on a wire."""
        return 1 if self.bipolar else wire_width(self.lo, self.hi)

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.shape)

    def with_shape(self, shape: Iterable[int]) -> "Type":
        """The same integers in another shape (the size may differ)."""
        return Type(tuple(shape), self.lo, self.hi, self.bipolar)

    def __str__(self) -> str:
        kind = "bipolar" if self.bipolar else f"[{self.lo}, {self.hi}]"
        return f"{shape_text(self.shape)} {kind}"
