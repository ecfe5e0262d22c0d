"""The registers of one accelerator: start a batch, wait for it, say what went wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BusError, DeviceTimeout, DriverError, WrongDevice
from .transport import Buffer, Transport

START, ABORT, CLEAR, IRQ_ENABLE = 1, 2, 4, 1 << 8
BUSY, DONE, ERROR, ABORTED, REJECTED = 1, 2, 4, 8, 16
RESPONSES = {1: "a burst of another length than asked", 2: "SLVERR", 3: "DECERR"}
STEP = 0.01
"""Seconds between two looks at the status."""


@dataclass(frozen=True)
class Measured:
    """Clock cycles of a batch: all of it; to the first frame in memory; at the network itself from
    the first beat to the first frame, and between frames. None for what was not measured."""

    frames: int
    cycles: int | None
    first: int | None
    latency: int
    interval: float | None
    clock_mhz: float

    @property
    def frames_per_second(self) -> float | None:
        """Of the whole batch, transfers included."""
        return self.frames / self.cycles * self.clock_mhz * 1e6 if self.cycles else None


class Device:
    """Registers by name, and buffers, over a transport, whose owner it becomes.

    `patience`: seconds that an abort may take before the transport is reset.
    """

    def __init__(
        self, transport: Transport, shell: dict[str, Any], clock_mhz: float, patience: float
    ) -> None:
        self.transport = transport
        self.buffers: list[Buffer] = []
        """Of inputs and of outputs, from the first batch on."""
        self.patience = patience
        self.shell = shell
        self.clock_mhz = clock_mhz
        self.offsets: dict[str, int] = shell["registers"]
        self._identify()

    def read(self, name: str) -> int:
        """A register."""
        return self.transport.read32(self.offsets[name])

    def write(self, name: str, value: int) -> None:
        """A register."""
        self.transport.write32(self.offsets[name], value)

    def wide(self, name: str) -> int:
        """A counter of two registers, at rest."""
        return self.read(name) | self.read(f"{name}_HIGH") << 32

    def _identify(self) -> None:
        shell = self.shell
        for name, want, what in (
            ("ID", shell["id"], "no accelerator of ours is there, or not at this address"),
            ("VERSION", shell["version"], "driver and bitstream do not belong together"),
            ("HASH", int(shell["hash"], 16), "the bitstream holds another network"),
            ("INPUT_STRIDE", shell["input_stride"], "the bitstream holds another network"),
            ("OUTPUT_STRIDE", shell["output_stride"], "the bitstream holds another network"),
        ):
            got = self.read(name)
            if got != want:
                raise WrongDevice(f"{name} reads {got:#x}, expected {want:#x}: {what}")
        for pattern in (0xA5A5_5A5A, 0x0123_4567):
            self.write("SCRATCH", pattern)
            if (got := self.read("SCRATCH")) != pattern:
                raise WrongDevice(f"SCRATCH reads {got:#x} after {pattern:#x} was written")
        if self.read("STATUS") & BUSY:
            self.stop(self.patience)

    def batch(
        self, records: NDArray[np.uint8], timeout: float
    ) -> tuple[NDArray[np.uint8], Measured]:
        """The output records (frames, stride) of these input records, within about so many seconds.

        Raises BusError, DeviceTimeout or DriverError; the device can be used again after each.
        """
        frames = len(records)
        source, target = self._reserve(frames)
        source.array[: records.size] = records.ravel()
        self.transport.flush(source)
        measured = self.run(frames, source.address, target.address, timeout)
        self.transport.invalidate(target)
        stride = self.shell["output_stride"]
        return target.array[: frames * stride].reshape(frames, stride), measured

    def close(self) -> None:
        """Give back buffers and transport."""
        self._release()
        self.transport.close()

    def _reserve(self, frames: int) -> list[Buffer]:
        """Buffers of at least so many input and output records."""
        strides = self.shell["input_stride"], self.shell["output_stride"]
        if len(self.buffers) < 2 or len(self.buffers[0].array) < frames * strides[0]:
            self._release()
            for stride in strides:
                self.buffers.append(self.transport.allocate(frames * stride))
        return self.buffers

    def _release(self) -> None:
        while self.buffers:
            self.buffers.pop().free()

    def run(self, frames: int, source: int, target: int, timeout: float) -> Measured:
        """One batch between two device addresses; returns when all of it is in memory."""
        for name, address in (("INPUT_ADDR", source), ("OUTPUT_ADDR", target)):
            if address >> self.shell["address_bits"]:
                bits = self.shell["address_bits"]
                raise DriverError(f"{name} {address:#x} is beyond the {bits} bits of the port")
            self.write(name, address & 0xFFFF_FFFF)
            self.write(f"{name}_HIGH", address >> 32)
        self.write("FRAMES", frames)
        self.write("CONTROL", START | IRQ_ENABLE)
        status = self._wait(timeout)
        if status & REJECTED:
            raise DriverError(
                f"the accelerator refused {frames} frames from {source:#x} to {target:#x}: it "
                "wants at least one frame, addresses in multiples of 8, and nothing else running"
            )
        if status & ERROR:
            self._explain()
        if not status & DONE:
            raise DriverError(f"the batch ended with status {status:#x}: aborted by somebody else")
        self.write("CONTROL", CLEAR)
        return self._measured(frames)

    def stop(self, patience: float) -> None:
        """Abort what is running; if memory does not let it end, reset."""
        self.write("CONTROL", ABORT)
        waited = 0.0
        while self.read("STATUS") & BUSY and waited < patience:
            self.transport.wait(min(STEP, patience))
            waited += STEP
        if self.read("STATUS") & BUSY:
            self.transport.reset()
        self.write("CONTROL", CLEAR)

    def _wait(self, timeout: float) -> int:
        """The status at the end of the batch."""
        waited = 0.0
        while (status := self.read("STATUS")) & BUSY and not status & REJECTED:
            if waited >= timeout:
                done = self.read("FRAMES_DONE")
                self.stop(self.patience)
                raise DeviceTimeout(
                    f"not finished after {timeout:g} s: {done} frames are done; the batch was "
                    "stopped. Is the memory reachable at this address, is the clock running?"
                )
            self.transport.wait(min(STEP, timeout - waited))
            waited += STEP
        return status

    def _explain(self) -> None:
        error, done = self.read("ERROR"), self.read("FRAMES_DONE")
        side = "a write of output" if error & 4 else "a read of input"
        what = RESPONSES.get(error & 3, f"response {error & 3}")
        self.write("CONTROL", CLEAR)
        raise BusError(
            f"{side} stream {error >> 8 & 255} was answered with {what}; {done} frames were "
            "finished before. The accelerator can be started again",
            done,
        )

    def _measured(self, frames: int) -> Measured:
        interval = self.read("NETWORK_INTERVAL") / (frames - 1) if frames > 1 else None
        return Measured(
            frames,
            self.wide("CYCLES"),
            self.wide("FIRST"),
            self.read("NETWORK_LATENCY"),
            interval,
            self.clock_mhz,
        )
