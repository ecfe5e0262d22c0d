"""The Vivado project of a bundle: Tcl of boards/vivado/ with the settings of this bundle."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from hwc.boards.board import Board, Serial, Zynq
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.report import Placed
from hwc.sim.toolchain import MissingTool

__all__ = ["BITSTREAM", "PROJECT", "VivadoError", "run", "write_project"]

PROJECT = "vivado"
BITSTREAM = "vivado/hwc.bit"
LOG_LINES = 20


class VivadoError(HwcError):
    """Vivado failed on a project."""

    exit_code = 2


def write_project(
    bundle: Path, board: Board, clock_mhz: float, sources: Sequence[str], top: str
) -> str:
    """Write ``vivado/`` into a bundle, ``sources`` being names of files in its ``rtl/``; where the
    bitstream will be."""
    folder = bundle / PROJECT
    folder.mkdir()
    scripts, host = files("hwc.boards.vivado"), board.host
    system = host.system if isinstance(host, Zynq) else "fabric"
    names = {"build.tcl": "build.tcl", "system.tcl": f"{system}.tcl"}
    settings: dict[str, str] = {
        "part": board.part,
        "top": top,
        "clock_mhz": f"{clock_mhz:g}",
        "sources": _list(sources),
        "constraints": "",
    }
    if isinstance(host, Zynq):
        names["processor.tcl"] = "processor.tcl"
        pairs = [f"CONFIG.{name} {_word(value)}" for name, value in host.settings.items()]
        settings |= {
            "base": f"0x{host.base:08X}",
            "board_part": host.board_part,
            "processor": " ".join(pairs),
        }
    elif isinstance(host, Serial):
        settings["constraints"] = "pins.xdc"
        (folder / "pins.xdc").write_text(_pins(host, clock_mhz))
    for name, source in names.items():
        (folder / name).write_text((scripts / source).read_text())
    text = f"# What this bundle is: a network for {board.title}.\n\n"
    text += "".join(f"set {name} {_word(value)}\n" for name, value in settings.items())
    (folder / "settings.tcl").write_text(text)
    return BITSTREAM


def run(bundle: Path) -> Placed:
    """Run Vivado on the project of a bundle.

    MissingTool if it is not on PATH; VivadoError, with the end of its log, if it fails or if the
    clock is not met.
    """
    program = shutil.which("vivado")
    if program is None:
        fix = f"source Vivado's settings64.sh, then: vivado -mode batch -source {PROJECT}/build.tcl"
        raise MissingTool("vivado", "not on PATH", fix)
    folder = bundle / PROJECT
    command = [program, "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source"]
    done = subprocess.run(
        [*command, "build.tcl"], cwd=folder, capture_output=True, text=True, check=False
    )
    bitstream = bundle / BITSTREAM
    if done.returncode or not bitstream.is_file():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-LOG_LINES:])
        raise VivadoError(f"Vivado failed (exit {done.returncode}) in {folder}:\n{tail}")
    return Placed(BITSTREAM, None, {})


def _pins(host: Serial, clock_mhz: float) -> str:
    """Constraints of a chip whose only ports are those of the serial shell."""
    balls = {"clk": host.clock, "rx": host.rx, "tx": host.tx, "rst": host.reset}
    lines = [
        f"set_property -dict {{PACKAGE_PIN {ball} IOSTANDARD {host.standard}}} [get_ports {port}]"
        for port, ball in balls.items()
    ]
    lines.append(f"create_clock -period {1000 / clock_mhz:g} -name clk [get_ports clk]")
    lines.append("set_false_path -from [get_ports {rx rst}]")
    lines.append("set_false_path -to [get_ports tx]")
    return "".join(f"{line}\n" for line in lines)


def _word(value: str) -> str:
    """A Tcl word; between braces everything but braces and backslashes stands for itself."""
    if "\\" in value or value.count("{") != value.count("}"):
        raise VivadoError(f"{value!r} cannot be written as a word of Tcl")
    return f"{{{value}}}"


def _list(values: Sequence[str]) -> str:
    return " ".join(map(_word, values))
