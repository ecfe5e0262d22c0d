"""The simulated board as a transport: what a driver sees of a real one."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwc.hw.shell.shell import SHELL_TOP
from hwc.hw.verilog import TOP
from hwc.sim.board.program import BoardFault, Program
from hwc.sim.model import compile_program, optimization

__all__ = ["BASE", "SimulatedBoard", "compile_board"]

BASE = 0x1000_0000
"""Device address of the first byte of memory."""
SIZE = 1 << 24
"""Bytes of memory."""
RUN = 10_000
"""Cycles that the clock runs at a time while somebody waits."""


@dataclass(eq=False)
class SimulatedBuffer:
    """Memory that both sides see."""

    array: NDArray[np.uint8]
    address: int

    def free(self) -> None:
        """Nothing: all memory is given back when the board is closed."""


def compile_board(
    network: str, shell: str, directory: str | Path, cycles: int | None = None
) -> Path:
    """The simulator of these two Verilog texts, built or taken from ``directory``.

    ``cycles``: about how many it is going to simulate; many without.
    """
    source = (Path(__file__).parent / "board.cpp").read_text()
    files = {"network.v": network, "shell.v": shell}
    level = 1 if cycles is None else optimization(cycles)
    return compile_program(files, SHELL_TOP, source, Path(directory), level)


class SimulatedBoard:
    """One board with 16 MiB of memory; closes itself at the end of a ``with`` block.

    ``program`` comes from :func:`compile_board`. The clock runs only inside calls, so runs repeat:
    ``seed`` decides all that is random. ``clock_mhz`` turns time-outs into cycles.
    """

    def __init__(self, program: Path, seed: int = 1, clock_mhz: float = 100.0) -> None:
        self.clock_mhz = clock_mhz
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "memory"
        path.write_bytes(b"")
        os.truncate(path, SIZE)
        self._memory = np.memmap(path, np.uint8, "r+")
        self._used = 0
        command = [str(program), str(path), str(SIZE)]
        self._program = Program(command, f"{TOP} behind its shell")
        self._say(f"seed {seed}")

    def __enter__(self) -> SimulatedBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read32(self, offset: int) -> int:
        """A register."""
        return int(self._say(f"read {offset}"))

    def write32(self, offset: int, value: int, strobes: int = 15) -> None:
        """A register; ``strobes``: which of its bytes."""
        self._say(f"write {offset} {value} {strobes}")

    def allocate(self, nbytes: int) -> SimulatedBuffer:
        """Zeroed memory from an address that is a multiple of 4 KiB."""
        start = self._used
        if start + nbytes > SIZE:
            raise BoardFault(f"the simulated board has {SIZE} bytes, {nbytes} more are too many")
        self._used += -(-nbytes // 4096) * 4096
        array = self._memory[start : start + nbytes]
        array[:] = 0
        return SimulatedBuffer(array, BASE + start)

    def flush(self, buffer: object) -> None:
        """Nothing: there is no cache."""

    def invalidate(self, buffer: object) -> None:
        """Nothing: there is no cache."""

    def wait(self, timeout: float) -> bool:
        """Run the clock until the interrupt, at most for ``timeout`` seconds of board time."""
        left = max(1, int(timeout * self.clock_mhz * 1e6))
        while left > 0:
            if self._say(f"run {min(left, RUN)}") == "1":
                return True
            left -= RUN
        return False

    def run(self, cycles: int) -> bool:
        """Run so many cycles, fewer if the interrupt comes; whether it is there."""
        return self._say(f"run {cycles}") == "1"

    def reset(self) -> None:
        """Reset shell, network and bus."""
        self._say("reset 16")

    def close(self) -> None:
        """End the simulation."""
        self._program.close()
        self._folder.cleanup()

    def cycles(self) -> tuple[int, int, int]:
        """Cycles so far, words read and words written."""
        now, read, written = map(int, self._say("cycle").split())
        return now, read, written

    # What may go wrong.

    def slow(self, latency: tuple[int, int] = (1, 1), stall: float = 0.0) -> None:
        """Latency of memory in cycles, from and to; chance that a channel is not ready."""
        self._say(f"latency {latency[0]} {latency[1]}")
        self._say(f"stall {stall}")

    def bad(self, address: int, nbytes: int, response: int, *, write: bool) -> None:
        """Accesses to these addresses end with ``response`` (2 SLVERR, 3 DECERR)."""
        self._say(f"bad {int(write)} {address} {address + nbytes} {response}")

    def odd_burst(self, number: int, by: int) -> None:
        """The read burst with this number from now on has so many beats more (or less)."""
        self._say(f"odd {number} {by}")

    def mute(self, on: bool = True) -> None:
        """Memory answers nothing any more."""
        self._say(f"mute {int(on)}")

    def _say(self, line: str) -> str:
        return self._program.say(line)
