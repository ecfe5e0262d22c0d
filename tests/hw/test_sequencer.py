"""Generated control against the tables of its schedule, firing by firing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from hwc.hw.schedule import Mask, Nest, Process, Sum
from hwc.hw.sequencer import Control, sequence

CYCLES = 600


@dataclass
class Seen:
    """What a firing showed."""

    nest: int
    index: dict[str, int]
    first: dict[str, int]
    last: dict[str, int]
    address: dict[str, int]
    moves: dict[str, int]


@dataclass
class Harness:
    """One process with random inputs; keeps every firing and checks when there may be one."""

    process: Process
    seed: int
    sources: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Per needed process its firings a frame and its lead."""
    firings: list[Seen] = field(default_factory=list)
    idle: int = 0

    def run(self) -> None:
        m, p = Module(), self.process
        self.control = control = Control.of(p)
        self.ready = {port: Signal(name=f"{port}_ready") for port in (*p.takes, *p.gives)}
        self.fire = {name: Signal(name=f"{name}_fires") for name in self.sources}
        self.cond = {name: Signal(name=name) for name in p.conditions}
        pops, gives = sequence(
            m,
            p,
            control,
            valid={port: self.ready[port] for port in p.takes},
            credit={port: self.ready[port] for port in p.gives},
            fired={k: (self.fire[k], *given) for k, given in self.sources.items()},
            conditions=self.cond,
        )
        self.moves = pops | gives
        simulator = Simulator(m)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.bench)
        simulator.run()

    async def bench(self, ctx: Any) -> None:
        rng, p = random.Random(self.seed), self.process
        done = dict.fromkeys(self.sources, 0)
        needs = {name: p.need(name) for name in self.sources}
        for _ in range(CYCLES):
            count = len(self.firings)
            frame, n = divmod(count, p.firings)
            for signal in (*self.ready.values(), *self.cond.values()):
                ctx.set(signal, int(rng.random() < 0.7))
            for name, (per, lead) in self.sources.items():
                # A source never goes further ahead than was promised.
                may = done[name] < (frame + lead + 1) * per
                ctx.set(self.fire[name], int(may and rng.random() < 0.5))
            hot = {k: np.full(p.firings, ctx.get(v)) for k, v in self.cond.items()}
            wanted = {port: bool(p.mask(port, hot)[n]) for port in self.ready}
            allowed = all(ctx.get(self.ready[port]) for port, want in wanted.items() if want)
            for name, (per, _) in self.sources.items():
                allowed &= bool(done[name] >= frame * per + needs[name][n])
            assert ctx.get(self.control.fire) == allowed
            moves = {port: ctx.get(bit) for port, bit in self.moves.items()}
            assert moves == {port: int(allowed and want) for port, want in wanted.items()}
            if allowed:
                self.firings.append(self.look(ctx, moves))
            else:
                self.idle += 1
            for name, signal in self.fire.items():
                done[name] += ctx.get(signal)
            await ctx.tick()

    def look(self, ctx: Any, moves: dict[str, int]) -> Seen:
        c = self.control

        def read(group: Mapping[str, Signal]) -> dict[str, int]:
            return {name: ctx.get(signal) for name, signal in group.items()}

        return Seen(
            ctx.get(c.nest), read(c.index), read(c.first), read(c.last), read(c.address), moves
        )


def check(process: Process, harness: Harness) -> None:
    """Nest, indices, first, last and addresses of each firing are those of its place."""
    places = [(k, n) for k, nest in enumerate(process.nests) for n in range(nest.firings)]
    assert len(harness.firings) > 2 * len(places), "too few frames to mean anything"
    assert harness.idle > 0
    addresses = [
        {name: total.over(nest.loops) for name, total in nest.addresses.items()}
        for nest in process.nests
    ]
    for number, seen in enumerate(harness.firings):
        k, n = places[number % len(places)]
        loops = process.nests[k].loops
        index = np.unravel_index(n, [count for _, count in loops]) if loops else ()
        assert seen.nest == k
        for (name, count), i in zip(loops, index, strict=True):
            assert seen.index[name] == i
            assert seen.first[name] == (i == 0)
            assert seen.last[name] == (i == count - 1)
        for name, values in addresses[k].items():
            assert seen.address[name] == values[n]


def tables(r: random.Random, loops: tuple[tuple[str, int], ...]) -> Sum:
    """A sum of tables and coefficients."""
    total = Sum(r.randint(-5, 5))
    for name, count in loops:
        if r.random() < 0.5:
            total += Sum.affine(0, **{name: r.randint(-3, 9)})
        else:
            total += Sum.table(0, **{name: tuple(r.randint(-9, 9) for _ in range(count))})
    return total


def some(r: random.Random, loops: tuple[tuple[str, int], ...]) -> Mask:
    mask = Mask.never()
    for _ in range(r.randint(1, 3)):
        term = Mask.always()
        for name, count in loops:
            bits = tuple(r.random() < 0.6 for _ in range(count))
            term &= r.choice((Mask.always(), Mask.table(**{name: bits})))
            if r.random() < 0.3:
                lo = r.randrange(count)
                term &= Mask.at(**{name: (lo, r.randint(lo, count))})
        mask |= r.choice((term, term, term.when("hot"), term.unless("hot")))
    return mask


def shape(r: random.Random, names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, r.choice((1, 2, 3, 5))) for name in names[: r.randint(0, 3)])


@pytest.mark.parametrize("seed", range(12))
def test_random_nests(seed: int) -> None:
    r = random.Random(seed)
    nests = []
    for names in ("abc", "xyz", "uvw")[: r.randint(1, 3)]:
        loops = shape(r, names)
        nests.append(
            Nest(
                loops,
                takes={"in": some(r, loops)},
                gives={"out": some(r, loops)},
                addresses={"at": tables(r, loops)},
            )
        )
    process = Process("p", tuple(nests))
    harness = Harness(process, seed)
    harness.run()
    check(process, harness)


def test_loops_shared_by_nests() -> None:
    """The same loop name in two nests is one counter."""
    nests = (
        Nest((("r", 2), ("k", 3)), takes={"x": Mask.at(k=0)}),
        Nest((("k", 3),), gives={"y": Mask.at(k="last")}, addresses={"at": Sum.affine(1, k=2)}),
    )
    process = Process("p", nests)
    assert list(Control.of(process).index) == ["r", "k"]
    harness = Harness(process, 1)
    harness.run()
    check(process, harness)


@pytest.mark.parametrize(
    ("nests", "sources"),
    [
        ([Nest((("k", 4),), needs={"s": Sum.affine(1, k=1)})], {"s": (4, 1)}),
        ([Nest((("k", 3), ("j", 2)), needs={"s": Sum.table(0, k=(2, 5, 5))})], {"s": (5, 0)}),
        ([Nest((("k", 3),), needs={"s": Sum(-4)})], {"s": (4, 2)}),
        ([Nest((("k", 3),), needs={"s": Sum.affine(-7, k=3)})], {"s": (3, 3)}),
        ([Nest((("k", 2),), needs={"s": Sum(3)}), Nest((("i", 3),))], {"s": (3, 0)}),
        ([Nest((("i", 3),)), Nest((), needs={"s": Sum(3)})], {"s": (3, 0)}),
        ([Nest((("k", 2),), needs={"s": Sum(2), "t": Sum(-1)})], {"s": (2, 1), "t": (3, 2)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_needs(nests: list[Nest], sources: dict[str, tuple[int, int]], seed: int) -> None:
    process = Process("p", tuple(nests))
    harness = Harness(process, seed, sources)
    harness.run()
    check(process, harness)


def test_names_without_a_nest() -> None:
    control = Control.of(Process("p", (Nest(()),)))
    assert (len(control.nest), control.index, control.address) == (1, {}, {})
