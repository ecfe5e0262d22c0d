"""The datapath of a folded Winograd product: transform, multiply, accumulate, transform back."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value

from hwc.hw.dot import SumSpec
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.mux import pick
from hwc.hw.units.parts import pipe, shape_of
from hwc.hw.units.winograd.plan import Sums, WinogradPlan, latest

__all__ = ["WinogradPath"]

Grid = Sequence[Sequence[Value]]


class WinogradPath(Datapath):
    """Cycle 0 is the firing; :class:`WinogradPlan` says when each part is there."""

    def __init__(self, unit: Unit, plan: WinogradPlan) -> None:
        self.plan = plan
        super().__init__(unit)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan, ctl = self.plan, self.ctl["main"]
        window = self._window(m)
        lanes = [self._transformed(m, window, c) for c in range(plan.fold.lanes)]
        places = self._chosen(m, lanes)
        weights = self._weights(m)
        sums = [
            self._total(m, self._dots(m, places, w, f"dot_{k}"), f"{k}")
            for k, w in enumerate(weights)
        ]
        done = pipe(m, ctl.fire & ctl.last["lane"], plan.summed, "done")
        finished = [self._finished(m, self._all(m, s, done, f"{k}")) for k, s in enumerate(sums)]
        tile = [out[i] for i in range(plan.op.m**2) for out in finished]
        codes = Cat(*self._codes(m, tile))
        if plan.order is not None:
            last = ctl.last["point"] & ctl.last["lane"]
            codes = plan.order.build(m, codes, ctl, last, self.ctl["emit"], plan.coded)
        m.d.comb += self.y["y"].eq(codes)
        return m

    def _window(self, m: Module) -> Signal:
        """The windows that the firing works on, taken or kept from before."""
        plan, ctl = self.plan, self.ctl["main"]
        take, first = Signal(name="take"), Signal(name="fresh_round")
        m.d.comb += first.eq(ctl.first["out"] & ctl.first["point"])
        m.d.comb += take.eq(ctl.fire & first)

        def cleared(beat: Value) -> Value:
            if not plan.cleared:
                return beat
            keep = ~pipe(m, ctl.last["lane"], plan.operands.latency - 1, "last_lane")
            inside = plan.fold.lanes - plan.cleared
            whole = [1] * inside + [keep] * plan.cleared
            bits = [Cat(bit).replicate(plan.x.width) for bit in whole]
            return beat & Cat(*bits).replicate(plan.places)

        at = ctl.address.get("replay")
        return plan.operands.build(m, self.x["x"], take, first, at, cleared)

    def _transformed(self, m: Module, window: Signal, lane: int) -> list[Value]:
        """All places of one lane's transformed window, at the same time."""
        plan, n = self.plan, self.plan.op.n
        width, lanes = plan.x.width, plan.fold.lanes
        at = [(t * lanes + lane) * width for t in range(plan.places)]
        grid = [[window[at[i * n + k] :][:width] for k in range(n)] for i in range(n)]
        rows = _twice(m, plan.toom.b, plan.columns, plan.rows, grid, f"in_{lane}")
        return [v for row in rows for v in row]

    def _chosen(self, m: Module, lanes: Grid) -> list[list[Value]]:
        """Of each place of the firing the lanes, as bits of what its multipliers see."""
        plan, points = self.plan, self.plan.fold.points
        step = pipe(m, self.ctl["main"].index["point"], plan.ready - 1, "point")
        out: list[list[Value]] = []
        for q, (number, _) in enumerate(plan.slots):
            line: list[Value] = []
            for c, values in enumerate(lanes):
                ways = {}
                for k, value in enumerate(values[q::points]):
                    ways[k] = Signal(shape_of(number), name=f"place_{q}_{c}_{k}")
                    m.d.comb += ways[k].eq(value)
                operand: Value = ways[0]
                if len(ways) > 1:
                    chosen = pick(m, step, ways, f"chosen_{q}_{c}")
                    operand = pipe(m, chosen, 1, f"operand_{q}_{c}")
                line.append(operand)
            out.append(line)
        return out

    def _weights(self, m: Module) -> list[list[list[Value]]]:
        """Per output and place its lanes' weights, when the transformed windows are there."""
        plan, f = self.plan, self.plan.fold
        address = pipe(m, self.ctl["main"].address["weight"], plan.ready - 1, "weight")
        word = plan.rom.build(m, plan.weight_words(), address, "weights")
        at, out = 0, []
        for _ in range(f.outs):
            places = []
            for _, number in plan.slots:
                width = number.width
                places.append([word[at + c * width :][:width] for c in range(f.lanes)])
                at += f.lanes * width
            out.append(places)
        return out

    def _dots(self, m: Module, x: Grid, w: Grid, name: str) -> list[Value]:
        """Sums of products over the lanes, per place of the firing."""
        plan = self.plan
        out = []
        for q, dot in enumerate(plan.dots):
            value = dot.build(m, x[q], w[q], name=f"{name}_{q}")
            out.append(pipe(m, value, plan.dot_latency - dot.latency, f"{name}_{q}_late"))
        return out

    def _total(self, m: Module, values: list[Value], name: str) -> list[Value]:
        """Sums over all channels, as bits of ``plan.total``, per place of the firing."""
        plan, ctl = self.plan, self.ctl["main"]
        totals: list[Value] = []
        late = plan.ready + plan.dot_latency
        first = pipe(m, ctl.first["lane"], late, f"start_{name}")
        valid = pipe(m, ctl.fire, late, f"valid_{name}")
        for q, (value, accumulator) in enumerate(zip(values, plan.accumulators, strict=True)):
            if plan.registered:
                totals.append(accumulator.build(m, value, first, valid, f"total_{name}_{q}"))
                continue
            total = Signal(shape_of(plan.total), name=f"total_{name}_{q}")
            m.d.comb += total.eq(value)
            totals.append(total)
        return totals

    def _all(self, m: Module, totals: list[Value], done: Value, name: str) -> list[Value]:
        """The totals of all places, when those of the last ones are there."""
        kept: list[Value] = []
        for step in range(self.plan.steps["point"] - 1):
            words = Cat(*(totals if step == 0 else kept[: len(totals)]))
            word = Signal(len(words), name=f"kept_{name}_{step}", reset_less=True)
            with m.If(done):
                m.d.sync += word.eq(words)
            width = self.plan.total.width
            kept = [word[q * width :][:width] for q in range(len(totals))] + kept
        return kept + totals

    def _finished(self, m: Module, totals: list[Value]) -> list[Value]:
        """The m * m sums of one output."""
        plan, n, bits = self.plan, self.plan.op.n, self.plan.sum.width
        grid = [totals[i * n : (i + 1) * n] for i in range(n)]
        back = _twice(m, plan.toom.a, plan.back_columns, plan.back_rows, grid, "out")
        return [
            plan.division.build(m, [v[plan.shift :][:bits]], name="sum")
            for row in back
            for v in row
        ]

    def _codes(self, m: Module, tile: list[Value]) -> list[Value]:
        """The beat: the sums, or what the activation makes of them, in parts."""
        plan, ctl = self.plan, self.ctl["main"]
        if plan.spec is None:
            return tile
        channel, lead = ctl.address["channel"], plan.spec.lead
        parts = plan.fold.parts
        step = pipe(m, channel, plan.finished - lead, "channel")
        if parts == 1:
            return plan.spec.build(m, tile, step)
        go = pipe(m, ctl.fire & ctl.last["point"] & ctl.last["lane"], plan.finished - lead, "go")
        kept = Signal(len(step), name="part_channel", reset_less=True)
        with m.If(go):
            m.d.sync += kept.eq(step)
        part = self._parts(m, Cat(*tile), pipe(m, go, lead, "go_late"), parts)
        width, count = plan.sum.width, len(tile) // parts
        values = [part[i * width :][:width] for i in range(count)]
        # Part by part the codes arrive; the earlier ones wait for the last.
        words: list[Value] = [Cat(*plan.spec.build(m, values, kept))]
        for k in range(1, parts):
            words.append(pipe(m, words[-1], 1, f"codes_{k}"))
        return list(reversed(words))

    def _parts(self, m: Module, tile: Value, go: Value, parts: int) -> Value:
        """The parts of ``tile``, one a cycle from the cycle after ``go`` on."""
        size = len(tile) // parts
        held = [Signal(size, name=f"part_{k}", reset_less=True) for k in range(parts)]
        for k, part in enumerate(held):
            if k < parts - 1:
                m.d.sync += part.eq(held[k + 1])
            with m.If(go):
                m.d.sync += part.eq(tile[k * size : (k + 1) * size])
        return held[0]


def _twice(
    m: Module,
    matrix: Sequence[Sequence[int]],
    columns: Sums,
    rows: Sums,
    grid: Grid,
    name: str,
) -> list[list[Value]]:
    """matrix times grid times matrix', each stage's sums all at the same time."""

    def late(spec: SumSpec, sums: Sums, values: list[Value], what: str) -> Value:
        value = spec.build(m, values, what)
        return pipe(m, value, latest(sums) - spec.latency, f"{what}_late")

    used = [[k for k, v in enumerate(row) if v] for row in matrix]
    half = [
        [
            late(spec, columns, [grid[a][k] for a in used[i]], f"{name}_column_{i}_{k}")
            for k, spec in enumerate(line)
        ]
        for i, line in enumerate(columns)
    ]
    return [
        [
            late(spec, rows, [half[i][k] for k in used[j]], f"{name}_row_{i}_{j}")
            for j, spec in enumerate(line)
        ]
        for i, line in enumerate(rows)
    ]
