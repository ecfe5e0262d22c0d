"""What makes a bundle run on a board: the shell around the network, and the driver beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hwc.host
from hwc.boards.board import Board, Serial, Zynq
from hwc.compiler import nextpnr, vivado
from hwc.compiler.files import sha256
from hwc.hw.design import Design
from hwc.hw.serial import link
from hwc.hw.serial.shell import SERIAL_TOP, SerialShell
from hwc.hw.shell.record import Record, StreamRecord
from hwc.hw.shell.registers import IDENTITY, REGISTERS, VERSION
from hwc.hw.shell.shell import SHELL_TOP, Shell, shell_verilog
from hwc.hw.verilog import plain_verilog

__all__ = ["DRIVER", "SHELL", "deploy", "memory"]

SHELL = "rtl/shell.v"
DRIVER = "driver"


def deploy(
    bundle: Path, design: Design, rtl: str, board: Board, clock_mhz: float
) -> dict[str, Any] | None:
    """Write shell, project and driver into a bundle that has its network; the ``shell`` section of
    its manifest.

    None for a board without a host: its bundle is the network alone.
    """
    digest = sha256(rtl)[:8]
    if isinstance(board.host, Zynq):
        text, section = _axi(design, digest, board.host)
    elif isinstance(board.host, Serial):
        text, section = _serial(design, digest, board.host, clock_mhz)
    else:
        return None
    (bundle / SHELL).write_text(text)
    names = sorted(path.name for path in (bundle / SHELL).parent.glob("*.v"))
    write = vivado.write_project if board.flow == "vivado" else nextpnr.write_project
    bitstream = write(bundle, board, clock_mhz, names, section["top"])
    copy_driver(bundle / DRIVER)
    common = {"file": SHELL, "sha256": sha256(text), "hash": digest, "bitstream": bitstream}
    strides = {
        "input_stride": Record.of(design.inputs).stride,
        "output_stride": Record.of(design.outputs).stride,
    }
    return common | section | strides


def _axi(design: Design, digest: str, host: Zynq) -> tuple[str, dict[str, Any]]:
    """Verilog of the AXI shell, and what only its section of the manifest has."""
    text = shell_verilog(Shell(design, int(digest, 16), host.address_bits))
    return text, {
        "kind": "axi",
        "top": SHELL_TOP,
        "base": host.base,
        "id": IDENTITY,
        "version": VERSION,
        "address_bits": host.address_bits,
        "registers": {register.name: register.offset for register in REGISTERS},
    }


def _serial(
    design: Design, digest: str, host: Serial, clock_mhz: float
) -> tuple[str, dict[str, Any]]:
    """The same for the serial shell."""
    divisor = round(clock_mhz * 1e6 / host.baud)
    gap = round(link.GAP_SECONDS * clock_mhz * 1e6)
    shell = SerialShell(design, int(digest, 16), divisor, gap, host.pressed)
    return plain_verilog(shell, SERIAL_TOP), {
        "kind": "serial",
        "top": SERIAL_TOP,
        "version": link.VERSION,
        "baud": host.baud,
        "divisor": divisor,
        "pressed": host.pressed,
        "gap_seconds": link.GAP_SECONDS,
    }


def memory(design: Design) -> dict[str, dict[str, int]]:
    """Per outside stream where its frames lie in memory: its ``memory`` section."""
    streams = {**Record.of(design.inputs).streams, **Record.of(design.outputs).streams}
    return {name: _place(item) for name, item in streams.items()}


def copy_driver(target: Path) -> None:
    """The driver's sources in Python, as a package that needs only numpy."""
    target.mkdir()
    source = Path(hwc.host.__file__).parent
    for path in sorted(source.glob("*.py")):
        shutil.copyfile(path, target / path.name)


def _place(item: StreamRecord) -> dict[str, int]:
    return {
        "offset": item.offset,
        "bytes": item.beat * item.layout.beats,
        "element_bytes": item.element,
    }
