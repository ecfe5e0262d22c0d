"""Pipelined sums of numbers, each times a constant: adder trees, and products by wired weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from amaranth.hdl import Module, Signal, Value

from hwc.hw.dot.heap import Plan
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import check_levels, count, emit, nothing, sliced, solve, spent
from hwc.hw.dot.products import Lane, constant_lane
from hwc.hw.resources import Resources

__all__ = ["ConstantDotSpec", "SumSpec"]


@dataclass(frozen=True)
class SumSpec:
    """``sum(weight * value)`` over ``terms`` of (number, integer weight), pipelined.

    A weight costs as many rows as its canonical signed form has digits, zero none. ``offset`` is
    added. ``levels``: as in :class:`DotSpec`. ``bits``: if not 0, the sum wraps to so many bits, in
    two's complement.
    """

    terms: tuple[tuple[Number, int], ...]
    levels: int = 6
    offset: int = 0
    bits: int = 0

    def __post_init__(self) -> None:
        if not self.terms:
            raise DotError("SumSpec: one term or more is needed, got none")
        check_levels("SumSpec", self.levels, self.result)

    @property
    def result(self) -> Number:
        """The interval of the sum."""
        if self.bits:
            return Number.two_complement(self.bits)
        ends = [sorted((number.lo * weight, number.hi * weight)) for number, weight in self.terms]
        lo, hi = (sum(end[i] for end in ends) + self.offset for i in (0, 1))
        return Number(lo, hi)

    def rows(self) -> list[Lane]:
        """The terms as rows of bits."""
        width = self.result.width
        return [constant_lane(n, weight, width) for n, weight in self.terms]

    def _plan(self) -> Plan:
        return _planned(self)

    @property
    def latency(self) -> int:
        """Cycles from values to sum; 0 if the sum is plain wires."""
        p = self._plan()
        return p.cuts + (p.last > 0)

    @property
    def worst_levels(self) -> int:
        """Worst path from value or register to register, in LUT and carry levels."""
        return -(-self._plan().eighths // 8)

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part."""
        return spent(self._plan(), 0, self.result)

    def build(self, m: Module, values: Sequence[Value], name: str = "sum") -> Signal:
        """Emit the pipeline into ``m``; this cycle's sum is there ``latency`` later.

        ``values``: one per term, of the width of its number.
        """
        widths = [number.width for number, _ in self.terms]
        found = [len(Value.cast(value)) for value in values]
        if found != widths:
            raise DotError(f"SumSpec: values of {widths} bits are needed, got {found}")
        operands = [
            (sliced(m, [value], width)[0], nothing, nothing)
            for value, width in zip(values, widths, strict=True)
        ]
        lanes = [Lane((), self.offset), *self.rows()]
        operands.insert(0, (nothing, nothing, nothing))
        return emit(m, lanes, operands, self._plan(), self.result, name)


@lru_cache(maxsize=4096)
def _planned(spec: SumSpec) -> Plan:
    lanes = [(Lane((), spec.offset), 1), *((lane, 1) for lane in spec.rows())]
    return solve(count(lanes, spec.result.width), spec.levels, 0)


@dataclass(frozen=True)
class ConstantDotSpec:
    """``sum(x[i] * weights[i])`` with the weights wired: a zero weight costs nothing.

    ``popcount`` (bipolar x, weights -1 and +1): the number of agreeing lanes instead.
    """

    x: Number
    weights: tuple[int, ...]
    levels: int = 6
    popcount: bool = False

    def __post_init__(self) -> None:
        if self.popcount and not (self.x.bipolar and set(self.weights) <= {-1, 1}):
            raise DotError(
                f"ConstantDotSpec: popcount needs bipolar x and weights -1 and 1, got {self.x} "
                f"and weights {sorted(set(self.weights))[:8]}"
            )
        check_levels("ConstantDotSpec", self.levels, self.result)

    @property
    def lanes(self) -> int:
        """Number of products."""
        return len(self.weights)

    @property
    def _sum(self) -> SumSpec:
        if not self.popcount:
            return SumSpec(tuple((self.x, w) for w in self.weights), self.levels)
        # A bit agrees with +1 where it is set and with -1 where it is not.
        bit = Number(0, 1)
        return SumSpec(tuple((bit, w) for w in self.weights), self.levels, self.weights.count(-1))

    @property
    def result(self) -> Number:
        """The interval of the sum, from the actual weights."""
        return self._sum.result

    @property
    def latency(self) -> int:
        """Cycles from operands to sum; 0 if the sum is plain wires."""
        return self._sum.latency

    @property
    def worst_levels(self) -> int:
        """Worst path from operand or register to register, in LUT and carry levels."""
        return self._sum.worst_levels

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part."""
        return self._sum.resources()

    def build(self, m: Module, x: Sequence[Value], name: str = "dot") -> Signal:
        """Emit the pipeline into ``m``; the sum of ``x`` is there after ``latency``."""
        return self._sum.build(m, x, name)
