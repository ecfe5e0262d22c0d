"""Datapath of a rearrangement: a memory and its addresses, or a register, or wires."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.compiler.graph import Type
from hwc.hw.queue import queue_form
from hwc.hw.sequencer import Control
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.concat import widen
from hwc.hw.units.gather.plan import GatherPlan
from hwc.hw.units.gather.walk import Walk
from hwc.hw.units.parts import lookup, pipe
from hwc.hw.units.rom import Rom, rom_form

__all__ = ["GatherPath", "place_rom", "place_words"]


def place_words(plan: GatherPlan) -> list[int]:
    """Where each output word lies, in the low bits, and above them whether it is not fill."""
    width = (plan.taken - 1).bit_length()
    return [0 if place < 0 else place | 1 << width for place in plan.words.place.tolist()]


def place_rom(plan: GatherPlan) -> Rom:
    """The table of :func:`place_words`."""
    width = (plan.taken - 1).bit_length() + bool(plan.fills.any())
    return Rom(width, plan.given, rom_form(width, plan.given))


class GatherPath(Datapath):
    """Writes are as late after their firing as reads are presented to the memory after theirs, so
    that the order of firings is the order in the memory and no place is read while written."""

    def __init__(self, unit: Unit, plan: GatherPlan, x: Type, y: Type, fill: int) -> None:
        super().__init__(unit)
        self.plan, self.x_type, self.y_type = plan, x, y
        layout = unit.outputs()["y"]
        self.fill = int(layout.encode(np.array(fill)))

    def elaborate(self, platform: object) -> Module:
        m, plan = Module(), self.plan
        beat = self._used()
        if plan.passing is not None:
            out, real = beat, Const(1)
        elif plan.holding is not None:
            out, real = self._hold(m, plan.holding, beat)
        else:
            out, real = self._store(m, beat)
        m.d.comb += self.y["y"].eq(self._arranged(m, out, real))
        return m

    def _used(self) -> Value:
        """The elements of an input beat that go anywhere."""
        width = self.x_type.width
        return Cat(*(self.x["x"].word_select(e, width) for e in self.plan.used))

    def _arranged(self, m: Module, word: Value, real: Value) -> Value:
        """The output beat: elements of the word in the output's type, or fill."""
        plan, x, y = self.plan, self.x_type, self.y_type
        at = {element: k for k, element in enumerate(plan.used)}
        fill = Const(self.fill, y.width)
        elements = [
            widen(word.word_select(at[e], x.width), x, y) if e >= 0 else fill
            for e in plan.words.pattern
        ]
        beat = Cat(*elements)
        if not plan.fills.any():
            return beat
        return Mux(real, beat, Cat(*([fill] * len(elements))))

    def _hold(self, m: Module, walk: Walk, beat: Value) -> tuple[Value, Value]:
        """The beat that is taken or was taken last, and whether it is given."""
        ctl = self.ctl["main"]
        takes, real = (_bit(ctl, walk, k) for k in range(2))
        if not self.plan.repeats:
            return beat, real
        held = Signal(len(beat), name="held", reset_less=True)
        with m.If(ctl.fire & takes):
            m.d.sync += held.eq(beat)
        return Mux(takes, beat, held), real

    def _store(self, m: Module, beat: Value) -> tuple[Value, Value]:
        """The word at the place of each firing of ``emit``, and whether it is no fill."""
        ring = self.plan.ring
        ram = memory.Memory(shape=len(beat), depth=ring.depth, init=[])
        block = queue_form(len(beat), ring.depth) == "bram"
        ram.attrs["ram_style"] = "block" if block else "distributed"
        m.submodules.ram = ram
        read, write = ram.read_port(), ram.write_port()
        place, real, late = self._place(m)
        if ring.bases:
            place, late = (
                pipe(m, (self._base(m, late) + place)[: len(read.addr)], 1, "at"),
                late + 1,
            )
            real = pipe(m, real, 1, "real_at")
        at = Signal(range(ring.depth), name="load_at")
        load = self.ctl["load"].fire
        with m.If(load):
            m.d.sync += at.eq(Mux(at == ring.depth - 1, 0, at + 1))
        m.d.comb += [
            read.addr.eq(place[: len(read.addr)]),
            write.en.eq(pipe(m, load, late, "load_en")),
            write.addr.eq(pipe(m, at, late, "load_place")),
            write.data.eq(pipe(m, beat, late, "load_x")),
        ]
        return read.data, pipe(m, real, 1, "real_read")

    def _place(self, m: Module) -> tuple[Value, Value, int]:
        """Place in the frame, whether it is no fill, and how long after the firing."""
        plan, ctl = self.plan, self.ctl["emit"]
        if plan.nest is not None:
            return ctl.address["place"], _bit(ctl, plan.nest, 0), 0
        rom = place_rom(plan)
        word = rom.build(m, place_words(plan), ctl.address["place"], "place")
        width = (plan.taken - 1).bit_length()
        return word[:width], word[width] if plan.fills.any() else Const(1), 1

    def _base(self, m: Module, late: int) -> Value:
        """Where the frame that is read begins in the ring."""
        ring, ctl = self.plan.ring, self.ctl["emit"]
        base = Signal(ring.bases, name="base")
        ends = Cat(*(ctl.last[loop] for loop in ctl.last)).all()
        with m.If(ctl.fire & ends):
            m.d.sync += base.eq(base + (ring.taken if ring.depth != 2 * ring.taken else 1))
        base = pipe(m, base, late, "base_late")
        return Mux(base, ring.taken, 0) if ring.depth == 2 * ring.taken else base


def _bit(ctl: Control, walk: Walk, k: int) -> Value:
    """Mask ``k`` at the current indices."""
    bits: Sequence[Value] = [
        lookup(ctl.index[loop], [int(b) for b in table], 1)
        for loop, table in walk.masks[k].items()
        if not all(table)
    ]
    return Cat(*bits).all() if bits else Const(1)
