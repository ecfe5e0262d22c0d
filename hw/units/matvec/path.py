"""The datapath of a folded product: fetch, multiply, accumulate, activate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwc.hw.sequencer import Control
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.accumulate import Waiting, accumulate
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.parts import lookup, pipe, shape_of

__all__ = ["MatVecPath"]


class MatVecPath(Datapath):
    """Cycle 0 is the firing. Operands are in registers at cycle ``fetch``, the sums of the firing
    ``dot_latency`` later, the accumulators one later if there are any, then the codes.
    """

    def __init__(self, unit: Unit, plan: MatVecPlan) -> None:
        self.plan = plan
        super().__init__(unit)

    @property
    def main(self) -> Control:
        """Of the process that multiplies."""
        return self.ctl["main"]

    @property
    def begins(self) -> Value:
        """Whether the sums of its outputs begin with the firing."""
        return self.main.first["tap"] & self.main.first["lane"]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self.plan
        sums = self._sums(m, self._inputs(m))
        if plan.registered:
            sums = self._accumulate(m, sums)
        codes = [self._value(m, s, f"sum_{i}") for i, s in enumerate(sums)]
        if plan.spec is not None:
            late = plan.accumulated - plan.spec.lead
            step = pipe(m, self.main.address["channel"], late, "channel")
            codes = plan.spec.build(m, codes, step)
        m.d.comb += self.y["y"].eq(Cat(*codes))
        return m

    def _inputs(self, m: Module) -> Signal:
        """The beat that the firing works on, at cycle ``fetch``: taken, or kept from before."""
        plan, ctl = self.plan, self.main
        take = Signal(name="take")
        m.d.comb += take.eq(ctl.fire & ctl.first["out"])
        first, at = ctl.first["out"], ctl.address.get("replay")
        return plan.operands.build(
            m, self.x["x"], take, first, at, lambda beat: self._cleared(m, beat)
        )

    def _cleared(self, m: Module, beat: Value) -> Value:
        """The beat with 0 at positions past the end, in the cycle before ``fetch``."""
        plan, f = self.plan, self.plan.fold
        if not plan.cleared:
            return beat
        inside = self._inside(m, plan.cleared)
        keep = dict(zip(plan.positions[-plan.cleared :], inside, strict=True))
        width = plan.x.width
        always = Const(1, 1)
        bits = [
            keep.get((p, c), always).replicate(width)
            for _ in range(f.pixels * f.groups)
            for p in range(f.taps)
            for c in range(f.lanes)
        ]
        return beat & Cat(*bits)

    def _operands(self, x: Signal, pixel: int, group: int) -> list[Value]:
        """Elements of one pixel and group in the order of ``plan.positions``."""
        plan, f = self.plan, self.plan.fold
        width = plan.x.width
        at = [((pixel * f.groups + group) * f.taps + p) * f.lanes + c for p, c in plan.positions]
        return [x[i * width : (i + 1) * width] for i in at]

    def _sums(self, m: Module, x: Signal) -> list[Value]:
        """Sums of the firing's products, pixel-major, at cycle ``fetch + dot_latency``."""
        plan, f = self.plan, self.plan.fold
        pixels = [[self._operands(x, i, g) for g in range(f.groups)] for i in range(f.pixels)]
        out: list[Value] = []
        if f.memory == "wired":
            for i, groups in enumerate(pixels):
                for n, dot in enumerate(plan.wired):
                    value = dot.build(m, groups[n // f.outs], name=f"dot_{i}_{n}")
                    late = plan.dot_latency - dot.latency
                    out.append(pipe(m, value, late, f"dot_{i}_{n}_late"))
            return out
        weights, mask = self._weights(m), self._mask(m)
        for i, groups in enumerate(pixels):
            for g, x_g in enumerate(groups):
                mine = weights[g * f.outs : (g + 1) * f.outs]
                out += self._group(m, x_g, mine, mask, f"dot_{i}_{g}")
        return out

    def _group(
        self, m: Module, x: list[Value], w: list[list[Value]], mask: Value | None, name: str
    ) -> list[Value]:
        """Sums of one pixel and group, all at the same time."""
        plan, out = self.plan, list[tuple[Value, int]]()
        pairs = 0 if plan.pair is None else len(w) // 2
        if plan.pair is not None:
            for n in range(pairs):
                both = plan.pair.build(m, x, w[2 * n], w[2 * n + 1], f"{name}_{2 * n}")
                out += [(value, plan.pair.latency) for value in both]
        for n in range(2 * pairs, len(w)):
            out.append((plan.dot.build(m, x, w[n], mask, f"{name}_{n}"), plan.dot.latency))
        return [
            pipe(m, value, plan.dot_latency - latency, f"{name}_{n}_late")
            for n, (value, latency) in enumerate(out)
        ]

    def _weights(self, m: Module) -> list[list[Value]]:
        """Per output, weights in the order of ``plan.positions``, at cycle ``fetch``."""
        plan, f = self.plan, self.plan.fold
        word = plan.rom.build(m, plan.weight_words(), self._address(m), "weights")
        width = plan.stored.width
        at = [
            [(n * f.taps + p) * f.lanes + c for p, c in plan.positions] for n in range(plan.outputs)
        ]
        stored = [[word[i * width : (i + 1) * width] for i in row] for row in at]
        if not f.coded:
            return stored
        return [[lookup(code, plan.values, plan.w.width) for code in row] for row in stored]

    def _address(self, m: Module) -> Value:
        """Where the weights are, in the cycle before ``fetch``."""
        return pipe(m, self.main.address["weight"], self.plan.fetch - 1, "weight")

    def _mask(self, m: Module) -> Value | None:
        """One bit per masked position, at cycle ``fetch``."""
        if not self.plan.masked:
            return None
        return pipe(m, Cat(*self._inside(m, self.plan.masked)), 1, "mask")

    def _inside(self, m: Module, count: int) -> list[Value]:
        """For each of the last positions 0 if it is past the end, in the cycle before ``fetch``."""
        names, late = ("tap", "lane"), self.plan.fetch - 1
        return self._within(
            {k: pipe(m, self.main.last[k], late, f"{k}_last") for k in names}, count
        )

    def _within(self, last: Mapping[str, Value], count: int) -> list[Value]:
        """As :meth:`_inside`, of a beat that is the ``last`` along tap or lane."""
        plan, f = self.plan, self.plan.fold
        _, _, taps, channels = plan.shape
        bits = []
        for p, c in plan.positions[-count:]:
            past: Value = Const(0, 1)
            if taps % f.taps and p >= taps % f.taps:
                past = past | last["tap"]
            if channels % f.lanes and c >= channels % f.lanes:
                past = past | last["lane"]
            bits.append(~past)
        return bits

    def _accumulate(self, m: Module, sums: Sequence[Value]) -> list[Value]:
        """Sums over the firings of an output, one cycle after each; pixel-major."""
        plan, ctl = self.plan, self.main
        late = plan.fetch + plan.dot_latency
        first = pipe(m, self.begins, late, "start")
        valid = pipe(m, ctl.fire, late, "valid")
        waiting = None
        if plan.partial:
            waiting = Waiting(plan.partial, plan.steps["out"], ctl.index["out"], late)
        return accumulate(
            m,
            sums,
            plan.acc,
            valid=valid,
            first=None if plan.sums == 1 else first,
            start=plan.start,
            waiting=waiting,
        )

    def _value(self, m: Module, total: Value, name: str) -> Value:
        """A finished sum as bits of the type that the activation, or the output, expects."""
        plan = self.plan
        if plan.low_bit is not None:
            return Cat(Const(plan.low_bit, 1), total)
        value = Signal(shape_of(plan.acc), name=name)
        m.d.comb += value.eq(total)
        return value
