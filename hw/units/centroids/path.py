"""The datapath of a product by centroids: memories of sums, then one product for each weight."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.centroids.plan import CentroidPlan
from hwc.hw.units.mux import pick
from hwc.hw.units.parts import pipe, shape_of, step_bits

__all__ = ["CentroidPath"]


class CentroidPath(Datapath):
    """See :class:`CentroidPlan` for what happens when."""

    def __init__(self, unit: Unit, plan: CentroidPlan) -> None:
        self.plan = plan
        super().__init__(unit)

    def elaborate(self, platform: object) -> Module:
        m, plan, ctl = Module(), self.plan, self.ctl["main"]
        late = plan.fetch
        x = self._inputs(m)
        clearing = ctl.nest == 0
        walking = ~clearing & (ctl.index["block"] < plan.walked)
        sweep = Mux(clearing, ctl.index["clear"], ctl.index["minor"])
        walk = pipe(m, walking, late, "walk")
        at = pipe(m, sweep, late, "sweep")[: len(ctl.index["minor"])]
        # What is swept is cleared when a frame begins and in the last round.
        write = pipe(m, ctl.fire & (walking | clearing | ctl.last["block"]), late, "write")
        address = pipe(m, ctl.address["weight"], late - 1, "weight")
        word = plan.rom.build(m, plan.weight_words(), address, "codes")
        bits, bins = plan.code.width, list[list[Value]]()
        for n in range(plan.fold.outs):
            row = list[Value]()
            for k, value in enumerate(x):
                i = n * plan.fold.lanes + k
                where = Mux(walk, word[i * bits : (i + 1) * bits], at)
                row.append(self._bin(m, value, where, walk, write, f"bin_{n}_{k}"))
            bins.append(row)
        self._multiply(m, bins)
        return m

    def _inputs(self, m: Module) -> list[Value]:
        """The inputs that the firing adds, at cycle ``fetch``; 0 where it has none."""
        plan, ctl = self.plan, self.ctl["main"]
        left = plan.beats - (plan.walked - 1) * plan.minor
        block, minor = ctl.index["block"], ctl.index["minor"]
        has = Signal(name="has")
        inside = (block < plan.walked - 1) | ((block == plan.walked - 1) & (minor < left))
        m.d.comb += has.eq((ctl.nest != 0) & inside)
        take = Signal(name="take")
        m.d.comb += take.eq(ctl.fire & has & ctl.first["out"])
        # A register that keeps the one beat of several rounds is gated behind, others in front.
        kept = plan.operands.form == "ff"
        late = plan.fetch - 1 + kept
        has_late = pipe(m, has, late, "has")
        keep = [has_late] * plan.fold.lanes
        tail = plan.shape[2] % plan.fold.lanes
        if tail:
            past = pipe(m, self._ends(m, has), late, "ends")
            keep[tail:] = [has_late & ~past] * (plan.fold.lanes - tail)
        mask = Cat(*(bit.replicate(plan.x.width) for bit in keep))
        first, at = ctl.first["out"], ctl.address.get("replay")
        x: Value = plan.operands.build(
            m, self.x["x"], take, first, at, lambda beat: beat if kept else beat & mask
        )
        x = x & mask if kept else x
        width = plan.x.width
        parts = [x[i * width : (i + 1) * width] for i in range(plan.fold.lanes)]
        return [p.as_signed() if plan.x.signed else p for p in parts]

    def _ends(self, m: Module, has: Value) -> Value:
        """Whether the beat of this firing is the last of its tap."""
        plan, ctl = self.plan, self.ctl["main"]
        if plan.across == 1:
            return Const(1, 1)
        place = Signal(range(plan.across), name="across")
        end = place == plan.across - 1
        with m.If(ctl.fire):
            m.d.sync += place.eq(Mux(has & ~end, place + 1, 0))
        return end

    def _bin(self, m: Module, x: Value, at: Value, walk: Value, write: Value, name: str) -> Value:
        """The memory of the sums of one output and lane: the sum at ``at``, which grows by x, or
        becomes 0 where it is no walk."""
        plan = self.plan
        shape = shape_of(plan.bin)
        ram = memory.Memory(shape=shape.width, depth=len(plan.values), init=[])
        m.submodules[name] = ram
        ram.attrs["ram_style"] = "distributed"
        read, port = ram.read_port(domain="comb"), ram.write_port()
        total = Signal(shape.width + 1, name=f"{name}_total")
        kept = read.data & walk.replicate(shape.width)
        wide = Signal(shape, name=f"{name}_x")
        m.d.comb += [
            wide.eq(x),
            # x is a plain wire, for the carry pins; see hwc.hw.dot.emit.
            total.eq(Cat(Const(0, 1), wide) - ~Cat(Const(0, 1), kept)),
            read.addr.eq(at),
            port.addr.eq(at),
            port.data.eq(total[1:]),
            port.en.eq(write),
        ]
        return read.data

    def _multiply(self, m: Module, bins: list[list[Value]]) -> None:
        """Sums of the outputs of a round, times the weights, added up, activated."""
        plan, ctl, f = self.plan, self.ctl["main"], self.plan.fold
        summed = plan.fetch + 1 + plan.lanes_sum.latency
        centroid = ctl.index["minor"][: step_bits(plan.minor)]
        weight = plan.table.build(
            m,
            [v & (1 << plan.dot.w.width) - 1 for v in plan.centroids],
            pipe(m, centroid, summed - 1, "centroid"),
            "centroids",
        )
        place = Signal(len(ctl.index["block"]), name="round_now")
        m.d.comb += place.eq(ctl.index["block"] - plan.walked)
        turn = pipe(m, place[: step_bits(plan.rounds)], plan.fetch, "round")
        first = pipe(m, ctl.first["minor"], plan.multiplied, "start")
        some = ctl.fire & (ctl.nest != 0) & (ctl.index["minor"] < len(plan.centroids))
        valid = pipe(m, some, plan.multiplied, "valid")
        totals = list[Value]()
        for n in range(f.macs):
            lanes = list[Value]()
            for k in range(f.lanes):
                ways = {r: bins[r * f.macs + n][k] for r in range(plan.rounds)}
                chosen = pick(m, turn, ways, f"read_{n}_{k}")
                lanes.append(pipe(m, chosen, 1, f"read_{n}_{k}_late"))
            total = plan.lanes_sum.build(m, lanes, f"lanes_{n}")
            product = plan.dot.build(m, [total[: plan.dot.x.width]], [weight], None, f"dot_{n}")
            totals.append(plan.acc.build(m, product, first, valid, f"total_{n}"))
        if plan.spec is not None:
            step = ctl.address["channel"]
            late = plan.multiplied + plan.acc.latency - plan.spec.lead
            values = plan.spec.build(m, totals, pipe(m, step, late, "channel"))
        else:
            values = [v[: plan.sum.width] for v in totals]
        m.d.comb += self.y["y"].eq(Cat(*values))
