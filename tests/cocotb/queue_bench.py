"""Runs under cocotb: a queue of 7 bits, with reservations, pushes and pops at random.

`DEPTH` is how many beats it holds.
"""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

DEPTH = int(os.environ["DEPTH"])
RATES = [(1.0, 1.0), (0.3, 0.9), (0.9, 0.3), (0.5, 0.5)]
"""Chances a cycle that a beat is promised, and that one is popped."""


@cocotb.test()
@cocotb.parametrize(rates=RATES)
async def against_a_list(dut, rates):
    """`head` and `valid` are those of a list; `credit` counts what is promised or there."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    inside: list[int] = []
    promised = 0
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for port in (dut.give, dut.push, dut.pop, dut.data):
        port.value = 0
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    for cycle in range(500):
        give = promised + len(inside) < DEPTH and rng.random() < rates[0]
        push = promised > 0 and rng.random() < 0.7
        pop = bool(inside) and rng.random() < rates[1]
        beat = int(rng.integers(0, 128))
        for port, value in ((dut.give, give), (dut.push, push), (dut.pop, pop), (dut.data, beat)):
            port.value = int(value)
        await ReadOnly()
        assert dut.credit.value == (promised + len(inside) < DEPTH), f"credit in cycle {cycle}"
        assert dut.valid.value == bool(inside), f"valid in cycle {cycle}"
        assert not inside or dut.head.value == inside[0], f"head in cycle {cycle}"
        promised += give - push
        inside = inside[pop:] + [beat] * push
        await FallingEdge(dut.clk)
