"""What tables of constants cost in block RAM, with the multiplexers behind deep ones."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from hwc.hw.memory import bram_ways
from hwc.hw.units.rom import Rom
from hwc.sim.synth import synthesize


@pytest.mark.parametrize(
    ("width", "depth", "ways"),
    [
        (36, 512, 1),
        (36, 1024, 1),
        (36, 1100, 3),
        (36, 2100, 5),
        (18, 2500, 3),
        (240, 3920, 1),
        (104, 4575, 9),
        (30, 9000, 9),
        (45, 8192, 2),
        (512, 16384, 4),
        (120, 3920, 2),
        (480, 3920, 1),
        (1, 16384, 1),
    ],
)
def test_ways(width: int, depth: int, ways: int) -> None:
    """Two blocks behind each other are one of twice the depth."""
    assert bram_ways(width, depth) == ways


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "depth"), [(36, 1000), (36, 1100), (36, 2100), (18, 2500), (45, 8192), (120, 3920)]
)
def test_estimate(width: int, depth: int) -> None:
    """Against yosys."""
    rng, rom = np.random.default_rng(0), Rom(width, depth, "bram")
    words = [int.from_bytes(rng.bytes(16), "little") & (1 << width) - 1 for _ in range(depth)]
    m = Module()
    address, at = Signal(range(depth), name="a"), Signal(range(depth), name="at")
    out = Signal(width, name="o")
    m.d.sync += at.eq(address)
    m.d.comb += out.eq(rom.build(m, words, at, "rom"))
    found, said = synthesize(m, [address, out]), rom.resources()
    assert (found.bram18, found.lut) == (said.bram18, said.lut)
    assert found.ff == said.ff + len(at)
