"""Thresholds per channel: a comparator for each, or a search that halves them every cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.hw.resources import Resources
from hwc.hw.units.parts import (
    compare_levels,
    compare_luts,
    lookup,
    lookup_levels,
    lookup_luts,
    pipe,
    step_bits,
)
from hwc.hw.units.rom import Rom, rom_form
from hwc.hw.units.threshold_table import ThresholdTable

__all__ = ["ParallelThresholds", "SearchThresholds"]


TABLE_BITS = 12
"""Bits of x from which on no truth table is tried."""


@dataclass(frozen=True)
class ParallelThresholds:
    """A comparator for each threshold of each of ``copies * lanes`` values.

    The thresholds are sorted, so bit b of the code is its value before the first one, inverted by
    each reached threshold at which it changes: a parity. Where a lane's thresholds never change and
    few bits of x count, the codes are a truth table of them instead.
    """

    table: ThresholdTable
    copies: int = 1
    max_levels: int = 6

    lead = 1
    """Cycles by which the channel step comes before its x."""

    @property
    def _rom(self) -> Rom:
        width = self.table.t.width * self.table.levels + self.table.mixed
        return Rom(width, self.table.steps, rom_form(width, self.table.steps))

    @property
    def _fold_levels(self) -> float:
        bits = self.table.levels + self.table.mixed
        return 0 if bits <= 1 else 1 if bits <= 6 else 2 if bits <= 36 else 3

    @cached_property
    def _compare_luts(self) -> int:
        """LUTs of a value's comparisons and of the codes of their results."""
        t = self.table
        luts = t.levels * compare_luts(min(t.width, t.read), t.steps, t.t.width)
        return luts + sum(-(-(len(flips) + t.mixed - 1) // 5) for flips in self._flips(0))

    @cached_property
    def _table_luts(self) -> int:
        """LUTs of a value's truth table, as yosys maps it: a bit that changes at few thresholds is
        cheaper than any function of so many inputs. An upper bound, by which tables are chosen."""
        n, chain = self.table.read, max(1, -(-(self.table.read - 1) // 5))
        most = 1 if n <= 6 else 2.25 if n == 7 else 1 << n - 6
        whole = sum(min(most, max(1, len(f)) * chain) for f in self._flips(0))
        return math.ceil(min(whole, self.table.levels * chain) if n > 6 else whole)

    @cached_property
    def _table_share(self) -> float:
        """What of :attr:`_table_luts` is left: measured from 0.58 for thresholds in a fourth of
        the range to 0.93 all over it, by the blocks of 64 values in which there are any."""
        n, t = self.table.read, self.table
        if n < 8:
            return 1.0
        blocks = t.values[: t.lanes] >> t.x.width - n + 6
        touched = 1 + (np.diff(blocks, axis=1) > 0).sum(axis=1).mean()
        return 0.55 + 0.38 * min(1.0, touched / (1 << n - 6))

    @cached_property
    def _tabled(self) -> bool:
        t = self.table
        return t.steps == 1 and t.read <= TABLE_BITS and self._table_luts <= self._compare_luts

    @property
    def _fused(self) -> bool:
        """Whether the codes are formed in the cycle of the comparisons."""
        whole = compare_levels(self.table.width) + self._fold_levels
        return self._tabled or whole <= self.max_levels

    @property
    def latency(self) -> int:
        """Cycles from x to its result."""
        return 1 if self._fused else 2

    @property
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""
        if self._tabled:
            return lookup_levels(self.table.read)
        compare = compare_levels(self.table.width)
        return compare + self._fold_levels if self._fused else max(compare, self._fold_levels)

    def resources(self) -> Resources:
        """Estimated primitives, the tables included."""
        t = self.table
        luts = self._compare_luts
        if self._tabled:
            luts = math.ceil(self._table_luts * self._table_share)
        each = Resources(luts, t.y.width + (0 if self._fused else t.levels + t.mixed), 0, 0)
        return self._rom.copies(t.lanes) + each * (self.copies * t.lanes)

    def _flips(self, flip: int) -> list[list[int]]:
        """Per bit of the code, the thresholds at which it changes."""
        codes = self.table.codes(flip)
        changes = [a ^ b for a, b in pairwise(codes)]
        return [
            [k for k, change in enumerate(changes) if change >> bit & 1]
            for bit in range(self.table.y.width)
        ]

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        """Codes of x (pixel-major, ``copies * lanes`` values), ``latency`` cycles later.

        ``step`` is the channel step of the x of the *next* cycle.
        """
        t, out = self.table, []
        if self._tabled:
            truths = [t.truth(lane) for lane in range(t.lanes)]
            for i, value in enumerate(x):
                index = value[t.x.width - t.read :]
                code = lookup(index, truths[i % t.lanes], t.y.width)
                out.append(pipe(m, code, 1, f"{name}_code_{i}"))
            return out
        words = []
        for lane in range(t.lanes):
            entries = range(t.levels)
            init = [t.word(lane, s, entries, t.mixed) for s in range(t.steps)]
            words.append(self._rom.build(m, init, step, f"{name}_table_{lane}"))
        for i, value in enumerate(x):
            word = words[i % t.lanes]
            reached = Cat(*(value >= t.entry(word, k) for k in range(t.levels)))
            flip = word[-1] if t.mixed else Const(int(t.flip[0]), 1)
            bits = pipe(m, Cat(reached, flip), 0 if self._fused else 1, f"{name}_reached_{i}")
            out.append(pipe(m, self._fold(bits[:-1], bits[-1]), 1, f"{name}_code_{i}"))
        return out

    def _fold(self, reached: Value, flip: Value) -> Value:
        columns = []
        for b, (up, down) in enumerate(zip(self._flips(0), self._flips(1), strict=True)):
            at_up, at_down = (self.table.code(0, f) >> b & 1 for f in (0, 1))
            start = Mux(flip, at_down, at_up)
            parity = Cat(*(reached[k] for k in up)).xor()
            if up != down:
                parity = Mux(flip, Cat(*(reached[k] for k in down)).xor(), parity)
            columns.append((parity ^ start)[0])
        return Cat(*columns)


@dataclass(frozen=True)
class SearchThresholds:
    """One comparison a cycle, with the entry that the bits found so far select.

    ``n`` cycles for up to ``2**n - 1`` thresholds; missing ones repeat the last, and the code of
    more thresholds than there are is that of all.
    """

    table: ThresholdTable
    copies: int = 1
    max_levels: int = 6

    lead = 1
    """Cycles by which the channel step comes before its x."""

    @property
    def bits(self) -> int:
        """Bits of the number of thresholds reached."""
        return self.table.levels.bit_length()

    def _rom(self, stage: int) -> Rom:
        """The table of a stage; that of the first also says which channels descend."""
        width = self.table.t.width + (self.table.mixed if stage == 0 else 0)
        depth = self.table.steps << stage
        return Rom(width, depth, rom_form(width, depth))

    @property
    def _inputs(self) -> int:
        return self.bits + self.table.mixed

    @property
    def _plain(self) -> bool:
        """Whether the code is the count itself, or its inverse."""
        t = self.table
        counts = all(t.code(k, 0) == k for k in range(1 << self.bits))
        return counts and t.levels == (1 << self.bits) - 1

    @property
    def _code_levels(self) -> float:
        if self._plain:
            return 1 if self.table.mixed else 0
        return lookup_levels(self._inputs)

    @property
    def _fused(self) -> bool:
        """Whether the codes are formed in the cycle of the last comparison."""
        return compare_levels(self.table.width) + self._code_levels <= self.max_levels

    @property
    def latency(self) -> int:
        """Cycles from x to its result."""
        return self.bits if self._fused else self.bits + 1

    @property
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""
        compare = compare_levels(self.table.width)
        next_entry = [self._rom(j).levels for j in range(1, self.bits)]
        code = compare + self._code_levels if self._fused else self._code_levels
        return max(code, *(compare + v for v in next_entry), compare)

    def resources(self) -> Resources:
        """Estimated primitives, the tables included."""
        t, one = self.table, Resources.zero()
        for stage in range(self.bits):
            rom = self._rom(stage)
            one += Resources(compare_luts(t.width, rom.depth, t.t.width), 0, 0, 0)
            if stage:
                one += rom.resources()
                one += Resources(0, t.x.width + stage + t.mixed, 0, 0)
        if not self._fused:
            one += Resources(0, self._inputs, 0, 0)
        code = t.y.width * t.mixed if self._plain else lookup_luts(self._inputs, t.y.width)
        one += Resources(code, t.y.width, 0, 0)
        steps = Resources(0, step_bits(t.steps) * (self.bits - 1), 0, 0)
        return self._rom(0).copies(t.lanes) + one * (self.copies * t.lanes) + steps

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        """As :meth:`ParallelThresholds.build`."""
        t = self.table
        steps = [step]
        for stage in range(1, self.bits):
            steps.append(pipe(m, steps[-1], 1, f"{name}_step_{stage}"))
        firsts = [
            self._rom(0).build(m, self._words(lane, 0), step, f"{name}_table_{lane}")
            for lane in range(t.lanes)
        ]
        return [
            self._one(m, value, i % t.lanes, firsts[i % t.lanes], steps, f"{name}_{i}")
            for i, value in enumerate(x)
        ]

    def _words(self, lane: int, stage: int) -> list[int]:
        """Words of the table of a stage, by channel step and then by the bits found so far."""
        t, below = self.table, self.bits - stage
        middle = [(found << below) + (1 << below - 1) - 1 for found in range(1 << stage)]
        return [
            t.word(lane, s, [min(k, t.levels - 1)], t.mixed and stage == 0)
            for s in range(t.steps)
            for k in middle
        ]

    def _one(
        self, m: Module, x: Value, lane: int, word: Value, steps: Sequence[Value], name: str
    ) -> Value:
        t = self.table
        flip = word[-1] if t.mixed else Const(int(t.flip[0]), 1)
        found: Value = Const(0, 0)
        entry = t.entry(word)
        for stage in range(self.bits):
            found = Cat(x >= entry, found)
            if stage == self.bits - 1:
                break
            rom = self._rom(stage + 1)
            address = Cat(found, steps[stage + 1]) if t.steps > 1 else found
            words = self._words(lane, stage + 1)
            entry = t.entry(rom.build(m, words, address, f"{name}_table_{stage + 1}"))
            held = Signal(x.shape(), name=f"{name}_x_{stage}", reset_less=True)
            m.d.sync += held.eq(x)
            x = held
            state = pipe(m, Cat(found, flip), 1, f"{name}_found_{stage}")
            found, flip = state[:-1], (state[-1] if t.mixed else flip)
        if not self._fused:
            state = pipe(m, Cat(found, flip), 1, f"{name}_found")
            found, flip = state[:-1], (state[-1] if t.mixed else flip)
        return pipe(m, self._code(found, flip), 1, f"{name}_code")

    def _code(self, found: Value, flip: Value) -> Value:
        t = self.table
        up, down = ([t.code(k, f) for k in range(1 << self.bits)] for f in (0, 1))
        if t.mixed:
            return lookup(Cat(found, flip), [*up, *down], t.y.width)
        return lookup(found, down if t.flip[0] else up, t.y.width)
