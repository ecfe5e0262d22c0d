"""The datapath of a product that skips zero activations."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.hw.sequencer import Control
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.path import MatVecPath
from hwc.hw.units.parts import pipe, step_bits
from hwc.hw.units.skip.plan import Buffer, SkipPlan

__all__ = ["SkipPath"]


class SkipPath(MatVecPath):
    """As :class:`MatVecPath` of the process ``walk``, with operands from the memory of kept beats
    and the weights that their numbers ask for.

    A vector of zeros keeps its last beat, so that each has one to walk.
    """

    def __init__(self, unit: Unit, plan: SkipPlan) -> None:
        super().__init__(unit, plan)
        self.skip = plan
        bits = plan.number_bits
        self.page = Signal(name="walk_page")
        self.place = Signal(bits + 1, name="walk_place")
        """Where in both vectors the firing is."""
        self.number = Signal(bits, name="walk_number")
        """The number of the beat, a cycle after the firing."""

    @property
    def main(self) -> Control:
        return self.ctl["walk"]

    @property
    def begins(self) -> Value:
        return self.main.first["beat"]

    def _inputs(self, m: Module) -> Signal:
        """The beat that the firing works on, at cycle ``fetch``."""
        plan, load, walk = self.skip, self.ctl["load"], self.main
        vector_ends = load.last["tap"] & load.last["lane"]
        beat = Signal(plan.layout.width, name="beat")
        put, page, place = self._kept(m, beat, vector_ends)
        with m.If(walk.fire & walk.last["out"] & walk.last["beat"]):
            m.d.sync += self.page.eq(~self.page)
        m.d.comb += [
            beat.eq(self._cleared(m, self.x["x"])),
            self.place.eq(Cat(walk.index["beat"][: plan.number_bits], self.page)),
        ]
        lasts = [Signal(plan.number_bits, name=f"last_{p}") for p in range(2)]
        for p, last in enumerate(lasts):
            with m.If(put & (page == p)):
                m.d.sync += last.eq(place)
        ends = self.place[:-1] == Mux(self.page, lasts[1], lasts[0])
        m.d.comb += self.cond["ends"].eq(ends)
        write = put, Cat(place, page)
        number = load.address["number"][: plan.number_bits]
        found = self._memory(m, plan.numbers_form, *write, number, self.place, "numbers")
        m.d.comb += self.number.eq(found)
        x = Signal(plan.layout.width, name="operands")
        at = pipe(m, self.place, 1, "walk_place")
        m.d.comb += x.eq(self._memory(m, plan.buffer, *write, beat, at, "beats"))
        return x

    def _kept(self, m: Module, beat: Value, ends: Value) -> tuple[Value, Value, Value]:
        """Whether the beat that is taken is kept, in which of the two vectors, and at what place.

        All in the cycle of the firing: the walk of the vector may begin in the next one.
        """
        load, page = self.ctl["load"], Signal(name="load_page")
        place = Signal(self.skip.number_bits, name="load_place")
        keep = Signal(name="keep")
        m.d.comb += keep.eq(load.fire & (beat.any() | (ends & (place == 0))))
        with m.If(load.fire & ends):
            m.d.sync += [page.eq(~page), place.eq(0)]
        with m.Elif(keep):
            m.d.sync += place.eq(place + 1)
        return keep, page, place

    def _memory(
        self, m: Module, form: Buffer, put: Value, to: Value, data: Value, at: Value, name: str
    ) -> Value:
        """What is at ``at``, a cycle later, in a memory of two vectors."""
        ram = memory.Memory(shape=len(data), depth=self.skip.depth, init=[])
        m.submodules[name] = ram
        ram.attrs["ram_style"] = "block" if form == "bram" else "distributed"
        write = ram.write_port()
        m.d.comb += [write.en.eq(put), write.addr.eq(to), write.data.eq(data)]
        read = ram.read_port() if form == "bram" else ram.read_port(domain="comb")
        m.d.comb += read.addr.eq(at)
        return read.data if form == "bram" else pipe(m, read.data, 1, f"{name}_word")

    def _address(self, m: Module) -> Value:
        base = pipe(m, self.main.address["weight"], 1, "block")
        return (base + self.number)[: step_bits(self.skip.words)]

    def _inside(self, m: Module, count: int) -> list[Value]:
        """For each of the last positions 0 if it is past the end, in the cycle of ``load``."""
        return self._within(self.ctl["load"].last, count)
