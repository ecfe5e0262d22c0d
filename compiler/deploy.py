"""What makes a bundle run on a board: the shell around the network, and the driver beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hwc.host
from hwc.boards.board import Board, Zynq
from hwc.compiler.files import sha256
from hwc.compiler.vivado import write_project
from hwc.hw.design import Design
from hwc.hw.shell.record import Record, StreamRecord
from hwc.hw.shell.registers import IDENTITY, REGISTERS, VERSION
from hwc.hw.shell.shell import SHELL_TOP, Shell, shell_verilog

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
    if not isinstance(board.host, Zynq):
        return None
    digest = sha256(rtl)[:8]
    shell = Shell(design, int(digest, 16), board.host.address_bits)
    text = shell_verilog(shell)
    (bundle / SHELL).write_text(text)
    names = sorted(path.name for path in (bundle / SHELL).parent.glob("*.v"))
    write_project(bundle, board, clock_mhz, names, SHELL_TOP)
    copy_driver(bundle / DRIVER)
    return {
        "file": SHELL,
        "sha256": sha256(text),
        "top": SHELL_TOP,
        "base": board.host.base,
        "id": IDENTITY,
        "version": VERSION,
        "hash": digest,
        "address_bits": board.host.address_bits,
        "input_stride": shell.engine.input.stride,
        "output_stride": shell.engine.output.stride,
        "registers": {register.name: register.offset for register in REGISTERS},
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
