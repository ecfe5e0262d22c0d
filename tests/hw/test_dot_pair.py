"""Two sums out of one row of DSP blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.sim import Simulator

from hwc.hw.dot import DotError, Number, PairSpec
from hwc.hw.dot.pair import fits_pair

U = Number.unsigned
S = Number.two_complement
SPECS = (
    PairSpec(S(8), S(8), 5),
    PairSpec(U(8), S(8), 3),
    PairSpec(U(8), Number(-127, 127), 5),
    PairSpec(S(8), Number(-127, 127), 9),
    PairSpec(U(4), S(4), 11),
    PairSpec(U(4), U(4), 3),
    PairSpec(Number(2, 5), Number(-3, -1), 4),
    PairSpec(S(8), S(8), 1),
)


def test_both_sums_are_exact_and_in_time() -> None:
    rng = np.random.default_rng(0)
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    rows, benches = 60, []
    for spec in SPECS:
        n = spec.lanes
        kinds = (spec.x, spec.w, spec.w)
        values = [rng.integers(k.lo, k.hi + 1, (rows, n)) for k in kinds]
        for row in range(0, rows, 3):  # all at one end or the other, so that fields fill up
            for k, v in zip(kinds, values, strict=True):
                v[row] = k.lo if rng.integers(0, 2) else k.hi
        ports = [[Signal(k.width) for _ in range(n)] for k in kinds]
        benches.append((spec, values, ports, spec.build(m, ports[0], ports[1], ports[2])))

    async def bench(ctx: Any) -> None:
        for cycle in range(rows + max(spec.latency for spec in SPECS)):
            for spec, values, ports, sums in benches:
                if cycle < rows:
                    for wires, value in zip(ports, values, strict=True):
                        for wire, number in zip(wires, value[cycle].tolist(), strict=True):
                            ctx.set(wire, number & ((1 << len(wire)) - 1))
                row = cycle - spec.latency
                if 0 <= row < rows:
                    x, u, v = (value[row] for value in values)
                    want = (int(x @ u), int(x @ v))
                    assert (ctx.get(sums[0]), ctx.get(sums[1])) == want, f"{spec}: row {row}"
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_groups_end_where_the_packed_weights_would_overflow() -> None:
    assert PairSpec(U(8), S(8), 3).groups == (1, 1, 1)
    assert PairSpec(U(8), Number(-127, 127), 5).groups == (2, 2, 1)
    assert PairSpec(S(8), Number(-127, 127), 5).groups == (4, 1)


def test_refusals() -> None:
    assert not fits_pair(Number(-1, 1, bipolar=True), S(4))
    assert not fits_pair(U(12), S(12))
    with pytest.raises(DotError, match="lanes >= 1 is needed, got 0"):
        PairSpec(U(4), S(4), 0)
    with pytest.raises(DotError, match=r"do not fit a DSP48E1.*use DotSpec"):
        PairSpec(U(12), S(12), 2)
