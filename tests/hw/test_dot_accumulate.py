"""The accumulator: takes, adds, holds, and wraps on the way to a sum that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module, Signal, signed
from amaranth.sim import Simulator

from hwc.hw.dot import Accumulator, DotError, Number


def test_takes_adds_and_holds() -> None:
    rng = np.random.default_rng(3)
    accumulator = Accumulator(Number(-8, 7), Number(-40, 35))
    m = Module()
    value, first, valid = Signal(signed(4)), Signal(), Signal()
    total = accumulator.build(m, value, first, valid)

    async def bench(ctx: Any) -> None:
        want = 0
        for cycle in range(300):
            v = int(rng.integers(-8, 8))
            f, e = int(cycle == 0 or rng.integers(0, 6) == 0), int(rng.integers(0, 2) or not cycle)
            for signal, bit in ((value, v), (first, f), (valid, e)):
                ctx.set(signal, bit)
            await ctx.tick()
            if e:
                want = v if f else want + v
                want = (want + 64) % 128 - 64
            assert ctx.get(total) == want

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_refusals() -> None:
    with pytest.raises(DotError, match="powers of two"):
        Accumulator(Number(-1, 1, True), Number(-4, 4))
    with pytest.raises(DotError, match="does not lie in"):
        Accumulator(Number(-1, 1), Number(0, 4))
    m = Module()
    Fragment.get(m, None)
    with pytest.raises(DotError, match="values of 2 bits are needed, got 3"):
        Accumulator(Number(-1, 1), Number(-4, 4)).build(m, Signal(3), 1, 1)
