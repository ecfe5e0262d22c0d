"""Verification of a whole bundle: the shipped driver runs the shipped RTL behind its bus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwc.compiler.files import sha256
from hwc.compiler.graph.errors import HwcError
from hwc.host import Accelerator, BusError, DriverError, Measured, read_manifest
from hwc.sim.board.simulated import SimulatedBoard, compile_board

__all__ = ["BundleError", "SystemCheck", "verify_bundle"]

BURST_COST = 4
"""Cycles of the bus beyond its words for a stream's part of a frame, at most."""
SLOW = {"latency": (5, 60), "stall": 0.35}
"""A memory that is late and busy."""


class BundleError(HwcError):
    """A bundle is damaged or does not do what it says."""

    exit_code = 2


@dataclass(frozen=True)
class SystemCheck:
    """What was run, all of it as expected: cycles with a quick and with a slow memory."""

    frames: int
    quick: Measured
    slow: Measured
    predicted: dict[str, int]
    errors: tuple[str, ...]


def verify_bundle(bundle: Path, work: Path, seed: int = 1) -> SystemCheck:
    """Run the golden vectors of ``bundle`` through the driver and the simulated board.

    With a quick memory, with one that is late and busy, after an error response to a read and to a
    write, and after a reset. Raises BundleError if a file is not the one of the manifest, if an
    integer or a predicted cycle differs, or if an injected error is not reported.
    """
    try:
        manifest = read_manifest(bundle)
        network, shell = (_checked(bundle, manifest[part]) for part in ("rtl", "shell"))
        program = compile_board(network, shell, work)
        board = SimulatedBoard(program, seed, manifest["clock_mhz"])
        with Accelerator(bundle, board) as accelerator:
            quick = accelerator.selftest()
            _compare(quick, manifest)
            board.slow(**SLOW)
            slow = accelerator.selftest()
            errors = tuple(_injected(accelerator, board, write) for write in (False, True))
            board.slow()
            board.reset()
            _compare(accelerator.selftest(), manifest)
    except DriverError as error:
        raise BundleError(f"{bundle}: {error}") from error
    return SystemCheck(quick.frames, quick, slow, manifest["cycles"], errors)


def _injected(accelerator: Accelerator, board: SimulatedBoard, write: bool) -> str:
    """A bus error in the middle of a batch has to be reported, and to leave no trace."""
    buffer = accelerator.buffers[int(write)]
    board.bad(buffer.address + len(buffer.array) // 2 // 8 * 8, 8, 2, write=write)
    try:
        accelerator.selftest()
    except BusError as error:
        message = str(error)
    else:
        side = "write" if write else "read"
        raise BundleError(f"an error response to a {side} went unnoticed")
    board.bad(0, 0, 0, write=write)
    accelerator.selftest()
    return message


def bus_words(manifest: dict[str, Any]) -> int:
    """Cycles a frame that a quick memory needs: a word each, and some for every burst."""
    shell, sides = manifest["shell"], ("input", "output")
    return max(
        shell[f"{side}_stride"] // 8 + BURST_COST * len(manifest[f"{side}s"]) for side in sides
    )


def _compare(measured: Measured, manifest: dict[str, Any]) -> None:
    """Cycles at the network, if the bus keeps up with it: those predicted. Else at least those."""
    predicted = manifest["cycles"]
    bound = bus_words(manifest) > predicted["interval"]
    # Several inputs begin one after the other, since they share the bus.
    late = bound or len(manifest["inputs"]) > 1
    span = 0 if measured.interval is None else round(measured.interval * (measured.frames - 1))
    for what, got, want, may_be_later in (
        ("the first frame took", measured.latency, predicted["latency"], late),
        ("from the first frame to the last it took", span, predicted["golden_span"], bound),
    ):
        if got < want or (got > want and not may_be_later):
            raise BundleError(f"at the network {what} {got} cycles, predicted were {want}")


def _checked(bundle: Path, entry: dict[str, str]) -> str:
    """The text of a file, if its hash is that of the manifest."""
    path = bundle / entry["file"]
    try:
        text = path.read_text()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if sha256(text) != entry["sha256"]:
        raise BundleError(f"{path} is not the file that was verified: its SHA-256 differs")
    return text
