"""Words to beats and back, against the places of an element in both."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Literal

import numpy as np
from amaranth.hdl import Cat, Const, Fragment, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwc.hw.layout import Layout
from hwc.hw.shell import gearbox
from hwc.hw.shell.record import StreamRecord

from .look import registers, say, suppose, table, witness


class _Place:
    """Which item of which frame (modulo 8) moves next."""

    def __init__(self, m: Module, moves: Value, items: int, name: str) -> None:
        self.item = Signal(range(max(2, items)), name=f"{name}_item")
        self.frame = Signal(3, name=f"{name}_frame")
        self.last = self.item == items - 1
        with m.If(moves):
            m.d.sync += [
                self.item.eq(Mux(self.last, 0, self.item + 1)),
                self.frame.eq(self.frame + self.last),
            ]


class GearProof(wiring.Component):
    """Both streams stall at will. ``which`` is any element of a frame, the same for ever; ``watch``
    picks the frame as the element goes in. It has to come out at its place, and nothing before it
    has gone in.
    """

    which: Signal
    watch: Signal
    offered: Signal
    ready: Signal
    payload: Signal

    def __init__(
        self,
        way: Literal["pack", "unpack"],
        layout: Layout,
        word: int,
        *,
        module: ModuleType = gearbox,
        inside: bool = True,
    ) -> None:
        self.way = way
        self.layout = layout
        self.word = word
        self.module = module
        self.inside = inside
        self.record = StreamRecord(layout, 0)
        self.bytes = self.record.beat * layout.beats
        self.words = -(-self.bytes // word)
        self.count = layout.beats * layout.elements
        bit = In(1)
        super().__init__(
            {
                "which": In(range(max(2, self.count))),
                "watch": bit,
                "offered": bit,
                "ready": bit,
                "payload": In(layout.width if way == "pack" else 8 * word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, pack = Module(), self.way == "pack"
        kind = self.module.Packer if pack else self.module.Unpacker
        dut = kind(self.record, self.word)
        m.submodules.dut = fragment = Fragment.get(dut, None)
        into, out = (dut.beats, dut.words) if pack else (dut.words, dut.beats)
        m.d.comb += [
            into.valid.eq(self.offered),
            into.payload.eq(self.payload),
            out.ready.eq(self.ready),
        ]
        self._hold_still(m)
        goes, comes = into.valid & into.ready, out.valid & out.ready
        self.counts = counts = (
            (self.layout.beats, self.words) if pack else (self.words, self.layout.beats)
        )
        entry = _Place(m, goes, counts[0], "in")
        leave = _Place(m, comes, counts[1], "out")
        sizes = (self.record.beat, self.word) if pack else (self.word, self.record.beat)
        whole = Mux(leave.last, self.bytes, (leave.item + 1) * sizes[1])
        say(
            m,
            nothing_early=~out.valid
            | (entry.frame != leave.frame)
            | (entry.item * sizes[0] >= whole),
            never_stuck=out.valid | into.ready,
        )
        inner = registers(fragment)
        if self.inside:
            self._state(m, inner, entry, leave)
        self._watch(m, (entry, into.payload, goes), (leave, out, comes), inner["held"])
        if pack:
            rest = 8 * (self.bytes - (self.words - 1) * self.word)
            say(
                m,
                padding=~out.valid | ~leave.last | (out.payload >> rest == 0),
                ended=dut.ended == (goes & entry.last),
            )
        witness(m, third=(leave.frame == 2) & comes, both=goes & comes)
        return m

    def _hold_still(self, m: Module) -> None:
        before, began = Signal.like(self.which), Signal()
        m.d.sync += [before.eq(self.which), began.eq(1)]
        suppose(m, self.which < self.count, ~began | (before == self.which))

    def _watch(self, m: Module, entry: tuple, leave: tuple, held: Signal) -> None:
        """The element that goes in with this or that item has its value when it comes out."""
        (source, payload, goes), (sink, out, comes) = entry, leave
        pack, kind, size = self.way == "pack", self.layout.type, 8 * self.record.element
        number = np.arange(self.count)
        item, bit = self._places(number)
        wide = self._find(m, item, bit, "word")
        narrow = self._find(
            m, number // self.layout.elements, number % self.layout.elements * kind.width, "beat"
        )
        first, second = (narrow, wide) if pack else (wide, narrow)
        watching, frame, value = Signal(), Signal(3), Signal(kind.width)
        begin = self.watch & goes & ~watching & (source.item == first[0])
        here = watching & (sink.frame == frame) & (sink.item == second[0])
        with m.If(begin):
            taken = payload.bit_select(first[1], kind.width)
            m.d.sync += [watching.eq(1), frame.eq(source.frame), value.eq(taken)]
        with m.Elif(here & comes):
            m.d.sync += watching.eq(0)
        sign = value[-1] if kind.signed and not kind.bipolar else Const(0, 1)
        full = Cat(value, sign.replicate(size - kind.width)) if pack else value
        got = out.payload.bit_select(second[1], len(full))
        say(m, element=~here | ~out.valid | (got == full))
        if self.inside:
            frames = Signal(3)
            m.d.comb += frames.eq(frame - sink.frame)
            at = self._frames(frames) + self.which * self.record.element - self._left(sink)
            in_held = held.bit_select(8 * at.as_unsigned()[: len(held).bit_length()], len(full))
            passed = self._frames((source.frame - sink.frame)[:3]) + self._entered(source)
            say(
                m,
                watched_in_place=~watching | (in_held == full),
                watched_is_held=~watching | ((at >= 0) & (at < passed - self._left(sink))),
            )
        witness(m, seen=here & comes & value.any())

    def _frames(self, frames: Value) -> Value:
        """Bytes of so many frames in words."""
        return frames * self.words * self.word

    def _entered(self, source: _Place) -> Value:
        """Bytes of its frame that went in."""
        return source.item * (self.record.beat if self.way == "pack" else self.word)

    def _left(self, sink: _Place) -> Value:
        """Bytes of its frame that came out."""
        return sink.item * (self.word if self.way == "pack" else self.record.beat)

    def _state(self, m: Module, inner: dict[str, Signal], entry: _Place, leave: _Place) -> None:
        """What is held is what went in and did not come out, zeros behind it where words end."""
        held, count, unit = inner["held"], inner["count"], math.gcd(self.record.beat, self.word)
        frames = Signal(3, name="frames_held")
        m.d.comb += frames.eq(entry.frame - leave.frame)
        between = self._frames(frames) + self._entered(entry) - self._left(leave)
        mine = entry if self.way == "pack" else leave
        most = len(held) // (8 * unit)
        say(m, counted=count * unit == between, beat=inner["beat"] == mine.item, fits=count <= most)
        say(m, items=(entry.item < self.counts[0]) & (leave.item < self.counts[1]))
        if self.way == "unpack":
            say(m, one_frame=(frames == 0) | ((frames == 1) & (entry.item == 0)))
            return
        say(m, few_frames=frames < 5, zeros_behind=held >> (8 * unit * count) == 0)
        pad = 8 * (self.words * self.word - self.bytes)
        for k in range(4 if pad else 0):
            at = Signal(range(len(held)), name=f"pad_{k}")
            m.d.comb += at.eq(8 * (self._frames(Const(k, 3)) + self.bytes - self._left(leave)))
            say(m, zeros_at_end=(frames <= k) | (held.bit_select(at, pad) == 0))

    def _places(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Word and bit of each element."""
        at = number * self.record.element
        return at // self.word, 8 * (at % self.word)

    def _find(self, m: Module, item: np.ndarray, bit: np.ndarray, name: str) -> tuple:
        places = [int(v) for v in item], [int(v) for v in bit]
        return (
            table(m, self.which, places[0], f"{name}_of_which"),
            table(m, self.which, places[1], f"{name}_bit_of_which"),
        )
