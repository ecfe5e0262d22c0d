"""Runs under cocotb: one unit between queues that fill and empty at random.

`HWC_UNIT` is `module:class:number` of an entry of `examples()`; the design is its Core. Every beat
has to be the one of `run(unit.graph())`, bits of padding excepted.
"""

from __future__ import annotations

import importlib
import os
from itertools import islice

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from hwc.compiler.graph import run
from hwc.hw.layout import Layout
from hwc.hw.unit import Unit

FRAMES = 6
CYCLES_PER_BEAT = 200
"""Patience: a unit that gives a beat less often is taken for stuck."""
RATES = [(1.0, 1.0), (0.3, 0.9), (0.9, 0.3), (0.5, 0.5)]
"""Chances a cycle that a beat arrives at an input, and that one leaves from an output."""


def unit() -> Unit:
    module, name, number = os.environ["HWC_UNIT"].split(":")
    kind: type[Unit] = getattr(importlib.import_module(module), name)
    return next(islice(kind.examples(), int(number), None))


class Source:
    """The queue at an input: `valid` falls only after a pop."""

    def __init__(self, dut, port: str, beats: list[int]) -> None:
        self.head, self.valid, self.pop = (
            getattr(dut, f"{port}_{name}") for name in ("head", "valid", "pop")
        )
        self.beats, self.ready = beats, 0

    def drive(self, rng: np.random.Generator, rate: float) -> None:
        self.ready += self.ready < len(self.beats) and rng.random() < rate
        self.valid.value = int(self.ready > 0)
        noise = int.from_bytes(rng.bytes(len(self.head) // 8 + 1), "little")
        self.head.value = self.beats[0] if self.ready else noise & ((1 << len(self.head)) - 1)

    def sample(self) -> None:
        if self.pop.value:
            assert self.ready, "popped without a beat"
            self.beats.pop(0)
            self.ready -= 1


class Sink:
    """The queue at an output, of `depth` beats: `credit` falls only after a give."""

    def __init__(self, dut, port: str, layout: Layout, expected: list[int], depth: int) -> None:
        self.data, self.push, self.give, self.credit = (
            getattr(dut, f"{port}_{name}") for name in ("data", "push", "give", "credit")
        )
        self.port, self.expected, self.room, self.level = port, expected, depth, 0
        places = (layout.valid()[:, :, None] + np.zeros(layout.type.width, bool)).reshape(
            layout.beats, -1
        )
        rows = np.packbits(places, axis=1, bitorder="little")
        self.masks = [int.from_bytes(row, "little") for row in rows]
        self.got = 0

    def drive(self, rng: np.random.Generator, rate: float) -> None:
        self.leaves = self.level > 0 and rng.random() < rate
        self.credit.value = int(self.room > 0)

    def sample(self) -> None:
        give, push = bool(self.give.value), bool(self.push.value)
        assert not give or self.room, f"{self.port} promises a beat without credit"
        self.room += self.leaves - give
        self.level += push - self.leaves
        if push:
            assert self.got < len(self.expected), f"{self.port} gives a beat too many"
            mask = self.masks[self.got % len(self.masks)]
            want, got = self.expected[self.got] & mask, int(self.data.value) & mask
            assert got == want, f"{self.port}, beat {self.got}: expected {want:#x}, got {got:#x}"
            self.got += 1


async def reset(dut) -> None:
    """A clock, and a few cycles of reset with all inputs at 0."""
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
@cocotb.parametrize(rates=RATES)
async def every_beat(dut, rates):
    """The right beats, as many as there should be, in finitely many cycles."""
    this, rng = unit(), np.random.default_rng(cocotb.RANDOM_SEED)
    frames = this.stimulus(rng, FRAMES)
    values = run(this.graph(), frames)
    sources = [
        Source(dut, name, layout.pack(frames[name], rng)) for name, layout in this.inputs().items()
    ]
    sinks = [
        Sink(dut, name, layout, layout.pack(values[name]), int(rng.integers(1, 6)))
        for name, layout in this.outputs().items()
    ]
    for source in sources:
        source.valid.value = 0
    for sink in sinks:
        sink.credit.value = 0
    await reset(dut)
    total = sum(len(source.beats) for source in sources) + sum(len(s.expected) for s in sinks)
    for _ in range(CYCLES_PER_BEAT * total):
        # Half a cycle before the edge: what is sampled now is what the edge will see.
        for queue, rate in [*((s, rates[0]) for s in sources), *((s, rates[1]) for s in sinks)]:
            queue.drive(rng, rate)
        await ReadOnly()
        for queue in (*sources, *sinks):
            queue.sample()
        await FallingEdge(dut.clk)
        if all(sink.got == len(sink.expected) for sink in sinks):
            break
    for sink in sinks:
        assert sink.got == len(sink.expected), f"{sink.port} gave {sink.got} beats only"
