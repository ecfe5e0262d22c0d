"""Random units whose inner loops end early, by dice instead of data."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, Module, Signal
from numpy.typing import NDArray

from hwc.hw.core import delay
from hwc.hw.design import Design, Edge
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath

from .scripted import Scripted

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

PERIOD = 3
"""Frames after which the dice of a unit repeat."""


@dataclass(frozen=True)
class Stopping(Scripted):
    """Any schedule of which some processes stop; ``seed`` and ``odds`` say in which firings."""

    seed: int
    odds: float

    def dice(self) -> dict[str, Bools]:
        """Per condition its value in each firing of PERIOD frames."""
        rng = np.random.default_rng(self.seed)
        return {
            c: rng.random(PERIOD * p.firings) < self.odds
            for p in self.script.processes
            for c in p.conditions
        }

    def values(self, frames: int) -> dict[str, Bools]:
        """The same for so many frames."""
        return {c: np.tile(v, -(-frames // PERIOD)) for c, v in self.dice().items()}

    def component(self) -> Datapath:
        return _Dice(self)


class _Dice(Datapath):
    """Conditions by the number of the firing; outputs count their beats."""

    def __init__(self, unit: Stopping) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, schedule, dice = Module(), self.unit.script, self.unit.dice()
        for p in schedule.processes:
            ctl, count = self.ctl[p.name], PERIOD * p.firings
            place = Signal(range(2 * count), name=f"{p.name}_place")
            after = Signal(range(2 * count), name=f"{p.name}_after")
            m.d.comb += after.eq(place + ctl.fire)
            for k, nest in enumerate(p.nests):
                inner = nest.loops[-1][0]
                with m.If(ctl.fire & (ctl.nest == k) & ctl.last[inner] & bool(nest.stop)):
                    m.d.comb += after.eq(place + nest.inner - ctl.index[inner])
            m.d.sync += place.eq(after)
            with m.If(after == count):
                m.d.sync += place.eq(0)
            for c in p.conditions:
                bits = sum(int(b) << k for k, b in enumerate(dice[c]))
                m.d.comb += self.cond[c].eq(Const(bits, 2 * count).bit_select(place, 1))
            for port in p.gives:
                self._number(m, p, port)
        return m

    def _number(self, m: Module, p: Process, port: str) -> None:
        """Beats leave with the last firing of a loop that stops, else with all or the first."""
        ctl, given = self.ctl[p.name], Signal(name=f"{port}_given")
        for k, nest in enumerate(p.nests):
            if port in nest.gives:
                inner, always = nest.loops[-1][0], nest.gives[port] == Mask.always()
                with_it = ctl.last[inner] if nest.stop else ctl.first[inner] | always
                with m.If(ctl.fire & (ctl.nest == k) & with_it):
                    m.d.comb += given.eq(1)
        number = Signal(8, name=f"{port}_number")
        with m.If(given):
            m.d.sync += number.eq(number + 1)
        late = self.unit.script.latency[port]
        m.d.comb += self.y[port].eq(delay(m, number, late, f"{port}_late"))


def alone(r: random.Random) -> Schedule:
    """One process: nests that stop, behind one that takes; ports move with their last firings."""
    nests = [
        Nest(
            (("a", r.randint(1, 3)), ("k", r.randint(1, 5))),
            gives={"y": Mask.always().when("ends")},
            stop="ends",
        )
    ]
    if r.random() < 0.5:
        nests.append(Nest((("i", r.randint(1, 3)),), gives={"y": Mask.always()}))
    if r.random() < 0.5:
        loops = (("b", r.randint(1, 2)), ("j", r.randint(2, 4)))
        takes = {"x": Mask.at(b="first").when("over")}
        nests.append(Nest(loops, takes=takes, stop="over"))
    r.shuffle(nests)
    nests.insert(0, Nest((("t", r.randint(1, 3)),), takes={"x": Mask.always()}))
    return Schedule((Process("p", tuple(nests)),), {"y": r.randint(0, 4)})


def loaded(r: random.Random) -> Schedule:
    """A loader, and a walk that stops once a block."""
    pages, beats = r.randint(1, 3), r.randint(1, 5)
    blocks, inner = r.randint(1, 3), r.randint(1, 6)
    walked = blocks * inner
    load = Nest(
        (("page", pages), ("beat", beats)),
        takes={"x": Mask.always()},
        needs={"walk": Sum.affine(-walked, page=walked)},
    )
    walk = Nest(
        (("page", pages), ("block", blocks), ("k", inner)),
        gives={"y": Mask.always().when("ends")},
        needs={"load": Sum.affine(beats, page=beats)},
        stop="ends",
    )
    return Schedule((Process("load", (load,)), Process("walk", (walk,))), {"y": r.randint(0, 4)})


def waited_for(r: random.Random) -> Schedule:
    """Another process waits for rounds of the loop that stops."""
    rounds, inner, out = r.randint(1, 4), r.randint(2, 6), r.randint(1, 4)
    walk = Nest(
        (("a", rounds), ("k", inner)),
        takes={"x": Mask.always().when("ends")},
        needs={"emit": Sum(r.choice((0, -out)))},
        stop="ends",
    )
    steps = sorted(inner * r.randint(1, rounds) for _ in range(out))
    emit = Nest(
        (("o", out), ("i", r.randint(1, 2))),
        gives={"y": Mask.at(i=0)},
        needs={"walk": Sum.table(o=tuple(steps))},
    )
    processes = [Process("walk", (walk,)), Process("emit", (emit,))]
    r.shuffle(processes)
    return Schedule(tuple(processes), {"y": r.randint(0, 4)})


def stopping(seed: int, prefix: str) -> tuple[dict[str, Stopping], list[Edge]]:
    """A chain of units that fit."""
    r = random.Random(seed)
    units: dict[str, Stopping] = {}
    edges: list[Edge] = []
    end, beats = ("", f"{prefix}in"), 0
    for _ in range(r.randint(1, 3)):
        for _ in range(1000):
            made = r.choice((alone, loaded, waited_for))(r)
            unit = Stopping(made, r.randrange(1000), r.choice((0.1, 0.4, 0.8)))
            if not beats or unit.inputs()["x"].beats == beats:
                break
        else:
            break
        name = f"{prefix}u{len(units)}"
        units[name] = unit
        edges.append(Edge(end, (name, "x"), r.randint(1, 6)))
        end, beats = (name, "y"), unit.outputs()["y"].beats
    edges.append(Edge(end, ("", f"{prefix}out"), r.randint(1, 6)))
    return units, edges


def chains(seeds: range, name: str) -> Design:
    """Many chains side by side."""
    units: dict[str, Stopping] = {}
    edges: list[Edge] = []
    for seed in seeds:
        more, wires = stopping(seed, f"n{seed}_")
        units |= more
        edges += wires
    return Design(name, units, tuple(edges))


def conditions(design: Design, frames: int) -> dict[str, dict[str, Bools]]:
    """What stops the units of :func:`chains`."""
    found = {}
    for name, unit in design.instances.items():
        assert isinstance(unit, Stopping)
        found[name] = unit.values(frames)
    return found
