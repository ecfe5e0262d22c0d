"""Many sums in one simulation: every spec gets new operands each cycle, every sum is checked in
the cycle that its latency promises."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Cat, ClockDomain, Module, Signal, Value
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwc.hw.dot import ConstantDotSpec, DotSpec, Number, SumSpec

Ints = NDArray[np.int64]
Spec = DotSpec | ConstantDotSpec | SumSpec


def numbers(spec: Spec) -> list[Number]:
    """The number of every operand: x lanes then w lanes, and then mask bits."""
    if isinstance(spec, DotSpec):
        return [spec.x] * spec.lanes + [spec.w] * spec.lanes + [Number(0, 1)] * spec.masked
    if isinstance(spec, ConstantDotSpec):
        return [spec.x] * spec.lanes
    return [number for number, _ in spec.terms]


def expected(spec: Spec, values: Ints) -> Ints:
    """The sum for each row of operand values."""
    if isinstance(spec, ConstantDotSpec):
        weights = np.array(spec.weights)
        return ((values == weights) if spec.popcount else values * weights).sum(1)
    if isinstance(spec, SumSpec):
        total = (values * np.array([w for _, w in spec.terms])).sum(1) + spec.offset
        if not spec.bits:
            return total
        half = 1 << spec.bits - 1
        return (total + half & 2 * half - 1) - half
    n = spec.lanes
    x, w, mask = values[:, :n], values[:, n : 2 * n], values[:, 2 * n :]
    product = (x == w).astype(np.int64) if spec.popcount else x * w
    product[:, n - spec.masked :] *= mask
    return product.sum(1)


def all_values(spec: Spec) -> Ints:
    """Every combination of operand values: only for tiny specs."""
    ranges = [[-1, 1] if n.bipolar else range(n.lo, n.hi + 1) for n in numbers(spec)]
    return np.array(list(itertools.product(*ranges)), dtype=np.int64)


def some_values(spec: Spec, rng: np.random.Generator, count: int) -> Ints:
    """Uniform rows, rows of both ends, and per group of operands all lowest or all highest."""
    kinds = numbers(spec)
    lo, hi = (np.array([getattr(n, end) for n in kinds]) for end in ("lo", "hi"))
    values = rng.integers(lo, hi + 1, (count, len(kinds)))
    groups = np.array([n == kinds[0] for n in kinds]) & (np.arange(len(kinds)) < 0.5 * len(kinds))
    for row in range(count):
        if row % 3 == 1:
            values[row] = np.where(rng.integers(0, 2, len(kinds)), lo, hi)
        elif row % 3 == 2:
            ends = rng.integers(0, 2, 2)
            values[row] = np.where(np.where(groups, ends[0], ends[1]), lo, hi)
    bipolar = np.array([n.bipolar for n in kinds])
    return np.where(bipolar & (values <= 0), -1, values)


def simulate(specs: Sequence[Spec], stimuli: Sequence[Ints]) -> None:
    """Assert that each sum is right, exactly ``latency`` cycles after its operands."""
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    ports = [_place(m, spec) for spec in specs]
    wants = [expected(spec, values).tolist() for spec, values in zip(specs, stimuli, strict=True)]
    words = [_packed(spec, values) for spec, values in zip(specs, stimuli, strict=True)]
    latencies = [spec.latency for spec in specs]
    cycles = max(len(want) + n for want, n in zip(wants, latencies, strict=True))

    async def bench(ctx: Any) -> None:
        for cycle in range(cycles):
            for (operands, _), word in zip(ports, words, strict=True):
                if cycle < len(word):
                    ctx.set(operands, word[cycle])
            for spec, (_, total), want, latency in zip(specs, ports, wants, latencies, strict=True):
                if 0 <= cycle - latency < len(want):
                    got = ctx.get(total)
                    row = cycle - latency
                    assert got == want[row], f"{spec}: row {row}: got {got}, want {want[row]}"
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def _place(m: Module, spec: Spec) -> tuple[Signal, Signal]:
    kinds = numbers(spec)
    operands = Signal(sum(n.width for n in kinds))
    wires: list[Value] = []
    at = 0
    for n in kinds:
        wires.append(operands[at : at + n.width])
        at += n.width
    if isinstance(spec, DotSpec):
        n = spec.lanes
        mask = Cat(*wires[2 * n :]) if spec.masked else None
        return operands, spec.build(m, wires[:n], wires[n : 2 * n], mask)
    return operands, spec.build(m, wires)


def _packed(spec: Spec, values: Ints) -> list[int]:
    kinds = numbers(spec)
    words = []
    for row in values.tolist():
        word, at = 0, 0
        for n, value in zip(kinds, row, strict=True):
            code = int(value > 0) if n.bipolar else value & ((1 << n.width) - 1)
            word |= code << at
            at += n.width
        words.append(word)
    return words
