"""Products in DSP48E1 blocks, cascaded in groups.

A block registers its operands, the product and the sum. Product k of a group is added to the sum
of the products before it, on the wires between neighbouring blocks, so a group costs no LUT; its
operands have to come k cycles later, of which one is inside the block. Written so that yosys (and
other tools) make exactly one block of every product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value

from hwc.hw.dot.emit import Word
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import shape
from hwc.hw.dot.products import Lane, constant_lane

__all__ = ["Cascade", "check_dsp", "fits_dsp"]


def _signed_width(n: Number) -> int:
    return n.width + (not n.signed)


def fits_dsp(x: Number, w: Number) -> bool:
    """Whether one block multiplies them, and yosys uses one (it makes narrow products of LUTs)."""
    if x.bipolar or w.bipolar or min(x.width, w.width) < 2 or x.width + w.width < 9:
        return False
    narrow, wide = sorted((_signed_width(x), _signed_width(w)))
    return narrow <= 18 and wide <= 25


def check_dsp(x: Number, w: Number) -> None:
    """DotError unless :func:`fits_dsp`."""
    if not fits_dsp(x, w):
        raise DotError(
            f"DotSpec: style 'dsp' is for operands of 2 bits or more, together 9 or more, up to "
            f"25 x 18 bits signed; got {x} and {w}; use style 'lut'"
        )


@dataclass(frozen=True)
class Cascade:
    """``lanes`` products in groups of ``size``; the last group may be smaller."""

    x: Number
    w: Number
    lanes: int
    size: int

    @property
    def latency(self) -> int:
        """Cycles from operands to the sums of the groups."""
        return self.size + 2

    @property
    def groups(self) -> tuple[int, ...]:
        """Lanes of each group."""
        full, rest = divmod(self.lanes, self.size)
        return (self.size,) * full + ((rest,) if rest else ())

    @property
    def ff(self) -> int:
        """Flip-flops outside the blocks: operands that come later, groups that finish early."""
        early = sum((self.size - n) * self.sum(n).width for n in self.groups)
        return self.late * (self.x.width + self.w.width) + early

    @property
    def late(self) -> int:
        """Registers outside the blocks in which operands of the same kind wait."""
        return sum((n - 1) * (n - 2) // 2 for n in self.groups)

    def sum(self, lanes: int) -> Number:
        """The interval of a group's sum."""
        lo, hi = self.x.span(self.w)
        return Number(lo * lanes, hi * lanes)

    def lane(self, lanes: int, width: int) -> Lane:
        """The sum of a group as rows of a heap of ``width`` columns (its wires as operand x)."""
        return constant_lane(self.sum(lanes), 1, width)

    def build(self, m: Module, x: Sequence[Value], w: Sequence[Value]) -> list[Word]:
        """Emit the blocks: the sum of each group, from cycle ``latency`` on at the latest."""
        found = []
        first = 0
        for lanes in self.groups:
            total: Value | None = None
            for k in range(lanes):
                # x and w as registered inside the block, or before it where one is not enough.
                a = Word(m, x[first + k]).at(k + 1)
                b = Word(m, w[first + k]).at(k + 1)
                a = a.as_signed() if self.x.signed else a
                b = b.as_signed() if self.w.signed else b
                product = Signal(shape(self.sum(1)), name="product")
                # Room for the whole product: its operands' extremes need not be in the interval.
                m.d.sync += product.eq(a * b)
                partial = Signal(shape(self.sum(k + 1)), name="cascade")
                m.d.sync += partial.eq(product if total is None else total + product)
                total = partial
            assert total is not None
            found.append(Word(m, total, lanes + 2))
            first += lanes
        return found
