"""Frames one behind the other through the unpacker: nothing of the next one is lost."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout
from hwc.hw.shell.gearbox import Unpacker
from hwc.hw.shell.record import StreamRecord

FRAMES = 3


def pieces(frame: bytes, size: int) -> list[int]:
    """A frame as little-endian numbers of ``size`` bytes, the last one filled up with rubbish."""
    parts = [frame[at : at + size].ljust(size, b"\xee") for at in range(0, len(frame), size)]
    return [int.from_bytes(part, "little") for part in parts]


@pytest.mark.parametrize("rate", [1.0, 0.4])
@pytest.mark.parametrize("word", [1, 8])
@pytest.mark.parametrize(
    ("size", "tile"), [(1, 1), (2, 1), (7, 2), (8, 1), (15, 5), (16, 1), (16, 8), (18, 9), (32, 16)]
)
def test_frames_in_a_row(size: int, tile: int, word: int, rate: float) -> None:
    unpacker = Unpacker(StreamRecord(Layout(Type((size,), 0, 255), (tile,)), 0), word)
    rng, got = random.Random(size), []
    frames = [rng.randbytes(-(-size // tile) * tile) for _ in range(FRAMES)]
    words = [value for frame in frames for value in pieces(frame, word)]
    want = [value for frame in frames for value in pieces(frame, tile)]

    async def bench(ctx) -> None:
        for _ in range(40 + 2 * len(words) + 4 * len(want)):
            ctx.set(unpacker.words.valid, bool(words))
            ctx.set(unpacker.words.payload, words[0] if words else 0)
            ctx.set(unpacker.beats.ready, rng.random() < rate)
            if ctx.get(unpacker.beats.valid & unpacker.beats.ready):
                got.append(ctx.get(unpacker.beats.payload))
            if words and ctx.get(unpacker.words.ready):
                words.pop(0)
            await ctx.tick()

    simulator = Simulator(unpacker)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == want
