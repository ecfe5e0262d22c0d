"""Adding up partial sums over the firings of a folded unit."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, ValueLike

from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import shape
from hwc.hw.resources import Resources

__all__ = ["Accumulator"]


@dataclass(frozen=True)
class Accumulator:
    """A register for sums in ``total`` of values in ``value``: it takes a value or adds one.

    A LUT a bit: the gate that drops the old sum shares the LUT in front of the carry chain, and
    the new value goes to the carry pins. If only the last sum lies in ``total`` and those before
    it do not, it is right all the same: sums wrap on the way.
    """

    value: Number
    total: Number

    latency = 1
    """Cycles from a value to the sum that contains it."""

    def __post_init__(self) -> None:
        if self.value.bipolar or self.total.bipolar:
            raise DotError(
                f"Accumulator: numbers with bits that are worth powers of two are needed, got "
                f"{self.value} and {self.total}"
            )
        if self.value.signed and not self.total.signed:
            raise DotError(f"Accumulator: a sum of {self.value} does not lie in {self.total}")

    @property
    def shape(self) -> Shape:
        """Shape of the sum."""
        return shape(self.total)

    @property
    def worst_levels(self) -> int:
        """Worst path from value or sum to sum, in LUT and carry levels."""
        return -(-(16 + (self.total.width + 4) // 4 - 1) // 8)

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part; one LUT is for the clock enable."""
        return Resources(self.total.width, self.total.width, 0, 0)

    def build(
        self, m: Module, value: Value, first: ValueLike, valid: ValueLike, name: str = "total"
    ) -> Signal:
        """The sum: on ``valid`` it becomes ``value`` (``first``) or grows by it, else it stays.

        ``first`` and ``valid`` belong to the cycle in which ``value`` is there.
        """
        if len(value) != self.value.width:
            raise DotError(
                f"Accumulator: values of {self.value.width} bits are needed, got {len(value)}"
            )
        width = self.total.width
        total = Signal(self.shape, name=name)
        sign = value[-1] if self.value.signed else Const(0, 1)
        wide = Cat(value, sign.replicate(max(0, width - len(value))))[:width]
        kept = total.as_unsigned() & (~Value.cast(first)).replicate(width)
        after = Signal(width + 1, name=f"{name}_next")
        # As in emit: a - ~b keeps the value, a plain wire, on the carry pins.
        m.d.comb += after.eq(Cat(Const(0, 1), wide) - ~Cat(Const(0, 1), kept))
        with m.If(valid):
            m.d.sync += total.eq(after[1:])
        return total
