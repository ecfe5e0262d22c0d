"""What makes a bundle run on a board: the shell around the network, and the driver beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hwc.host
from hwc.boards.board import Board
from hwc.compiler.files import sha256
from hwc.hw.design import Design
from hwc.hw.shell.record import Record, StreamRecord
from hwc.hw.shell.registers import IDENTITY, REGISTERS, VERSION
from hwc.hw.shell.shell import SHELL_TOP, Shell, shell_verilog

__all__ = ["SHELL", "deploy", "memory"]

SHELL = "rtl/shell.v"
DRIVER = "driver"


def deploy(folder: Path, design: Design, rtl: str, board: Board) -> dict[str, Any] | None:
    """Write shell and driver into a bundle; the ``shell`` section of its manifest.

    None for a board without a processor beside the fabric: its bundle is the network alone.
    """
    if board.shell != "axi":
        return None
    digest = sha256(rtl)[:8]
    shell = Shell(design, int(digest, 16), board.address_bits)
    text = shell_verilog(shell)
    (folder / SHELL).write_text(text)
    copy_driver(folder / DRIVER)
    return {
        "file": SHELL,
        "sha256": sha256(text),
        "top": SHELL_TOP,
        "id": IDENTITY,
        "version": VERSION,
        "hash": digest,
        "address_bits": board.address_bits,
        "input_stride": shell.engine.input.stride,
        "output_stride": shell.engine.output.stride,
        "registers": {register.name: register.offset for register in REGISTERS},
    }


def memory(design: Design) -> dict[str, dict[str, int]]:
    """Per outside stream where its frames lie in memory: its ``memory`` section."""
    streams = {**Record.of(design.inputs).streams, **Record.of(design.outputs).streams}
    return {name: _place(item) for name, item in streams.items()}


def copy_driver(target: Path) -> None:
    """The driver's sources, as a package that needs only numpy."""
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
