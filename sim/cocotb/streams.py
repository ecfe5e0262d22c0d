"""Beats in and out of a network's own streams, for testbenches in cocotb; see docs/cocotb.md."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

__all__ = ["receive", "send", "start"]


async def start(dut: Any) -> None:
    """Start the clock, hold all streams and reset for two cycles."""
    for handle in dut:
        if handle._name.endswith("_valid") and not handle.is_const:
            handle.value = 0
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def send(
    dut: Any, name: str, beats: Sequence[int], pause: float = 0.0, seed: int = 0
) -> None:
    """Offer ``beats`` to the input stream ``name``, pausing with this chance before each."""
    rng = random.Random(seed)
    valid, data, ready = (getattr(dut, f"{name}_{part}") for part in ("valid", "data", "ready"))
    for beat in beats:
        while rng.random() < pause:
            await RisingEdge(dut.clk)
        data.value, valid.value = beat, 1
        await RisingEdge(dut.clk)
        while not int(ready.value):
            await RisingEdge(dut.clk)
        valid.value = 0


async def receive(dut: Any, name: str, count: int, pause: float = 0.0, seed: int = 0) -> list[int]:
    """Take ``count`` beats from the output stream ``name``, not ready with this chance."""
    rng = random.Random(seed)
    valid, data, ready = (getattr(dut, f"{name}_{part}") for part in ("valid", "data", "ready"))
    found: list[int] = []
    while len(found) < count:
        go = rng.random() >= pause
        ready.value = int(go)
        await RisingEdge(dut.clk)
        if go and int(valid.value):
            found.append(int(data.value))
    ready.value = 0
    return found
