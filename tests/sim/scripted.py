"""Random networks of random schedules: units that say only when, never what.

Each output port gives the numbers 0, 1, 2 ... modulo 256, so that a lost, doubled or reordered beat
shows; when they come is all that matters.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Module, Signal

from hwc.compiler.graph import Graph, Type
from hwc.hw.core import delay
from hwc.hw.design import Design, Edge, End
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath, Unit


@dataclass(frozen=True)
class Scripted(Unit):
    """Any schedule, with the beats a frame of each port read off it."""

    script: Schedule

    def graph(self) -> Graph:
        raise NotImplementedError("it has no meaning")

    def _layouts(self, gives: bool) -> dict[str, Layout]:
        ports = [
            (process, port)
            for process in self.script.processes
            for port in (process.gives if gives else process.takes)
        ]
        return {
            port: Layout(Type((int(process.mask(port).sum()),), 0, 255), (1,))
            for process, port in ports
        }

    def inputs(self) -> dict[str, Layout]:
        return self._layouts(False)

    def outputs(self) -> dict[str, Layout]:
        return self._layouts(True)

    def schedule(self) -> Schedule:
        return self.script

    def resources(self) -> Resources:
        return Resources.zero()

    def levels(self) -> int:
        return 1

    def component(self) -> Datapath:
        return _Counters(self)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield from ()


class _Counters(Datapath):
    """Counts the beats of each output, when they are given: the sequencer's own masks, rebuilt."""

    def __init__(self, unit: Scripted) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for process in self.unit.script.processes:
            ctl = self.ctl[process.name]
            place = Signal(range(process.firings), name=f"{process.name}_place")
            with m.If(ctl.fire):
                last = process.firings - 1
                m.d.sync += place.eq(place + 1)
                with m.If(place == last):
                    m.d.sync += place.eq(0)
            for port in process.gives:
                bits = sum(int(b) << i for i, b in enumerate(process.mask(port)))
                given, number = Signal(name=f"{port}_given"), Signal(8, name=f"{port}_number")
                table = Signal(process.firings, name=f"{port}_table")
                m.d.comb += [table.eq(bits), given.eq(table.bit_select(place, 1) & ctl.fire)]
                with m.If(given):
                    m.d.sync += number.eq(number + 1)
                late = self.unit.script.latency[port]
                m.d.comb += self.y[port].eq(delay(m, number, late, f"{port}_late"))
        return m


class Dice:
    """Random pieces of a schedule."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)

    def some(self, loops: tuple[tuple[str, int], ...]) -> Mask:
        """A mask that is true at least once: boxes, edges and tables, joined by or."""
        terms = Mask.never()
        for _ in range(self.r.randint(1, 2)):
            term = Mask.always()
            for name, count in loops:
                match self.r.randint(0, 4):
                    case 0:
                        end = self.r.choice((0, count - 1))
                        term &= Mask.at(**{name: end})
                    case 1:
                        lo = self.r.randrange(count)
                        term &= Mask.at(**{name: (lo, self.r.randint(lo + 1, count))})
                    case 2:
                        bits = [self.r.random() < 0.6 for _ in range(count)]
                        bits[self.r.randrange(count)] = True
                        term &= Mask.table(**{name: tuple(bits)})
            terms |= term
        return terms

    def exactly(self, count: int) -> tuple[tuple[tuple[str, int], ...], Mask]:
        """Loops and a mask over them that is true ``count`` times, and at the very first.

        A process that gave before it took anything would go on by itself after the last frame.
        """
        name = f"i{self.r.randrange(1000)}"
        if self.r.random() < 0.5:
            inner = self.r.randint(1, 3)
            loops = ((name, count), (f"{name}_in", inner))
            return loops, Mask.at(**{f"{name}_in": 0})
        bits = [True] * (count - 1) + [False] * self.r.randint(0, 4)
        self.r.shuffle(bits)
        return ((name, 1 + len(bits)),), Mask.table(**{name: (True, *bits)})

    def taking(self, port: str, beats: int) -> list[Nest]:
        """One or two nests that take ``beats`` beats in all."""
        if beats > 1 and self.r.random() < 0.4:
            first = self.r.randint(1, beats - 1)
            return self.taking(port, first) + self.taking(port, beats - first)
        loops, mask = self.exactly(beats)
        return [Nest(loops, takes={port: mask})]

    def giving(self, nests: list[Nest], port: str) -> list[Nest]:
        """The nests, giving as well in some of their firings."""
        chosen = self.r.randrange(len(nests))
        return [
            Nest(n.loops, n.takes, dict(n.gives) | {port: self.some(n.loops)}, n.needs)
            if k == chosen or self.r.random() < 0.5
            else n
            for k, n in enumerate(nests)
        ]

    def late(self) -> int:
        return self.r.randint(0, 5)

    def unit(self, beats: int, outputs: int = 1) -> Scripted:
        """One process with one input and some outputs."""
        nests = self.taking("x", beats)
        ports = [f"y{k}" for k in range(outputs)]
        for port in ports:
            nests = self.giving(nests, port)
        return Scripted(
            Schedule((Process("p", tuple(nests)),), {port: self.late() for port in ports})
        )

    def join(self, a: int, b: int) -> Scripted:
        """One process with two inputs, in nests of their own or as one."""
        nests = self.taking("a", a) + self.taking("b", b)
        if a == b and self.r.random() < 0.7:
            loops, mask = self.exactly(a)
            nests = [Nest(loops, takes={"a": mask, "b": mask})]
        self.r.shuffle(nests)
        return Scripted(
            Schedule((Process("p", tuple(self.giving(nests, "y0"))),), {"y0": self.late()})
        )

    def buffer(self, beats: int) -> Scripted:
        """A loader and an emitter around a memory, each waiting for the other."""
        (load,) = (Nest(*self._one(beats)),)
        loops = (("o", self.r.randint(1, 4)), ("i", self.r.randint(1, 4)))
        inputs = load.firings
        outputs = loops[0][1] * loops[1][1]
        # Needs grow along the outer loop, plus one for each step of the inner one if there is room.
        inner = 1 if inputs >= loops[1][1] else 0
        room = inputs - inner * (loops[1][1] - 1)
        steps = sorted(self.r.randint(1, room) for _ in range(loops[0][1]))
        need = Sum.table(o=tuple(steps)) + Sum.affine(0, i=inner)
        emit = Nest(loops, gives={"y0": self.some(loops)}, needs={"load": need})
        back = self._back(load, emit, need, outputs)
        load = Nest(load.loops, load.takes, needs={"emit": back})
        processes = [Process("load", (load,)), Process("emit", (emit,))]
        self.r.shuffle(processes)
        return Scripted(Schedule(tuple(processes), {"y0": self.late()}))

    def _one(self, beats: int) -> tuple[tuple[tuple[str, int], ...], dict[str, Mask]]:
        loops, mask = self.exactly(beats)
        return loops, {"x": mask}

    def _back(self, load: Nest, emit: Nest, need: Sum, outputs: int) -> Sum:
        """Emitter firings before each outer step of the loader that cannot lead to a deadlock."""
        asked = np.maximum.accumulate(need.over(emit.loops))
        inner = load.firings // load.loops[0][1]
        table = []
        for step in range(load.loops[0][1]):
            # What the emitter can do with only the firings before this step.
            able = int(np.searchsorted(asked, step * inner, side="right"))
            frames = self.r.choice((0, 0, -outputs))
            table.append(min(able, self.r.randint(0, outputs)) + frames)
        return Sum.table(0, **{load.loops[0][0]: tuple(table)})


@dataclass
class Front:
    """A place in a growing network where beats come out."""

    end: End
    beats: int


def network(seed: int, prefix: str) -> tuple[dict[str, Unit], list[Edge]]:
    """Units and edges of one random network, all names beginning with ``prefix``."""
    dice = Dice(seed)
    r = dice.r
    units: dict[str, Unit] = {}
    edges: list[Edge] = []
    front = Front(("", f"{prefix}in"), r.randint(1, 8))

    def add(unit: Scripted, **feeds: Front) -> Front:
        name = f"{prefix}u{len(units)}"
        units[name] = unit
        for port, source in feeds.items():
            edges.append(Edge(source.end, (name, port), r.randint(1, 9)))
        outputs = unit.outputs()
        return Front((name, "y0"), outputs["y0"].beats)

    for _ in range(r.randint(1, 4)):
        match r.choice(("unit", "unit", "buffer", "fork", "heads")):
            case "unit":
                front = add(dice.unit(front.beats), x=front)
            case "buffer":
                front = add(dice.buffer(front.beats), x=front)
            case "fork":
                side = add(dice.unit(front.beats), x=front)
                front = add(dice.join(side.beats, front.beats), a=side, b=front)
            case _:
                unit = dice.unit(front.beats, 2)
                first = add(unit, x=front)
                second = Front((first.end[0], "y1"), unit.outputs()["y1"].beats)
                front = add(dice.join(first.beats, second.beats), a=first, b=second)
    edges.append(Edge(front.end, ("", f"{prefix}out"), r.randint(1, 9)))
    return units, edges


def networks(seeds: Iterable[int], name: str) -> Design:
    """Many random networks side by side in one design."""
    units: dict[str, Unit] = {}
    edges: list[Edge] = []
    for seed in seeds:
        more, wires = network(seed, f"n{seed}_")
        units |= more
        edges += wires
    return Design(name, units, tuple(edges))


def numbers(layout: Layout, frames: int) -> np.ndarray:
    """What an output of a scripted unit gives in ``frames`` frames."""
    return (np.arange(frames * layout.beats) % 256).reshape(frames, -1)
