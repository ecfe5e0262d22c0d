"""The datapath of a sparse product: elements with memories of entries, inputs and sums."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.hw.core import delay
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.mux import pick
from hwc.hw.units.parts import pipe, step_bits
from hwc.hw.units.sparse.plan import SparsePlan

__all__ = ["SparsePath"]


class _Step(NamedTuple):
    """What a cycle of the walk is: an entry is there, and it is the last of its pixel."""

    valid: Value
    last: Value

    def late(self, m: Module, cycles: int, name: str) -> _Step:
        """The same so many cycles later; these bits have a reset."""
        valid = delay(m, self.valid, cycles, name)
        return _Step(valid, delay(m, self.last, cycles, f"{name}_last"))


class SparsePath(Datapath):
    """See :class:`SparsePlan` for what happens when.

    What decides later cycles (which of two vectors, where a row begins, where its sum goes) is
    stepped on by bits with a reset; the data themselves have none.
    """

    def __init__(self, unit: Unit, plan: SparsePlan) -> None:
        self.plan = plan
        super().__init__(unit)

    def elaborate(self, platform: object) -> Module:
        m, plan = Module(), self.plan
        walk = self.ctl["walk"]
        word = plan.rom.build(m, plan.entry_words(), walk.index["entry"], "entries")
        fired = _Step(walk.fire, walk.fire & walk.last["entry"])
        entry = fired.late(m, 1, "entry")
        product = entry.late(m, plan.multiplied - 1, "product")
        total = product.late(m, plan.acc.latency, "sum")
        write = self._inputs(m)
        page = self._toggle(m, entry.last, "walk_page")
        sums_page = self._toggle(m, total.last, "sums_page")
        sums: list[memory.ReadPort] = []
        for pe in range(plan.fold.pes):
            code = word[pe * plan.entry : (pe + 1) * plan.entry]
            value, index, end = code[: plan.w.width], code[plan.w.width : -1], code[-1]
            x = self._fetch(m, write, self._place(m, index, end, entry, page, pe), pe)
            value = pipe(m, value, plan.fetched - 1, f"value_{pe}")
            end = pipe(m, end, plan.multiplied - 1, f"end_{pe}")
            totals = self._accumulate(m, x, value, end, product, pe)
            put = pipe(m, end, plan.acc.latency, f"row_{pe}") & total.valid
            sums.append(self._keep(m, totals, put, total.last, sums_page, pe))
        self._emit(m, sums)
        return m

    def _toggle(self, m: Module, step: Value, name: str) -> Signal:
        """Which of the two vectors: changes after each ``step``."""
        page = Signal(name=name)
        with m.If(step):
            m.d.sync += page.eq(~page)
        return page

    def _inputs(self, m: Module) -> tuple[Value, Value, Value]:
        """Enable, address and data of the inputs' memories, as late as places are known."""
        plan, ctl = self.plan, self.ctl["load"]
        page = self._toggle(m, ctl.fire & ctl.last["beat"], "load_page")
        at = ctl.index["beat"][: step_bits(plan.beats)]
        if plan.rows.relative:
            address = Signal(step_bits(2 * plan.stride), name="load_at")
            m.d.comb += address.eq(at + Mux(page, plan.stride, 0))
        else:
            address = Cat(at, page)
        return (
            delay(m, ctl.fire, plan.lag, "load_fire"),
            pipe(m, address, plan.lag, "load_at"),
            pipe(m, self.x["x"], plan.lag, "load_beat"),
        )

    def _place(
        self, m: Module, index: Value, end: Value, entry: _Step, page: Value, pe: int
    ) -> Value:
        """Where the input of an entry is, at cycle ``lag``; all operands are of cycle 1."""
        plan = self.plan
        bits = plan.place_bits
        if not plan.rows.relative:
            return Cat(index[: bits - 1], Const(0, max(0, bits - 1 - len(index))), page)
        fresh = Signal(init=1, name=f"fresh_{pe}")
        place = Signal(bits, name=f"place_{pe}", reset_less=True)
        before = Signal(bits, name=f"before_{pe}")
        step = Signal(bits, name=f"step_{pe}")
        begin = Mux(page, plan.stride * plan.beat - 1, (1 << bits) - 1)
        m.d.comb += [before.eq(Mux(fresh, begin, place)), step.eq(index)]
        with m.If(entry.valid):
            # before - ~step is before + step + 1.
            m.d.sync += [place.eq(before - ~step), fresh.eq(end | entry.last)]
        return place

    def _fetch(
        self, m: Module, write: tuple[Value, Value, Value], place: Value, pe: int
    ) -> list[Value]:
        """The input of each pixel at that place, at cycle ``fetched``."""
        plan, f = self.plan, self.plan.fold
        enable, at, beat = write
        depth = plan.stride + plan.beats
        ram = memory.Memory(shape=len(beat), depth=depth, init=[])
        m.submodules[f"inputs_{pe}"] = ram
        ram.attrs["ram_style"] = "block" if f.buffer == "bram" else "distributed"
        port = ram.write_port()
        m.d.comb += [port.en.eq(enable), port.addr.eq(at), port.data.eq(beat)]
        low = step_bits(plan.beat)
        if f.buffer == "bram":
            read = ram.read_port()
            word: Value = read.data
        else:
            read = ram.read_port(domain="comb")
            word = pipe(m, read.data, 1, f"word_{pe}")
        m.d.comb += read.addr.eq(place[low:])
        if plan.beat == 1:
            return self._pixels(word)
        select = pipe(m, place[:low], 1, f"select_{pe}")
        out = []
        for k in range(f.pixels):
            first = k * plan.beat * plan.x.width
            ways = {
                i: word[first + i * plan.x.width : first + (i + 1) * plan.x.width]
                for i in range(plan.beat)
            }
            x = pick(m, select, ways, f"x_{pe}_{k}")
            out.append(pipe(m, x, plan.selected, f"x_{pe}_{k}_late"))
        return out

    def _pixels(self, word: Value) -> list[Value]:
        return [word.word_select(k, self.plan.x.width) for k in range(self.plan.fold.pixels)]

    def _accumulate(
        self,
        m: Module,
        x: list[Value],
        value: Value,
        end: Value,
        product: _Step,
        pe: int,
    ) -> Value:
        """The sums of the row so far, all pixels, at cycle ``written``."""
        plan = self.plan
        fresh = Signal(init=1, name=f"row_begins_{pe}")
        with m.If(product.valid):
            m.d.sync += fresh.eq(end | product.last)
        totals = []
        for k, operand in enumerate(x):
            dot = plan.dot.build(m, [operand], [value], None, f"dot_{pe}_{k}")
            totals.append(plan.acc.build(m, dot, fresh, product.valid, f"total_{pe}_{k}"))
        return Cat(*totals)

    def _keep(
        self, m: Module, totals: Value, put: Value, last: Value, page: Value, pe: int
    ) -> memory.ReadPort:
        """The memory of the element's sums, which takes one where a row ends."""
        plan = self.plan
        ram = memory.Memory(shape=len(totals), depth=plan.sums_depth, init=[])
        m.submodules[f"sums_{pe}"] = ram
        block = plan.sums_form == "bram"
        ram.attrs["ram_style"] = "block" if block else "distributed"
        slot = Signal(plan.slot_bits, name=f"slot_{pe}")
        if plan.slot_bits:
            with m.If(put):
                m.d.sync += slot.eq(slot + 1)
            with m.If(last):
                m.d.sync += slot.eq(0)
        port = ram.write_port()
        m.d.comb += [port.en.eq(put), port.addr.eq(Cat(slot, page)), port.data.eq(totals)]
        return ram.read_port() if block else ram.read_port(domain="comb")

    def _emit(self, m: Module, sums: list[memory.ReadPort]) -> None:
        """Read finished sums in the order of outputs, and activate."""
        plan, ctl = self.plan, self.ctl["emit"]
        page = self._toggle(m, ctl.fire & ctl.last["out"], "emit_page")
        step = ctl.index["out"][: step_bits(plan.given)]
        late = plan.written
        at = pipe(m, step, late - 1, "emit_at")
        page = pipe(m, page, late, "emit_page_late")
        if plan.each == 1:
            word = pipe(m, at, 1, "emit_slot")
        else:
            word = plan.order_rom.build(m, plan.order_words(), at, "order")
        lanes: list[list[Value]] = []
        bits = plan.slot_bits + step_bits(plan.each)
        for lane in range(plan.fold.outs):
            slot = word if plan.each == 1 else word[lane * bits : lane * bits + plan.slot_bits]
            mine = sums[lane * plan.each : (lane + 1) * plan.each]
            for port in mine:
                m.d.comb += port.addr.eq(Cat(slot[: plan.slot_bits], page))
            chosen = word[lane * bits + plan.slot_bits : (lane + 1) * bits]
            block = plan.sums_form == "bram"
            if plan.each == 1:
                found: Value = mine[0].data
            else:
                chosen = pipe(m, chosen, block, f"chosen_{lane}")
                found = pick(m, chosen, {k: p.data for k, p in enumerate(mine)}, f"sum_{lane}")
            lanes.append(self._totals(pipe(m, found, 1, f"sum_{lane}_late")))
        values = [lane[k] for k in range(plan.fold.pixels) for lane in lanes]
        if plan.spec is not None:
            channel = pipe(m, step, plan.read - plan.spec.lead, "channel")
            values = plan.spec.build(m, values, channel)
        else:
            values = [v[: plan.sum.width] for v in values]
        m.d.comb += self.y["y"].eq(Cat(*values))

    def _totals(self, word: Value) -> list[Value]:
        """A word of the memory of sums as one value per pixel."""
        width = self.plan.acc.total.width
        return [word[k * width : (k + 1) * width] for k in range(self.plan.fold.pixels)]
