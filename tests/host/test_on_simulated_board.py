"""The shipped driver and the shipped RTL, whole batches, on boards that are well and that are not:
a run ends with right results or a clear error."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.host import Accelerator, Buffer, BusError, DeviceTimeout, WrongDevice
from hwc.host.device import Device
from hwc.hw.shell.registers import Control, Status, offset
from hwc.sim.board.simulated import SimulatedBoard

from .conftest import Built

FRAMES = 23
BAD = {2: "SLVERR", 3: "DECERR"}


def buffers(accelerator: Accelerator) -> list[Buffer]:
    """Of inputs and of outputs."""
    assert isinstance(accelerator.device, Device)
    return accelerator.device.buffers


def correct(built: Built, accelerator: Accelerator, seed: int, frames: int = FRAMES) -> None:
    """Both outputs of a random batch are what PyTorch gives, in float64 exactly."""
    batch = built.batch(frames, seed)
    for name, want in zip(accelerator.outputs, built.expected(batch)[:2], strict=True):
        assert np.array_equal(accelerator.logits(batch, name), want)


def test_outputs_that_share_a_stream(built: Built) -> None:
    """The logits of a head and their softmax are two outputs, each by its own name."""
    head, small = built.manifest["outputs"].values()
    assert head["also"] == []
    (share,) = small["also"]
    batch = built.batch(5, 7)
    _, logits, shares = built.expected(batch)
    with Accelerator(built.bundle, SimulatedBoard(built.program)) as accelerator:
        assert len(accelerator.outputs) == 2
        assert np.array_equal(accelerator.logits(batch, small["name"]), logits)
        np.testing.assert_allclose(accelerator.logits(batch, share["name"]), shares, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("latency", "stall"), [((1, 1), 0), ((40, 40), 0), ((1, 90), 0.5)])
def test_batches_are_right(built: Built, latency: tuple[int, int], stall: float, seed: int):
    board = SimulatedBoard(built.program, seed)
    with Accelerator(built.bundle, board) as accelerator:
        board.slow(latency, stall)
        for frames in (1, 2, FRAMES, 64):
            correct(built, accelerator, seed, frames)
        assert accelerator.last is not None
        assert accelerator.last.frames == 64


def test_cycles_are_those_predicted(built: Built):
    with Accelerator(built.bundle, SimulatedBoard(built.program)) as accelerator:
        found = accelerator.selftest()
        cycles = built.manifest["cycles"]
        # The second input begins a few words after the first: they share the bus.
        words = built.manifest["shell"]["input_stride"] // 8
        assert cycles["latency"] <= found.latency <= cycles["latency"] + words
        assert found.interval is not None
        assert round(found.interval * (found.frames - 1)) == cycles["golden_span"]
        assert found.cycles is not None
        assert found.first is not None
        assert found.cycles >= cycles["latency"] + cycles["golden_span"]
        assert 0 < found.first < found.cycles


@pytest.mark.parametrize("response", BAD)
@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_error_responses_are_reported(built: Built, write: bool, response: int, part: float):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        board.slow((3, 30), 0.2)
        correct(built, accelerator, 1)
        buffer = buffers(accelerator)[write]
        at = int(part * (len(buffer.array) - 8)) // 8 * 8
        board.bad(buffer.address + at, 8, response, write=write)
        stride = built.manifest["shell"]["output_stride" if write else "input_stride"]
        with pytest.raises(BusError, match=BAD[response]) as caught:
            correct(built, accelerator, 2)
        assert caught.value.frames <= at // stride
        board.bad(0, 0, 0, write=write)
        correct(built, accelerator, 3)


def test_frames_before_an_error_are_right(built: Built):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        batch = built.batch(FRAMES, 5)
        want = accelerator.run(batch)
        source, target = buffers(accelerator)
        target.array[:] = 0xEE
        board.bad(source.address + 15 * built.manifest["shell"]["input_stride"], 8, 2, write=False)
        with pytest.raises(BusError) as caught:
            accelerator.run(batch)
        frames = caught.value.frames
        assert frames <= 15
        records = target.array.reshape(FRAMES, -1)[:frames]
        for name, stream in accelerator.outputs.items():
            assert np.array_equal(stream.unpack(records), want[name][:frames])


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("burst", [0, 3])
def test_bursts_of_a_wrong_length_are_reported(built: Built, burst: int, by: int):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        correct(built, accelerator, 1)
        board.odd_burst(burst, by)
        with pytest.raises(BusError, match="a burst of another length"):
            correct(built, accelerator, 2)
        correct(built, accelerator, 3)


def test_silent_memory_ends_in_a_time_out(built: Built):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board, timeout=1e-4) as accelerator:
        correct(built, accelerator, 1)
        board.mute()
        with pytest.raises(DeviceTimeout, match="0 frames are done"):
            correct(built, accelerator, 2)
        board.mute(False)
        correct(built, accelerator, 3)


def test_reset_in_mid_frame(built: Built):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        correct(built, accelerator, 1)
        for cycles in (5, 17, 60, 133):
            board.write32(offset("CONTROL"), Control.START)
            board.run(cycles)
            board.reset()
            assert board.read32(offset("STATUS")) == 0
            correct(built, accelerator, cycles)


@pytest.mark.parametrize("cycles", [1, 7, 40, 90, 200])
def test_abort_at_any_time(built: Built, cycles: int):
    board = SimulatedBoard(built.program, seed=cycles)
    with Accelerator(built.bundle, board) as accelerator:
        board.slow((1, 30), 0.3)
        correct(built, accelerator, 1)
        board.write32(offset("CONTROL"), Control.START)
        board.run(cycles)
        board.write32(offset("CONTROL"), Control.ABORT | Control.IRQ_ENABLE)
        assert board.wait(1e-4)
        assert board.read32(offset("STATUS")) == Status.ABORTED
        correct(built, accelerator, cycles)


def test_what_start_refuses(built: Built):
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        correct(built, accelerator, 1)
        addresses = board.read32(offset("INPUT_ADDR"))
        for name, value in (("FRAMES", 0), ("INPUT_ADDR", addresses + 4)):
            before = board.read32(offset(name))
            board.write32(offset(name), value)
            board.write32(offset("CONTROL"), Control.START)
            assert board.read32(offset("STATUS")) == Status.REJECTED
            board.write32(offset(name), before)
        board.write32(offset("CONTROL"), Control.START)
        board.write32(offset("FRAMES"), 1)
        assert board.read32(offset("FRAMES")) == FRAMES
        board.write32(offset("CONTROL"), Control.START)
        assert board.read32(offset("STATUS")) & Status.REJECTED
        while board.read32(offset("STATUS")) & Status.BUSY:
            board.run(100)
        correct(built, accelerator, 2)


def test_byte_strobes(built: Built):
    with SimulatedBoard(built.program) as board:
        board.write32(offset("SCRATCH"), 0x11223344)
        board.write32(offset("SCRATCH"), 0xAABBCCDD, strobes=0b0101)
        assert board.read32(offset("SCRATCH")) == 0x11BB33DD


def test_another_network_is_noticed(built: Built, tmp_path):
    text = (built.bundle / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace(built.manifest["shell"]["hash"], "0" * 8))
    with (
        SimulatedBoard(built.program) as board,
        pytest.raises(WrongDevice, match="another network"),
    ):
        Accelerator(tmp_path, board)


def test_the_bus_is_kept_busy(built: Built):
    """With a quick memory the network itself is the limit; with a memory of 30 cycles latency
    what is under way still hides it."""
    board = SimulatedBoard(built.program)
    with Accelerator(built.bundle, board) as accelerator:
        frames, interval = 400, built.manifest["cycles"]["interval"]
        words = built.manifest["shell"]["input_stride"] // 8
        for latency in (1, 30):
            board.slow((latency, latency))
            accelerator.run(built.batch(frames))
            assert accelerator.last is not None
            assert accelerator.last.cycles is not None
            per_frame = accelerator.last.cycles / frames
            assert per_frame < 1.1 * max(interval, words)
