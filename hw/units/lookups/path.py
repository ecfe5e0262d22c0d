"""The datapath of a product by tables: products with pieces, copies of them, gathered sums."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import memory

from hwc.hw.core import delay
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.accumulate import Waiting, accumulate
from hwc.hw.units.lookups.plan import LookupPlan
from hwc.hw.units.mux import pick
from hwc.hw.units.parts import pipe, shape_of, step_bits

__all__ = ["LookupPath"]


class LookupPath(Datapath):
    """See :class:`LookupPlan` for what happens when."""

    def __init__(self, unit: Unit, plan: LookupPlan) -> None:
        self.plan = plan
        super().__init__(unit)

    def elaborate(self, platform: object) -> Module:
        m, plan = Module(), self.plan
        tables = self._tables(m, self._products(m))
        sums = self._sums(m, tables)
        if plan.registered:
            sums = self._accumulate(m, sums)
        if plan.spec is not None:
            out = self.ctl["gather"].index["out"]
            late = plan.summed + plan.registered - plan.spec.lead
            values = plan.spec.build(m, sums, pipe(m, out, late, "channel"))
        else:
            values = [self._resized(m, v, f"sum_{k}") for k, v in enumerate(sums)]
        m.d.comb += self.y["y"].eq(Cat(*values))
        return m

    def _resized(self, m: Module, value: Value, name: str) -> Value:
        out = Signal(shape_of(self.plan.acc), name=name)
        m.d.comb += out.eq(value)
        return out

    def _toggle(self, m: Module, step: Value, name: str) -> Signal:
        """Which of the two pages: changes after each ``step``."""
        page = Signal(name=name)
        with m.If(step):
            m.d.sync += page.eq(~page)
        return page

    def _products(self, m: Module) -> list[list[Value]]:
        """Per lane, products of its block with the pieces of a firing, at cycle ``filled``."""
        plan, ctl, f = self.plan, self.ctl["fill"], self.plan.fold
        width = plan.x.width
        beat = self.x["x"]
        if plan.cleared:
            keep = (~ctl.last["across"]).replicate(width * len(plan.cleared))
            beat = Cat(beat[: plan.cleared[0] * width], beat[plan.cleared[0] * width :] & keep)
        x = Signal(len(beat), name="operands", reset_less=True)
        with m.If(ctl.fire & ctl.first["entry"]):
            m.d.sync += x.eq(beat)
        word = plan.book.build(m, plan.piece_words(), ctl.address["piece"], "pieces")
        found = list[list[Value]]()
        for lane in range(f.lanes):
            places = range(lane * f.size, (lane + 1) * f.size)
            mine = [
                self._operand(x, place) if place < plan.lanes else Const(0, plan.dot.x.width)
                for place in places
            ]
            row = list[Value]()
            for k in range(f.fills):
                first = (lane * f.fills + k) * f.size
                bits = plan.w.width
                w = [word[i * bits : (i + 1) * bits] for i in range(first, first + f.size)]
                total = plan.dot.build(m, mine, w, None, f"product_{lane}_{k}")
                row.append(total[: plan.entry.width])
            found.append(row)
        return found

    def _operand(self, x: Signal, place: int) -> Value:
        """An element as a number of the products, which may be a bit wider than the input's."""
        plan = self.plan
        bits = x[place * plan.x.width : (place + 1) * plan.x.width]
        wide = plan.dot.x.width - plan.x.width
        sign = bits[-1] if plan.x.signed else Const(0, 1)
        return Cat(bits, sign.replicate(wide)) if wide > 0 else bits

    def _tables(self, m: Module, products: list[list[Value]]) -> list[list[list[memory.ReadPort]]]:
        """Per output, lane and fill a table of its own, written all alike."""
        plan, ctl, f = self.plan, self.ctl["fill"], self.plan.fold
        page = self._toggle(m, ctl.fire & ctl.last["entry"], "fill_page")
        entry = ctl.index["entry"][: step_bits(plan.entries)]
        at = pipe(m, Cat(entry, page), plan.filled, "entry")
        put = delay(m, ctl.fire, plan.filled, "put")
        tables = list[list[list[memory.ReadPort]]]()
        for n in range(f.outs):
            rows = list[list[memory.ReadPort]]()
            for lane in range(f.lanes):
                ports = list[memory.ReadPort]()
                for k, product in enumerate(products[lane]):
                    ram = memory.Memory(shape=len(product), depth=plan.depth, init=[])
                    m.submodules[f"table_{n}_{lane}_{k}"] = ram
                    ram.attrs["ram_style"] = "distributed"
                    port = ram.write_port()
                    m.d.comb += [port.addr.eq(at), port.data.eq(product), port.en.eq(put)]
                    ports.append(ram.read_port(domain="comb"))
                rows.append(ports)
            tables.append(rows)
        return tables

    def _sums(self, m: Module, tables: list[list[list[memory.ReadPort]]]) -> list[Value]:
        """Per output, the sum of what its codes find, at cycle ``summed``."""
        plan, ctl, f = self.plan, self.ctl["gather"], self.plan.fold
        page = self._toggle(m, ctl.fire & ctl.last["out"], "gather_page")
        page = pipe(m, page, plan.filled, "gather_page_late")
        address = pipe(m, ctl.address["code"], plan.filled - 1, "code")
        word = plan.rom.build(m, plan.code_words(), address, "codes")
        bits, low = plan.code.width, step_bits(f.fills)
        sums = list[Value]()
        for n in range(f.outs):
            found = list[Value]()
            for lane in range(f.lanes):
                i = n * f.lanes + lane
                code = word[i * bits : (i + 1) * bits]
                ports = tables[n][lane]
                for port in ports:
                    entry = code[low:][: step_bits(plan.entries)]
                    short = step_bits(plan.entries) - len(entry)
                    m.d.comb += port.addr.eq(Cat(entry, Const(0, short), page))
                ways: dict[int, Value] = {k: port.data for k, port in enumerate(ports)}
                read = pick(m, code[:low], ways, f"read_{n}_{lane}")
                found.append(pipe(m, read, 1, f"read_{n}_{lane}_late"))
            sums.append(plan.lanes_sum.build(m, found, f"lanes_{n}"))
        if f.lanes == 1 and plan.entry.signed:
            return [s.as_signed() for s in sums]
        return sums

    def _accumulate(self, m: Module, sums: Sequence[Value]) -> list[Value]:
        """Sums over the beats of a vector, one cycle after each."""
        plan, ctl = self.plan, self.ctl["gather"]
        first = pipe(m, ctl.first["beat"], plan.summed, "start")
        valid = pipe(m, ctl.fire, plan.summed, "valid")
        waiting = None
        if plan.partial:
            waiting = Waiting(plan.partial, plan.steps, ctl.index["out"], plan.summed)
        return accumulate(m, sums, plan.acc, valid=valid, first=first, waiting=waiting)
