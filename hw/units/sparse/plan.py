"""What each element of a sparse product does in each cycle, and when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type
from hwc.hw.dot import Accumulator, DotSpec, Number
from hwc.hw.layout import Layout
from hwc.hw.queue import Form, queue_form
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.units.act import ActSpec
from hwc.hw.units.parts import step_bits
from hwc.hw.units.rom import Rom, rom_form
from hwc.hw.units.sparse.fold import SparseGeometry
from hwc.hw.units.sparse.rows import Rows, rows_of

__all__ = ["SparsePlan"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SparsePlan(SparseGeometry):
    """Everything that follows from op, input type, activation and fold without building anything.

    Cycles count from a firing. ``walk``: the entry is there at 1, its place at ``lag``, the input
    at ``lag + 1``, the product at ``multiplied``, the sum at ``written``, when it goes to the
    element's memory. ``emit``: that memory is read at ``written``, the sum is there at ``read``.
    """

    # Rows and elements.

    @cached_property
    def w(self) -> Number:
        """The weights of entries: 0 is one of them."""
        return Number(min(self.op.weight.lo, 0), max(self.op.weight.hi, 0))

    @property
    def places(self) -> int:
        """Places of a vector, those past the end of taps and channels included."""
        return self.beats * self.beat

    @property
    def grid(self) -> tuple[int, int]:
        """Taps and channels with those past the end."""
        (_, t, c), f = self.shape, self.fold
        return -(-t // f.taps) * f.taps, -(-c // f.lanes) * f.lanes

    @cached_property
    def rows(self) -> Rows:
        """The entries, in the order of beats."""
        return rows_of(self.op.weight, self.grid, self.tile, self.fold.gap)

    @property
    def tile(self) -> tuple[int, int]:
        """Taps and channels of a beat."""
        return self.fold.taps, self.fold.lanes

    @cached_property
    def assigned(self) -> tuple[tuple[int, ...], ...]:
        """Rows of each element."""
        return self.rows.assign(self.fold.pes, self.fold.outs)

    @cached_property
    def loads(self) -> tuple[int, ...]:
        """Entries of each element."""
        lengths = self.rows.lengths
        return tuple(int(lengths[list(rows)].sum()) for rows in self.assigned)

    @property
    def firings(self) -> int:
        """Cycles of a pixel: entries of the busiest element."""
        return max(self.loads)

    @property
    def slots(self) -> int:
        """Most rows of an element."""
        return max(len(rows) for rows in self.assigned)

    @property
    def each(self) -> int:
        """Elements that an output lane chooses from."""
        return self.fold.pes // self.fold.outs

    @property
    def entry(self) -> int:
        """Bits of an entry: weight, index, end of row."""
        return self.w.width + self.rows.index_bits + 1

    @property
    def rom(self) -> Rom:
        """The memory of the entries, all elements side by side."""
        return Rom(self.fold.pes * self.entry, self.firings, self.fold.memory)

    # Arithmetic.

    @cached_property
    def sum(self) -> Type:
        """Type of the finished sums."""
        return self.op.infer(self.x)

    @cached_property
    def y(self) -> Type:
        """Type of the output."""
        return self.sum if self.act is None else self.act.infer(self.sum)

    @cached_property
    def dot(self) -> DotSpec:
        """One product. A filler may meet bits past the end, which are any code of the width."""
        x = Number.of(self.x)
        if self.grid != self.shape[1:] and not x.bipolar:
            x = (Number.two_complement if x.signed else Number.unsigned)(x.width)
        return DotSpec(x, self.w, 1, self.fold.style, self.fold.levels)

    @cached_property
    def acc(self) -> Accumulator:
        """The sum of a row; on the way it may wrap."""
        lo = min(self.sum.lo, -1) if self.dot.result.signed else self.sum.lo
        return Accumulator(self.dot.result, Number(lo, self.sum.hi))

    @cached_property
    def spec(self) -> ActSpec | None:
        """The activation of the outputs of a beat."""
        if self.act is None:
            return None
        f = self.fold
        return ActSpec(self.act, self.sum, f.outs, f.pixels, f.act_style, levels=f.levels)

    # Memories. Two vectors each, so that all three processes work at the same time.

    @property
    def stride(self) -> int:
        """Words from a vector to the next: relative places start anywhere, absolute ones at 0."""
        return self.beats if self.rows.relative else 1 << step_bits(self.beats)

    @property
    def place_bits(self) -> int:
        """Bits of a place in either vector."""
        return step_bits(2 * self.stride) + step_bits(self.beat)

    @property
    def slot_bits(self) -> int:
        """Bits of a row of an element."""
        return step_bits(self.slots)

    @property
    def sums_depth(self) -> int:
        """Words of an element's memory of sums."""
        return (1 << self.slot_bits) + self.slots

    @property
    def sums_width(self) -> int:
        """Bits of a word of it."""
        return self.acc.total.width * self.fold.pixels

    @property
    def sums_form(self) -> Form:
        """Where finished sums wait."""
        form = queue_form(self.sums_width, self.sums_depth)
        return "bram" if form == "bram" else "lutram"

    @property
    def order_rom(self) -> Rom:
        """Per output lane, slot and element of the sums that leave."""
        width = self.fold.outs * (self.slot_bits + step_bits(self.each))
        return Rom(width, self.given, rom_form(width, self.given))

    # Time.

    @property
    def lag(self) -> int:
        """Cycles from a ``walk`` firing to the place of its entry."""
        return 2 if self.rows.relative else 1

    @property
    def selected(self) -> int:
        """Cycles to select of a beat. A DSP block has registers there."""
        return 0 if self.beat == 1 or self.dot.uses_dsp else 1

    @property
    def fetched(self) -> int:
        """Cycles from a ``walk`` firing to the operands of its product."""
        return self.lag + 1 + self.selected

    @property
    def multiplied(self) -> int:
        """Cycles from a ``walk`` firing to its product."""
        return self.fetched + self.dot.latency

    @property
    def written(self) -> int:
        """Cycles from a ``walk`` firing until its sum goes to memory."""
        return self.multiplied + self.acc.latency

    @property
    def read(self) -> int:
        """Cycles from an ``emit`` firing to its sums."""
        return self.written + (2 if self.sums_form == "bram" else 1)

    @property
    def latency(self) -> int:
        """Cycles from an ``emit`` firing to its beat."""
        return self.read + (self.spec.latency if self.spec else 0)

    @cached_property
    def out_layout(self) -> Layout:
        """Layout of the output."""
        return Layout(self.y, (*self.pixel_tile, self.fold.outs))

    def schedule(self) -> Schedule:
        """Three processes: a vector is loaded, walked, and its sums emitted; each may be one vector
        ahead of the next."""
        n, taken, walked, given = self.steps, self.beats, self.firings, self.given
        load = Nest(
            (("pixel", n), ("beat", taken)),
            takes={"x": Mask.always()},
            needs={"walk": Sum.affine(-walked, pixel=walked)},
        )
        walk = Nest(
            (("pixel", n), ("entry", walked)),
            needs={
                "load": Sum.affine(taken, pixel=taken),
                "emit": Sum.affine(-given, pixel=given),
            },
        )
        emit = Nest(
            (("pixel", n), ("out", given)),
            gives={"y": Mask.always()},
            needs={"walk": Sum.affine(walked, pixel=walked)},
        )
        processes = Process("load", (load,)), Process("walk", (walk,)), Process("emit", (emit,))
        return Schedule(processes, {"y": self.latency})

    # Contents.

    def entry_words(self) -> list[int]:
        """Words of the memory of entries: per element weight, index and end of row, from the low
        bits. Elements that are done early have entries of weight 0 that end no row.
        """
        rows, end = self.rows, np.append(np.diff(self.rows.row), 1) > 0
        mask = (1 << self.w.width) - 1
        code = (rows.value & mask) | rows.index << self.w.width
        code |= end.astype(np.int64) << self.entry - 1
        first = np.concatenate([[0], np.cumsum(rows.lengths)])
        words = [0] * self.firings
        for pe, mine in enumerate(self.assigned):
            at = 0
            for r in mine:
                for v in code[first[r] : first[r + 1]].tolist():
                    words[at] |= v << pe * self.entry
                    at += 1
        return words

    def order_words(self) -> list[int]:
        """Words of :attr:`order_rom`."""
        place = {r: (k, pe) for pe, rows in enumerate(self.assigned) for k, r in enumerate(rows)}
        bits, words = self.slot_bits + step_bits(self.each), [0] * self.given
        for r in range(self.shape[0]):
            slot, pe = place[r]
            step, lane = divmod(r, self.fold.outs)
            words[step] |= (slot | pe % self.each << self.slot_bits) << lane * bits
        return words
