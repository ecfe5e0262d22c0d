"""Turning a planned heap into Amaranth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.hw.dot.heap import CONST, Block, Chain, Plan

__all__ = ["Bit", "Heap", "Word"]


class Word:
    """Wires that can be had at any cycle from their birth on, through registers.

    ``make(cycle)``, if given, computes the word of a later cycle from words it is a function of,
    instead of storing it.
    """

    def __init__(
        self,
        m: Module,
        value: Value | None = None,
        cycle: int = 0,
        make: Callable[[int], Value] | None = None,
    ) -> None:
        self._m = m
        self._make = make
        self._known = {} if value is None else {cycle: value}

    def at(self, cycle: int) -> Value:
        """The word ``cycle`` cycles after the operands of the whole sum."""
        if cycle not in self._known:
            if self._make is not None:
                value = self._make(cycle)
                wire = Signal(len(value), name="row")
                self._m.d.comb += wire.eq(value)
                self._known[cycle] = wire
            else:
                before = self.at(cycle - 1)
                # With a reset, or tools turn three registers in a row into a shift register in a
                # LUT; flip-flops are what a device has plenty of.
                later = Signal(len(before), name="stage")
                self._m.d.sync += later.eq(before)
                self._known[cycle] = later
        return self._known[cycle]


class Bit(NamedTuple):
    """One wire of a word."""

    word: Word
    position: int

    def at(self, cycle: int) -> Value:
        """The wire at a cycle."""
        return self.word.at(cycle)[self.position]


class Heap:
    """Bits by column and kind, reduced as a plan says."""

    def __init__(self, m: Module, width: int) -> None:
        self.m = m
        self.columns: list[list[deque[Bit]]] = [[deque() for _ in range(8)] for _ in range(width)]
        self.one = Word(m, make=lambda cycle: Const(1, 1))

    def add(self, word: Word, column: int, kinds: Sequence[int]) -> None:
        """Put the bits of a word in; those beyond the top column do not count."""
        for i, kind in enumerate(kinds):
            if column + i < len(self.columns):
                self.columns[column + i][kind].append(Bit(word, i))

    def add_constant(self, value: int) -> None:
        """Put the constant bits of a value in."""
        for column, kinds in enumerate(self.columns):
            if value >> column & 1:
                kinds[CONST].append(Bit(self.one, 0))

    def counts(self) -> list[list[int]]:
        """How many bits of each kind there are, per column."""
        return [[len(bits) for bits in kinds] for kinds in self.columns]

    def reduce(self, plan: Plan, start: int) -> Value:
        """Emit all stages; the sum ``plan.cuts`` cycles after ``start``, not registered."""
        cycle = start
        for stage in plan.stages:
            cycle += stage.cut
            made = [
                self._chain(chain, cycle) for chain, copies in stage.chains for _ in range(copies)
            ]
            for word, first, columns in made:
                for i, column in enumerate(columns):
                    self.columns[column][-1].append(Bit(word, first + i))
        wires = []
        for kinds in self.columns:
            found = [bit for bits in kinds for bit in bits]
            assert len(found) <= 1
            wires.append(found[0].at(cycle) if found else Const(0, 1))
        return Cat(*wires)

    def _chain(self, chain: Chain, cycle: int) -> tuple[Word, int, range]:
        """Emit one chain: the word of its sum, the first bit that counts, and the columns."""
        carry = self._take(chain.start, chain.carry, cycle)
        direct: list[Value] = []
        sums: list[Value] = []
        column = chain.start
        for block in chain.blocks:
            sums += self._block(block, column, cycle)
            direct += [self._take(column + i, k, cycle) for i, k in enumerate(block.direct)]
            column += block.width
        columns = chain.gives(len(self.columns))
        if not chain.carries:
            word = Signal(len(sums), name="lut")
            self.m.d.comb += word.eq(Cat(*sums))
            return Word(self.m, word, cycle), 0, columns
        # a - ~b is a + b + 1, and with the carry below the lowest bit of both it is a + b + carry.
        # A difference because synthesis keeps its operands in order: the plain wires have to be
        # the first, which goes to the carry pins; a sum's operands yosys may swap, and then every
        # position takes a second LUT.
        word = Signal(len(columns) + 1, name="chain")
        low, high = Cat(carry, *direct, Const(0, 1)), Cat(carry, *sums, Const(0, 1))
        self.m.d.comb += word.eq(low - ~high)
        return Word(self.m, word, cycle), 1, columns

    def _take(self, column: int, kind: int, cycle: int) -> Value:
        return Const(0, 1) if kind < 0 else self.columns[column][kind].popleft().at(cycle)

    def _block(self, block: Block, column: int, cycle: int) -> list[Value]:
        """The sum of a block's bits, a wire per column, as logic (never as an adder)."""
        bits: list[list[Value]] = [[] for _ in range(block.width + 3)]
        bits[0] = [self._take(column, kind, cycle) for kind in block.low]
        bits[1] = [self._take(column + 1, kind, cycle) for kind in block.high]
        sums = []
        for column in range(block.width):
            here, above = bits[column], bits[column + 1]
            while len(here) > 1:
                a, b, *rest = here
                if rest:
                    c = rest.pop(0)
                    here, carry = [*rest, a ^ b ^ c], Mux(a ^ b, c, a)
                else:
                    here, carry = [a ^ b], a & b
                above.append(carry)
            sums.append(here[0] if here else Const(0, 1))
        return sums
