"""Generated control against counters of its own and the tables of the schedule."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import ModuleType

import numpy as np
from amaranth.hdl import Cat, Fragment, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwc.hw import sequencer
from hwc.hw.schedule import Mask, Process, Schedule, Sum

from .look import registers, say, table, witness

FRAMES = 8
"""Bits of the difference of two processes' frames."""


class SequencerProof(wiring.Component):
    """All processes of a schedule, wired to each other as in a core; the rest is free.

    ``<port>_ready`` says that an input has a beat or an output room. Per process the reference is
    the number of the firing in its frame and the frames it is ahead of the first process. What
    only helps the induction is left out unless ``inside``. ``within``: with all ports ready, each
    process has to fire again after fewer cycles than that.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        module: ModuleType = sequencer,
        inside: bool = True,
        within: int | None = None,
    ) -> None:
        self.schedule = schedule
        self.module = module
        self.inside = inside
        self.within = within
        processes = schedule.processes
        ports = [f"{k}_ready" for p in processes for k in (*p.takes, *p.gives)]
        super().__init__(
            {
                name: In(1)
                for name in [*ports, *dict.fromkeys(c for p in processes for c in p.conditions)]
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, dut = Module(), Module()
        processes = self.schedule.processes
        self.control = {p.name: self.module.Control.of(p) for p in processes}
        self.moves = {p.name: self._sequence(dut, p) for p in processes}
        m.submodules.dut = fragment = Fragment.get(dut, None)
        self.inner = registers(fragment)
        self.number = {
            p.name: Signal(range(max(2, p.firings)), name=f"{p.name}_number") for p in processes
        }
        self.ahead = {p.name: Signal(signed(FRAMES), name=f"{p.name}_ahead") for p in processes}
        self._count(m)
        for p in processes:
            self._firing(m, p)
            self._place(m, p)
            for source in p.needs:
                self._need(m, p, source)
        self._live(m)
        return m

    def _ready(self, port: str) -> Signal:
        return getattr(self, f"{port}_ready")

    def _fire(self, p: Process) -> Signal:
        return self.control[p.name].fire

    def _sequence(self, dut: Module, p: Process) -> Mapping[str, Signal]:
        schedule = self.schedule
        pops, gives = self.module.sequence(
            dut,
            p,
            self.control[p.name],
            valid={k: self._ready(k) for k in p.takes},
            credit={k: self._ready(k) for k in p.gives},
            fired={
                k: (self.control[k].done, schedule.process(k).firings, schedule.lead(k, p.name))
                for k in p.needs
            },
            conditions={c: getattr(self, c) for c in p.conditions},
        )
        return pops | gives

    def _count(self, m: Module) -> None:
        base = self.schedule.processes[0]
        ends = {}
        for p in self.schedule.processes:
            number = self.number[p.name]
            after = Signal(range(p.firings + 1), name=f"{p.name}_after")
            m.d.comb += after.eq(number + 1)
            at = 0
            for nest in p.nests:
                if nest.stop:
                    last = [n // nest.inner * nest.inner + nest.inner for n in range(nest.firings)]
                    rounds = [*[0] * at, *(at + n for n in last)]
                    over = self._table(m, p, rounds, f"{nest.stop}_{at}_over")
                    here = (number >= at) & (number < at + nest.firings)
                    with m.If(here & getattr(self, nest.stop)):
                        m.d.comb += after.eq(over)
                at += nest.firings
            ends[p.name] = self._fire(p) & (after == p.firings)
            with m.If(self._fire(p)):
                m.d.sync += number.eq(Mux(after == p.firings, 0, after))
        for p in self.schedule.processes[1:]:
            ahead = self.ahead[p.name]
            m.d.sync += ahead.eq(ahead + ends[p.name] - ends[base.name])

    def _done(self, p: Process, source: str) -> Value:
        """Firings of ``source`` since the frame began that ``p`` is in."""
        frames = self.ahead[source] - self.ahead[p.name]
        return frames * self.schedule.process(source).firings + self.number[source]

    def _table(self, m: Module, p: Process, values: object, name: str) -> Signal:
        listed = [int(v) for v in np.asarray(values)]
        return table(m, self.number[p.name], listed, f"{p.name}_{name}_table")

    def _firing(self, m: Module, p: Process) -> None:
        """It fires if and only if the schedule allows, and moves exactly the wanted beats."""
        ok: list[Value] = []
        for port, move in self.moves[p.name].items():
            want = self._wanted(m, p, port)
            ok.append(~want | self._ready(port))
            say(m, **{f"{port}_moves": move == (self._fire(p) & want)})
        for source in p.needs:
            need = p.need(source)
            asks = self._table(m, p, need > -(10**9), f"{source}_asks")
            least = self._table(m, p, np.where(need > -(10**9), need, 0), f"{source}_need")
            ok.append(~asks | (self._done(p, source) >= least))
        say(m, **{f"{p.name}_fires": self._fire(p) == Cat(*ok).all()})

    def _wanted(self, m: Module, p: Process, port: str) -> Signal:
        """The schedule's mask of this firing: a table for each value of the conditions."""
        names = p.conditions_of(port)
        want = Signal(name=f"{port}_wanted")
        for values in itertools.product((False, True), repeat=len(names)):
            given = dict(zip(names, values, strict=True))
            tag = f"{port}_{''.join(str(int(v)) for v in values)}"
            mask = self._table(m, p, _mask(p, port, given), tag)
            case = [getattr(self, c) == int(v) for c, v in zip(names, values, strict=True)]
            with m.If(Cat(*case).all() if case else 1):
                m.d.comb += want.eq(mask)
        return want

    def _place(self, m: Module, p: Process) -> None:
        """Nest, indices, first, last and addresses are those of the firing's number."""
        control, at = self.control[p.name], 0
        nests = [k for k, nest in enumerate(p.nests) for _ in range(nest.firings)]
        say(m, **{f"{p.name}_nest": control.nest == self._table(m, p, nests, "nest")})
        for k, nest in enumerate(p.nests):
            counts = [count for _, count in nest.loops]
            index = np.unravel_index(np.arange(nest.firings), counts) if counts else ()
            here, number = control.nest == k, self.number[p.name] - at
            for (loop, count), values in zip(nest.loops, index, strict=True):
                want = Signal(range(max(2, count)), name=f"{p.name}_{k}_{loop}_expected")
                with m.Switch(number):
                    for i, value in enumerate(values):
                        with m.Case(i):
                            m.d.comb += want.eq(int(value))
                got = control.index[loop], control.first[loop], control.last[loop]
                over = getattr(self, nest.stop) if nest.stop and loop == nest.loops[-1][0] else 0
                expected = want, want == 0, (want == count - 1) | over
                name = f"{p.name}_{loop}"
                for what, a, b in zip(("index", "first", "last"), got, expected, strict=True):
                    say(m, **{f"{name}_{what}": ~here | (a == b)})
            if self.inside:
                for loop in set(control.index) - {name for name, _ in nest.loops}:
                    say(m, idle_loop=~here | (control.index[loop] == 0))
            at += nest.firings
        say(m, **{f"{p.name}_number": self.number[p.name] < p.firings})
        for name, signal in control.address.items():
            values = [n.addresses.get(name, Sum()).over(n.loops) for n in p.nests]
            say(
                m, **{f"{p.name}_{name}": signal == self._table(m, p, np.concatenate(values), name)}
            )
        last = self.number[p.name] == p.firings - 1
        witness(m, **{f"{p.name}_ends": self._fire(p) & last})

    def _need(self, m: Module, p: Process, source: str) -> None:
        """The source is never further than its lead; and the register that says so."""
        need, per = p.need(source), self.schedule.process(source).firings
        done = Signal(signed(FRAMES + per.bit_length() + 1), name=f"{p.name}_{source}_done")
        m.d.comb += done.eq(self._done(p, source))
        lead = self.schedule.lead(source, p.name)
        say(m, **{f"{source}_leads_{p.name}": done <= (lead + 1) * per})
        if not self.inside:
            return
        met = np.maximum.accumulate(np.concatenate([[need.max() - per], need[:-1]]))
        sums = np.concatenate([n.needs.get(source, Sum()).over(n.loops) for n in p.nests])
        slack = self.inner[f"{p.name}_{source}_slack"]
        begun = _begun(self.schedule.process(source))
        counted = done - self._table(m, self.schedule.process(source), begun, f"{p.name}_begun")
        say(
            m,
            needs_so_far=done >= self._table(m, p, met, f"{source}_met"),
            slack=slack == counted - self._table(m, p, sums, f"{source}_sum"),
            frames=(self.ahead[p.name] > -(1 << FRAMES - 2))
            & (self.ahead[p.name] < 1 << FRAMES - 2),
        )

    def _live(self, m: Module) -> None:
        """With every port ready some process fires, and each before long."""
        fires = Cat(self._fire(p) for p in self.schedule.processes)
        ports = [self._ready(k) for moves in self.moves.values() for k in moves]
        ready = Cat(*ports).all() if ports else Value.cast(1)
        say(m, never_stuck=~ready | fires.any())
        if self.within is None:
            return
        for p in self.schedule.processes:
            waited = Signal(range(self.within + 1), name=f"{p.name}_waited")
            m.d.sync += waited.eq(Mux(ready & ~self._fire(p), waited + 1, 0))
            say(m, **{f"{p.name}_fires_soon": waited < self.within})


def _mask(p: Process, port: str, given: Mapping[str, bool]) -> np.ndarray:
    """The mask of each firing, were it not skipped and had conditions these values."""
    parts = []
    for nest in p.nests:
        values = {c: np.full(nest.firings, v) for c, v in given.items()}
        if nest.stop in values:
            values[nest.stop] = nest.ends(values[nest.stop])
        mask = nest.takes.get(port) or nest.gives.get(port) or Mask.never()
        parts.append(mask.over(nest.loops, values))
    return np.concatenate(parts)


def _begun(p: Process) -> np.ndarray:
    """Firings of a round of a loop that may stop before each firing."""
    return np.concatenate([np.arange(n.firings) % (n.inner if n.stop else 1) for n in p.nests])
