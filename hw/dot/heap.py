"""A heap of weighted bits, and what adds them up: 6-input LUTs and carry chains.

A heap holds bits by column (a bit of column c is worth 2**c). Two things remove bits:

* a *chain*: a carry chain over neighbouring columns. The carry pins take one plain wire per column
  (and one at the carry input) for nothing, and the LUT in front of each carry position has five
  more inputs, for any function of them. So a block of n columns swallows further bits whose sum
  fits n bits and whose functions together need at most five wires: five plain bits in three
  columns (the counter 5 + 3 + carry -> 3 + carry, 1.67 bits a LUT), two products of two wires and
  a bit in two columns, one bit of a Booth row in one column.
* a *LUT block*: a sum of bits of six wires in all, as one LUT for each bit of the sum.

The counters are those of M. Kumm and P. Zipf, "Pipelined compressor tree optimization using
integer linear programming" (FPL 2014), that need no second LUT output, joined into chains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CONST", "DIRECT", "INVERTED", "Block", "Chain", "Column", "Plan", "Stage", "support"]

CONST, INVERTED, DIRECT = 0, 1, 7
"""Kinds of bits: a constant one, an inverted wire, a plain wire. 2 to 6: a function of so many."""

Column = list[int]
"""Number of bits of each kind, indexed by kind."""


def support(kind: int) -> int:
    """Wires that a bit of this kind depends on."""
    return 1 if kind == DIRECT else kind


class Block(NamedTuple):
    """Kinds added up in the LUTs of a few columns: ``low`` of the first column, ``high`` of the
    second; ``direct`` is per column the kind on the carry pin (DIRECT, CONST or -1: none).
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    direct: tuple[int, ...]

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.direct)

    @property
    def luts(self) -> int:
        """LUTs of two inputs or more."""
        return sum(n > 1 for n in self._inputs())

    @property
    def passes(self) -> int:
        """LUTs that only pass a wire or its inverse on to a carry chain; yosys counts none."""
        return sum(n == 1 for n in self._inputs())

    def _inputs(self) -> list[int]:
        low, high = sum(map(support, self.low)), sum(map(support, self.high))
        return [low + (high if i else 0) + (k == DIRECT) for i, k in enumerate(self.direct)]


class Chain(NamedTuple):
    """Blocks side by side from column ``start``; ``carry`` is the kind at the carry input or -1.

    Without a carry and without bits on the carry pins a chain is only LUTs.
    """

    start: int
    carry: int
    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Columns, the carry out not counted."""
        return sum(block.width for block in self.blocks)

    @property
    def luts(self) -> int:
        """LUTs of two inputs or more."""
        return sum(block.luts for block in self.blocks)

    @property
    def passes(self) -> int:
        """LUTs that only pass a wire or its inverse on."""
        return sum(block.passes for block in self.blocks)

    @property
    def carries(self) -> bool:
        """Whether it needs a carry chain at all."""
        return self.carry >= 0 or any(k >= 0 for b in self.blocks for k in b.direct)

    @property
    def eighths(self) -> int:
        """Delay in eighths of a level: LUT, step into the chain, and one per further CARRY4."""
        # The carry input takes the lowest position, the carry out is read at the highest.
        return 16 + (self.width + 2 + 3) // 4 - 1 if self.carries else 8

    @property
    def most(self) -> int:
        """Largest sum, in units of the first column."""
        total, at = int(self.carry >= 0), 0
        for block in self.blocks:
            total += (len(block.low) + 2 * len(block.high)) << at
            total += sum(1 << (at + i) for i, kind in enumerate(block.direct) if kind >= 0)
            at += block.width
        return total

    def needs(self) -> Iterator[tuple[int, int]]:
        """(column, kind) of every bit it takes, carry first, then per block low, high, direct."""
        if self.carry >= 0:
            yield self.start, self.carry
        column = self.start
        for block in self.blocks:
            yield from ((column, kind) for kind in block.low)
            yield from ((column + 1, kind) for kind in block.high)
            yield from ((column + i, k) for i, k in enumerate(block.direct) if k >= 0)
            column += block.width

    def gives(self, width: int) -> range:
        """Columns of the bits of its sum, in a heap of ``width`` columns."""
        carry_out = self.most >= 1 << self.width
        return range(self.start, min(width, self.start + self.width + carry_out))


@dataclass(frozen=True)
class Stage:
    """Chains that work side by side, each built so many times; ``cut``: registers before it."""

    cut: bool
    chains: tuple[tuple[Chain, int], ...]


@dataclass(frozen=True)
class Plan:
    """How a heap becomes at most one bit a column, and what that takes.

    ``luts``: LUT2 to LUT6. ``passes``: LUTs that only pass a wire on. ``bits``: registers for wires
    of the heap, over all cuts. ``waiting``: per cut, the largest part of a column's products that
    is still to be computed, so that their operands need registers. ``eighths``: worst path between
    registers; ``last``: path after the last cut (0: the sum is plain wires).
    """

    stages: tuple[Stage, ...]
    luts: int
    passes: int
    bits: int
    waiting: tuple[float, ...]
    eighths: int
    last: int

    @property
    def cuts(self) -> int:
        """Register stages inside."""
        return sum(stage.cut for stage in self.stages)
