"""Verification of a whole bundle: the shipped driver runs the shipped RTL behind its bus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwc.compiler.files import sha256
from hwc.compiler.graph.errors import HwcError
from hwc.host import Accelerator, BusError, DriverError, Measured, read_manifest
from hwc.host.device import Device
from hwc.host.link import Link
from hwc.sim.board.serial import FAULTS, SimulatedLine, compile_line
from hwc.sim.board.simulated import SimulatedBoard, compile_board

__all__ = ["BundleError", "SystemCheck", "checked", "drive_bundle", "verify_bundle"]

BURST_COST = 4
"""Cycles of the bus beyond its words for a stream's part of a frame, at most."""
RUNS, GOLDEN = 7, 16
"""How often the golden frames are run behind AXI, and how many of these there are, at most."""
SLOW = {"latency": (5, 60), "stall": 0.35}
"""A memory that is late and busy."""


class BundleError(HwcError):
    """A bundle is damaged or does not do what it says."""

    exit_code = 2


@dataclass(frozen=True)
class SystemCheck:
    """What was run, all of it as expected: cycles with a quick and with a slow memory (None behind
    a serial line)."""

    frames: int
    quick: Measured
    slow: Measured | None
    predicted: dict[str, int]
    errors: tuple[str, ...]


def verify_bundle(bundle: Path, work: Path, seed: int = 1) -> SystemCheck:
    """Run the golden vectors of ``bundle`` through the driver and the simulated board.

    Behind AXI with a quick memory, with one that is late and busy, after an error response to a
    read and to a write, and after a reset; behind a serial line with a good line and with bytes
    damaged, lost and added both ways. Raises BundleError if a file is not the one of the manifest,
    if an integer or a predicted cycle differs, or if an injected error is not reported.
    """
    try:
        manifest, board = _simulated(bundle, work, RUNS * GOLDEN, seed)
        if isinstance(board, SimulatedLine):
            return _serial(bundle, manifest, board, seed)
        return _axi(bundle, manifest, board)
    except DriverError as error:
        where = "" if str(bundle) in str(error) else f"{bundle}: "
        raise BundleError(f"{where}{error}") from error


def drive_bundle(bundle: Path, work: Path, frames: int, seed: int = 1) -> int:
    """Run the first `frames` golden vectors through the shipped driver, shell and network, with a
    quick memory or a good line, and return how many there were.

    What `hwc build` does before it calls a bundle done; `verify_bundle` does more. Raises
    BundleError if an integer differs.
    """
    try:
        _, board = _simulated(bundle, work, frames, seed)
        with Accelerator(bundle, board) as accelerator:
            return accelerator.selftest(frames).frames
    except DriverError as error:
        raise BundleError(f"the driver on the simulated board: {error}") from error


def _simulated(
    bundle: Path, work: Path, frames: int, seed: int
) -> tuple[dict[str, Any], SimulatedBoard | SimulatedLine]:
    """The manifest of a bundle, and a board of its own files, their hashes checked, on which about
    so many frames will run."""
    manifest = read_manifest(bundle)
    network, shell = (checked(bundle, manifest[part]) for part in ("rtl", "shell"))
    if manifest["shell"]["kind"] == "serial":
        return manifest, SimulatedLine(compile_line(network, shell, work), manifest)
    cycles = frames * manifest["cycles"]["most"]
    compiled = compile_board(network, shell, work, cycles)
    return manifest, SimulatedBoard(compiled, seed, manifest["clock_mhz"])


def _axi(bundle: Path, manifest: dict[str, Any], board: SimulatedBoard) -> SystemCheck:
    with Accelerator(bundle, board) as accelerator:
        quick = accelerator.selftest()
        _compare(quick, manifest)
        board.slow(**SLOW)
        slow = accelerator.selftest()
        errors = tuple(_injected(accelerator, board, write) for write in (False, True))
        board.slow()
        board.reset()
        _compare(accelerator.selftest(), manifest)
    return SystemCheck(quick.frames, quick, slow, manifest["cycles"], errors)


def _serial(bundle: Path, manifest: dict[str, Any], line: SimulatedLine, seed: int) -> SystemCheck:
    predicted = manifest["cycles"]
    with Accelerator(bundle, line) as accelerator:
        quick = accelerator.selftest()
        got, want = quick.latency, predicted["latency"]
        if got < want or (got > want and not _slower_than_its_ports(manifest)):
            raise BundleError(f"at the network a frame took {got} cycles, predicted were {want}")
        device = accelerator.device
        assert isinstance(device, Link)
        errors = []
        for fault in FAULTS:
            before = device.repeated
            line.spoil(fault, seed)
            accelerator.selftest()
            if device.repeated == before:
                raise BundleError(f"on the line {fault} went unnoticed")
            errors.append(f"{fault}: noticed, and the request repeated")
    return SystemCheck(quick.frames, quick, None, predicted, tuple(errors))


def _slower_than_its_ports(manifest: dict[str, Any]) -> bool:
    """Whether a serial shell, which moves a byte a cycle, may hold the network up: beats of more
    bytes."""
    streams = [*manifest["inputs"].values(), *manifest["outputs"].values()]
    return any(stream["memory"]["bytes"] > stream["beats"] for stream in streams)


def _injected(accelerator: Accelerator, board: SimulatedBoard, write: bool) -> str:
    """A bus error in the middle of a batch has to be reported, and to leave no trace."""
    assert isinstance(accelerator.device, Device)
    buffer = accelerator.device.buffers[int(write)]
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
    bound = bus_words(manifest) > predicted["golden_least"]
    # Several inputs begin one after the other, since they share the bus.
    late = bound or len(manifest["inputs"]) > 1
    span = 0 if measured.interval is None else round(measured.interval * (measured.frames - 1))
    for what, got, want, may_be_later in (
        ("the first frame took", measured.latency, predicted["latency"], late),
        ("from the first frame to the last it took", span, predicted["golden_span"], bound),
    ):
        if got < want or (got > want and not may_be_later):
            raise BundleError(f"at the network {what} {got} cycles, predicted were {want}")


def checked(bundle: Path, entry: dict[str, str]) -> str:
    """The text of a file, if its hash is that of the manifest."""
    path = bundle / entry["file"]
    try:
        text = path.read_text()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if sha256(text) != entry["sha256"]:
        raise BundleError(f"{path} is not the file that was verified: its SHA-256 differs")
    return text
