"""The simulated end of a serial line: the shipped serial shell and network in Verilator."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwc.hw.serial.shell import SERIAL_TOP
from hwc.sim.board.program import Program
from hwc.sim.model import compile_program

__all__ = ["FAULTS", "SimulatedLine", "compile_line"]

FAULTS = ("a damaged byte", "a lost byte", "an added byte", "a damaged answer", "a lost answer")
"""What a line may do to one request or its answer."""


def compile_line(
    network: str, shell: str, directory: str | Path, cells: Mapping[str, str] | None = None
) -> Path:
    """The simulator of these Verilog texts, built or taken from ``directory``.

    ``cells``: more texts by file name, such as models of a netlist's cells.
    """
    source = (Path(__file__).parent / "line.cpp").read_text()
    files = {"network.v": network, "shell.v": shell, **(cells or {})}
    return compile_program(files, SERIAL_TOP, source, Path(directory))


class SimulatedLine:
    """A line to a simulated board: :class:`hwc.host.transport.Line`.

    ``program`` comes from :func:`compile_line`. The clock runs only inside :meth:`receive`, so runs
    repeat; time-outs are times of the board. ``drift``: how much longer than the board's the bits
    are that it hears.
    """

    def __init__(self, program: Path, manifest: Mapping[str, Any], drift: float = 0.0) -> None:
        self._divisor: int = manifest["shell"]["divisor"]
        self._hz: float = manifest["clock_mhz"] * 1e6
        self._fault, self._random = "", random.Random(0)
        numbers = self._divisor, manifest["shell"]["pressed"], self._divisor * (1 + drift)
        self._program = Program([str(program), *map(str, numbers)], "the serial board")

    def send(self, data: bytes) -> None:
        """Say so many bytes; they are heard as the clock runs."""
        data = self._spoiled(data, answer=False)
        self._program.say("send " + data.hex(" "))

    def receive(self, count: int, timeout: float) -> bytes:
        """So many bytes, or fewer if no more came for so many seconds."""
        found = bytearray()
        while len(found) < count:
            new = self._run(timeout, 1)
            if not new:
                break
            found += new
        return self._spoiled(bytes(found), answer=True)

    def press(self, cycles: int = 100) -> None:
        """Press the button."""
        self._program.say(f"press {cycles}")

    def spoil(self, fault: str, seed: int = 0) -> None:
        """Let one of :data:`FAULTS` happen to what is sent, or received, next."""
        if fault not in FAULTS:
            raise ValueError(f"the line can do {', '.join(FAULTS)}, not {fault!r}")
        self._fault, self._random = fault, random.Random(seed)

    def close(self) -> None:
        """End the simulation."""
        self._program.close()

    def _run(self, timeout: float, enough: int) -> bytes:
        """Up to ``enough`` bytes; the time runs from the end of what is being said."""
        while True:
            left, *data = self._program.say(
                f"run {max(1, round(timeout * self._hz))} {enough}"
            ).split()
            if data or left == "0":
                return bytes.fromhex("".join(data))

    def _spoiled(self, data: bytes, answer: bool) -> bytes:
        if not self._fault or self._fault.endswith("answer") != answer or not data:
            return data
        fault, self._fault = self._fault, ""
        at = self._random.randrange(len(data))
        if fault == "a lost answer":
            return b""
        if fault == "a lost byte":
            return data[:at] + data[at + 1 :]
        if fault == "an added byte":
            return data[:at] + bytes([self._random.randrange(256)]) + data[at:]
        return data[:at] + bytes([data[at] ^ self._random.randrange(1, 256)]) + data[at + 1 :]
