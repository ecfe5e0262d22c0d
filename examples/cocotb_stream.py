"""A testbench of one's own, run by cocotb on the network inside a bundle; see docs/cocotb.md.

Streams random frames through `rtl/network.v` with pauses and counts what comes out.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hwc.sim.cocotb.streams import receive, send, start

MANIFEST = json.loads((Path(os.environ["HWC_BUNDLE"]) / "manifest.json").read_text())


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def as_many_beats_as_frames_have(dut: Any) -> None:
    await start(dut)
    frames = 2
    for k, (name, stream) in enumerate(MANIFEST["inputs"].items()):
        beats = [random.getrandbits(stream["beat_bits"]) for _ in range(frames * stream["beats"])]
        cocotb.start_soon(send(dut, name, beats, pause=0.3, seed=k))
    waiting = {
        name: cocotb.start_soon(receive(dut, name, frames * stream["beats"], 0.3, seed=100 + k))
        for k, (name, stream) in enumerate(MANIFEST["outputs"].items())
    }
    for task in waiting.values():
        await task
    await ClockCycles(dut.clk, 200)
    for name in waiting:
        assert not int(getattr(dut, f"{name}_valid").value), f"{name}: more beats than frames"
