"""The golden vectors of this bundle through its AXI shell and its network.

`python run.py`, beside this file, or `hwc verify --cocotb` runs it. Needs cocotb, cocotbext-axi and
numpy, and of the bundle its manifest, golden/ and driver/.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

BUNDLE = Path(os.environ.get("HWC_BUNDLE", Path(__file__).parents[1]))
sys.path.insert(0, str(BUNDLE))
from driver.packing import Stream  # noqa: E402  # pyright: ignore[reportMissingImports]

MANIFEST = json.loads((BUNDLE / "manifest.json").read_text())
SHELL, CYCLES = MANIFEST["shell"], MANIFEST["cycles"]
GOLDEN = {k: np.load(BUNDLE / v["file"]) for k, v in MANIFEST["golden"].items()}
FRAMES = len(GOLDEN[next(iter(MANIFEST["inputs"]))])
FEW = min(FRAMES, max(2, 5_000 // CYCLES["interval"]))
"""Frames of the batches that need not be long."""
PERIOD_NS = 10
START, ABORT, CLEAR, IRQ_ENABLE = 1, 2, 4, 1 << 8
DONE, ERROR, ABORTED = 2, 4, 8
BURST_CYCLES, WRITE_CYCLES = 4, 10
"""Cycles that AxiRam takes, at most, beside a cycle a word: for the bursts of an input stream's
frame; for a word of an output, where bursts are short and come one at a time."""
SOURCE = 0x1000 - 24
"""Where inputs lie in memory: bursts meet a boundary of 4 KiB early."""
RUBBISH = 0xA5
STRIDES = {side: SHELL[f"{side}_stride"] for side in ("input", "output")}
PATIENCE = 50 * (CYCLES["latency"] + FRAMES * (CYCLES["most"] + sum(STRIDES.values()))) + 10_000
"""Cycles that a batch may take on the slowest bus here."""
LIMIT = {"timeout_time": 20 * PATIENCE * PERIOD_NS, "timeout_unit": "ns"}


def packed(frames: int) -> bytes:
    """The first golden inputs as records."""
    records = np.zeros((frames, STRIDES["input"]), np.uint8)
    for name, section in MANIFEST["inputs"].items():
        Stream.of(name, section).pack(GOLDEN[name][:frames].reshape(frames, -1), records)
    return records.tobytes()


def pauses(longest: int, seed: int) -> Iterator[bool]:
    """Stalls and rests in turn, each of 1 to `longest` cycles."""
    rng = random.Random(seed)
    while True:
        for paused in (True, False):
            yield from [paused] * rng.randint(1, longest)


class Board:
    """The shell's two buses, with a master for its registers and a memory at its DMA."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.registers: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **reset)
        self.target = -(-(SOURCE + FRAMES * STRIDES["input"]) // 4096) * 4096
        size = self.target + FRAMES * STRIDES["output"] + 4096
        self.memory: Any = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.aclk, size=size, **reset)

    @classmethod
    async def started(cls, dut) -> "Board":
        """A board with a clock, after its reset."""
        board = cls(dut)
        cocotb.start_soon(Clock(dut.aclk, PERIOD_NS, unit="ns").start())
        await board.reset()
        return board

    async def reset(self) -> None:
        """Sixteen cycles of it."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 16)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    async def read(self, name: str) -> int:
        """A register."""
        access = self.registers.read_dword(SHELL["registers"][name])
        return await with_timeout(access, PATIENCE * PERIOD_NS, "ns")

    async def write(self, name: str, value: int) -> None:
        """A register."""
        access = self.registers.write_dword(SHELL["registers"][name], value)
        await with_timeout(access, PATIENCE * PERIOD_NS, "ns")

    async def launch(self, frames: int) -> None:
        """Golden inputs to memory, rubbish where the outputs will be and behind, and off."""
        self.memory.write(SOURCE, packed(frames))
        self.memory.write(self.target, bytes([RUBBISH]) * (self.memory.size - self.target))
        values = {"INPUT_ADDR": SOURCE, "OUTPUT_ADDR": self.target, "FRAMES": frames}
        for name, value in values.items():
            await self.write(name, value)
        await self.write("CONTROL", START | IRQ_ENABLE)

    async def settle(self) -> int:
        """The status at the interrupt, which ends the run and is cleared."""
        if not self.dut.irq.value:
            await with_timeout(RisingEdge(self.dut.irq), PATIENCE * PERIOD_NS, "ns")
        status = await self.read("STATUS")
        await self.write("CONTROL", CLEAR)
        assert not self.dut.irq.value, "the interrupt stays after it was cleared"
        return status

    async def check(self, frames: int) -> None:
        """A whole batch ends well, every integer of it is the golden one, nothing else written."""
        await self.launch(frames)
        status = await self.settle()
        assert status == DONE, f"the batch ended with status {status:#x}"
        assert await self.read("FRAMES_DONE") == frames
        size = frames * STRIDES["output"]
        data = self.memory.read(self.target, self.memory.size - self.target)
        assert set(data[size:]) == {RUBBISH}, "written beyond the outputs"
        found = np.frombuffer(data[:size], np.uint8).reshape(frames, -1)
        for name, section in MANIFEST["outputs"].items():
            got = Stream.of(name, section).unpack(found).reshape(frames, -1)
            want = GOLDEN[name][:frames].reshape(frames, -1)
            for frame, index in np.argwhere(got != want)[:1]:
                expected = f"expected {want[frame, index]}, got {got[frame, index]}"
                differ = f"{(got != want).sum()} of {want.size} values differ"
                raise AssertionError(f"{name}, frame {frame}, {index}: {expected}; {differ}")

    def stall(self, longest: int) -> None:
        """Let every channel pause at random."""
        memory, registers = self.memory, self.registers
        for k, port in enumerate((memory, registers)):
            channels = [getattr(port.write_if, f"{name}_channel") for name in ("aw", "w", "b")]
            channels += [getattr(port.read_if, f"{name}_channel") for name in ("ar", "r")]
            for n, channel in enumerate(channels):
                seed = cocotb.RANDOM_SEED + 10 * k + n
                channel.set_pause_generator(pauses(longest, seed))


@cocotb.test(**LIMIT)
async def golden_vectors(dut):
    """On a bus without stalls; at the network it takes the predicted cycles, if the bus keeps up
    and no inputs share it, and never fewer."""
    board = await Board.started(dut)
    assert await board.read("ID") == SHELL["id"]
    assert await board.read("HASH") == int(SHELL["hash"], 16)
    for side, stride in STRIDES.items():
        assert await board.read(f"{side.upper()}_STRIDE") == stride
    await board.check(FRAMES)
    reads = STRIDES["input"] // 8 + BURST_CYCLES * len(MANIFEST["inputs"])
    bound = max(reads, STRIDES["output"] // 8 * WRITE_CYCLES) > CYCLES["golden_least"]
    late = bound or len(MANIFEST["inputs"]) > 1
    for name, predicted, may_be_later in (
        ("NETWORK_LATENCY", CYCLES["latency"], late),
        ("NETWORK_INTERVAL", CYCLES["golden_span"], bound),
    ):
        got = await board.read(name)
        dut._log.info(f"{name} {got} cycles, predicted {predicted}")
        right = got >= predicted if may_be_later else got == predicted
        assert right, f"{name} is {got} cycles, predicted were {predicted}"


@cocotb.test(**LIMIT)
@cocotb.parametrize(longest=[2, 40])
async def stalls(dut, longest):
    """Every channel of both buses pauses at random."""
    board = await Board.started(dut)
    board.stall(longest)
    await board.check(FEW)


@cocotb.test(**LIMIT)
async def abort_and_reset(dut):
    """A batch that was aborted, and a reset in the middle of one, leave no trace."""
    board = await Board.started(dut)
    least = CYCLES["latency"] + (FEW - 1) * CYCLES["interval"]
    for part in (0.01, 0.6):
        await board.launch(FEW)
        await ClockCycles(dut.aclk, max(1, int(part * least)))
        await board.write("CONTROL", ABORT | IRQ_ENABLE)
        status = await board.settle()
        assert status == ABORTED, f"the aborted batch ended with status {status:#x}"
        await board.check(FEW)
    await board.launch(FEW)
    await ClockCycles(dut.aclk, least // 2)
    await board.reset()
    await board.check(FEW)


@cocotb.test(**LIMIT)
@cocotb.parametrize(side=["read", "write"])
async def bus_error(dut, side):
    """An error response in the middle of a batch ends it; the next one is right."""
    board = await Board.started(dut)
    port = getattr(board.memory, f"{side}_if")
    whole, broken = getattr(port, f"_{side}"), []

    async def once(*args):
        broken.append(args)
        if len(broken) == words // 2:
            raise OSError("the memory answers SLVERR")
        return await whole(*args)

    words = FEW * STRIDES["input" if side == "read" else "output"] // 8
    setattr(port, f"_{side}", once)
    await board.launch(FEW)
    status = await board.settle()
    assert status == ERROR, f"the batch ended with status {status:#x} after an error response"
    assert await board.read("FRAMES_DONE") < FEW
    await board.check(FEW)
