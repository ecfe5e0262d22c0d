"""Requantization: multiply by a constant of the channel, add, shift with rounding, saturate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from hwc.compiler.graph import Requant
from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.units.multiply import Style, product
from hwc.hw.units.parts import compare_luts, pipe, shape_of
from hwc.hw.units.product import Constants, Product

__all__ = ["RequantPipe"]


@dataclass(frozen=True)
class RequantPipe:
    """Pipeline of a :class:`Requant` for ``copies`` pixels of ``lanes`` channels.

    With half of the divisor added to the offset, every rounding is the floor of a shift, except
    that a tie to even clears the lowest bit: a tie is a remainder of 0, and if the quotient is odd
    the even neighbour is the one below.
    """

    op: Requant
    x: Number
    channels: int
    lanes: int
    copies: int = 1
    style: Style = "auto"
    max_levels: int = 6

    @cached_property
    def shift(self) -> int:
        """The shift that is left once factors of two common to all constants are divided out."""
        numbers = [*self.op.multiplier.values.tolist(), *self.op.offset.values.tolist()]
        common = math.gcd(*numbers)
        twos = (common & -common).bit_length() - 1 if common else self.op.shift
        return self.op.shift - min(twos, self.op.shift)

    @cached_property
    def constants(self) -> Constants:
        """Multiplier and offset of each channel, half the divisor included in the offset."""
        drop = self.op.shift - self.shift
        half = 1 << self.shift - 1 if self.shift and self.op.rounding != "floor" else 0
        m = np.broadcast_to(self.op.multiplier.values >> drop, self.channels).tolist()
        b = np.broadcast_to(self.op.offset.values >> drop, self.channels).tolist()
        return tuple((mc, bc + half) for mc, bc in zip(m, b, strict=True))

    @cached_property
    def steps(self) -> int:
        """Words of constants per lane; 1 if all channels are alike."""
        return 1 if len(set(self.constants)) == 1 else -(-self.channels // self.lanes)

    @cached_property
    def product(self) -> Product:
        """The part that multiplies and adds."""
        return product(self.x, self._lane_constants, self.style, self.max_levels)

    @cached_property
    def _lane_constants(self) -> tuple[Constants, ...]:
        """Per lane, the constants of each step; the last channel repeats past the end."""
        last = self.channels - 1
        return tuple(
            tuple(self.constants[min(s * self.lanes + lane, last)] for s in range(self.steps))
            for lane in range(self.lanes)
        )

    @property
    def y(self) -> Number:
        """What a result can be."""
        return Number(self.op.lo, self.op.hi)

    @property
    def lead(self) -> int:
        """Cycles by which the channel step comes before its x."""
        return self.product.lead

    @property
    def latency(self) -> int:
        """Cycles from x to its result."""
        return self.product.latency + 1 + (not self._fused)

    @property
    def _even(self) -> bool:
        """Whether ties are to be told apart."""
        return self.op.rounding == "half_even" and self.shift > 0

    @cached_property
    def _quotient(self) -> Number:
        total = self.product.result
        return Number(total.lo >> self.shift, total.hi >> self.shift)

    @cached_property
    def _floor(self) -> int:
        """Quotients below this give ``lo``. An odd lo itself is one: its tie would go below it."""
        return self.op.lo + (1 if self._even and self.op.lo & 1 else 0)

    @property
    def _under(self) -> bool:
        return self._quotient.lo < self._floor

    @property
    def _over(self) -> bool:
        return self._quotient.hi > self.op.hi

    @property
    def _flag_levels(self) -> float:
        tie = 0 if not self._even else 1 if self.shift <= 6 else 2
        compare = 2.5 if self._quotient.width > 6 else 1
        return max(tie, compare if self._under or self._over else 0)

    @property
    def _fused(self) -> bool:
        """Whether range and tie are found in the cycle in which the result is picked."""
        return self._flag_levels + 1 <= self.max_levels

    @property
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""
        pick = self._flag_levels + 1 if self._fused else max(1, self._flag_levels)
        return max(pick, self.product.worst_levels)

    def resources(self) -> Resources:
        """Estimated primitives, the tables included."""
        # One end is a set or reset of the output register; both take a LUT a bit, which has room
        # for a comparison of two bits.
        both = self._under and self._over
        luts = self.y.width if both else 0
        for limited, limit in ((self._under, self._floor), (self._over, self.op.hi + 1)):
            zeros = (limit & -limit).bit_length() - 1 if limit else self._quotient.width - 1
            bits = max(1, self._quotient.width - zeros)
            if limited and bits > 1 + both:
                # A limit like -126 is ones and a zero, which fewer LUTs see.
                near = (2 - limit) & (1 - limit) == 0
                luts += min(2, compare_luts(bits, 1)) if near else compare_luts(bits, 1)
        luts += -(-(self.shift - 1) // 5) if self._even else 0
        flags = 0 if self._fused else min(self.y.width, self._quotient.width) + 3
        one = self.product.each() + Resources(luts, self.y.width + flags, 0, 0)
        return self.product.tables() + one * (self.lanes * self.copies)

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        """Codes of x (pixel-major, ``copies * lanes`` values), ``latency`` cycles later.

        ``step`` is the channel step, ``lead`` cycles before its x.
        """
        totals = self.product.build(m, x, step, name)
        return [self._saturate(m, total, f"{name}_{i}") for i, total in enumerate(totals)]

    def _saturate(self, m: Module, total: Value, name: str) -> Value:
        op, width = self.op, self.y.width
        q = Signal(shape_of(self._quotient), name=f"{name}_quotient")
        m.d.comb += q.eq(total >> self.shift)
        low = Signal(
            signed(width) if self._quotient.signed else unsigned(width), name=f"{name}_low"
        )
        m.d.comb += low.eq(q)
        over = at_least(q, op.hi + 1) if self._over else Const(0, 1)
        under = ~at_least(q, self._floor) if self._under else Const(0, 1)
        tie = ~total[: self.shift].any() if self._even else Const(0, 1)
        state = pipe(m, Cat(over, under, tie, low), 0 if self._fused else 1, f"{name}_state")
        kept = Cat(state[3] & ~state[2], state[4:])
        mask = (1 << width) - 1
        picked = Mux(state[0], op.hi & mask, Mux(state[1], op.lo & mask, kept))
        return pipe(m, picked[:width], 1, f"{name}_code")


def at_least(x: Value, limit: int) -> Value:
    """``x >= limit`` on the upper bits only, as far as the limit ends in zeros."""
    if limit == 0:
        return ~x[-1] if x.shape().signed else Const(1, 1)
    zeros = (limit & -limit).bit_length() - 1
    if zeros >= len(x) - 1:
        return x >= limit
    high = x[zeros:]
    return (high.as_signed() if x.shape().signed else high) >= (limit >> zeros)
