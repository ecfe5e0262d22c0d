"""Vivado's projects, run under tclsh with a stub that writes down what Vivado is told."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hwc.boards.board import Board, Serial, Zynq, get, names
from hwc.compiler import vivado
from hwc.sim.toolchain import MissingTool

STUB = Path(__file__).with_name("vivado_stub.tcl")
VIVADO = [name for name in names() if get(name).flow == "vivado" and get(name).host]
ZYNQ = [name for name in VIVADO if isinstance(get(name).host, Zynq)]
PORTS = {
    "zynq7": {
        "ps/M_AXI_GP0", "ps/S_AXI_HP0", "ps/M_AXI_GP0_ACLK", "ps/S_AXI_HP0_ACLK", "ps/FCLK_CLK0",
        "ps/FCLK_RESET0_N", "ps/IRQ_F2P",
    },
    "zynqmp": {
        "ps/M_AXI_HPM0_FPD", "ps/S_AXI_HP0_FPD", "ps/maxihpm0_fpd_aclk", "ps/saxihp0_fpd_aclk",
        "ps/pl_clk0", "ps/pl_resetn0", "ps/pl_ps_irq0",
    },
}  # fmt: skip
"""Ports of the processing systems (UG585, UG1085)."""
OURS = {"hwc/aclk", "hwc/aresetn", "hwc/irq", "hwc/s_axi", "hwc/m_axi"}
OTHERS = {
    f"{cell}/{pin}"
    for cell in ("control", "memory")
    for pin in ("aclk", "aresetn", "S00_AXI", "M00_AXI")
} | {"resets/slowest_sync_clk", "resets/ext_reset_in", "resets/peripheral_aresetn"}

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")


def host(board: Board) -> Zynq:
    assert isinstance(board.host, Zynq)
    return board.host


def project(folder: Path, board: Board, clock_mhz: float = 80.0) -> Path:
    """A bundle with no more than sources and a project."""
    (folder / "rtl").mkdir(parents=True)
    top = "hwc_top" if isinstance(board.host, Zynq) else "hwc_serial"
    vivado.write_project(folder, board, clock_mhz, ["network.v", "shell.v"], top)
    return folder


def told(
    bundle: Path, known: str = "", progress: str = "100%", slack: str = "0.25", *arguments: str
) -> tuple[list[list[str]], subprocess.CompletedProcess[str]]:
    """What the project's script tells Vivado, a list of words a command, and how it ended."""
    calls = bundle / "calls"
    answers = f"board_parts {{{known}}} progress {progress} slack {slack}"
    script = bundle / "vivado" / "build.tcl"
    command = ["tclsh", str(STUB), str(script), str(calls), answers, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    split = f"set f [open {{{calls}}}]; while {{[gets $f l] >= 0}} {{puts [join $l \\x1f]}}"
    lines = subprocess.run(["tclsh"], input=split, capture_output=True, text=True, check=True)
    return [line.split("\x1f") for line in lines.stdout.splitlines()], done


def called(calls: list[list[str]], command: str) -> list[list[str]]:
    return [words[1:] for words in calls if words[0] == command]


@pytest.mark.parametrize(
    ("name", "preset"),
    [(name, True) for name in ZYNQ] + [(name, False) for name in ZYNQ if host(get(name)).settings],
)
def test_every_pin_is_wired_once(tmp_path: Path, name: str, preset: bool) -> None:
    board = get(name)
    part = host(board).board_part
    calls, done = told(project(tmp_path, board), part if preset else "")
    assert done.returncode == 0, done.stderr
    assert called(calls, "create_project") == [
        ["-force", "hwc", str(tmp_path / "vivado" / "project"), "-part", board.part]
    ]
    assert ["-type", "module", "-reference", "hwc_top", "hwc"] in called(calls, "create_bd_cell")
    nets = called(calls, "connect_bd_net") + called(calls, "connect_bd_intf_net")
    ends = [end for net in nets for end in net]
    assert set(ends) == PORTS[host(board).system] | OURS | OTHERS
    for source, sink in nets:  # what drives several pins is a clock or a reset
        assert ends.count(sink) == 1, sink
        assert ends.count(source) == 1 or re.search("CLK0|clk0|aresetn", source), source
    clock = next(source for source, sink in nets if sink == "hwc/aclk")
    assert {sink for source, sink in nets if source == clock} >= {
        "hwc/aclk", "control/aclk", "memory/aclk", "resets/slowest_sync_clk",
    }  # fmt: skip


@pytest.mark.parametrize("name", ZYNQ)
def test_addresses_clock_and_processor(tmp_path: Path, name: str) -> None:
    board = get(name)
    known = host(board).board_part if host(board).system == "zynqmp" else ""
    calls, _ = told(project(tmp_path, board), known)
    registers, memory = called(calls, "assign_bd_address")
    assert registers[registers.index("-offset") + 1] == f"0x{host(board).base:08X}"
    assert "hwc/s_axi/reg0" in registers
    assert memory[memory.index("-target_address_space") + 1] == "hwc/m_axi"
    told_of = " ".join(" ".join(words) for words in called(calls, "set_property"))
    clock = {"zynq7": "PCW_FPGA0_PERIPHERAL", "zynqmp": "PSU__CRL_APB__PL0_REF_CTRL__"}
    assert re.search(rf"CONFIG\.{clock[host(board).system]}_?FREQMHZ 80 ", told_of)
    for setting, value in host(board).settings.items():
        assert f"CONFIG.{setting} {{{value}}}" in told_of or f"{setting} {value}" in told_of
    order = [words[0] for words in calls]
    assert order.index("validate_bd_design") < order.index("launch_runs")


def test_a_preset_replaces_our_settings(tmp_path: Path) -> None:
    board = get("pynq-z2")
    calls, _ = told(project(tmp_path, board), host(board).board_part)
    assert [w for w in called(calls, "set_property") if w[0] == "board_part"]
    assert "PCW_UIPARAM_DDR_PARTNO" not in str(calls)


def test_missing_board_files(tmp_path: Path) -> None:
    _, done = told(project(tmp_path, get("zcu104")))
    assert done.returncode != 0
    assert "no board files of xilinx.com:zcu104" in done.stderr


@pytest.mark.parametrize("name", ["pynq-z1", "pynq-z2"])
def test_the_results_end_up_beside_the_script(tmp_path: Path, name: str) -> None:
    _, done = told(project(tmp_path, get(name)))
    assert done.returncode == 0, done.stderr
    for file in ("hwc.bit", "hwc.hwh", "hwc.xsa"):
        assert (tmp_path / "vivado" / file).is_file(), file


@pytest.mark.parametrize(
    ("progress", "slack", "message"),
    [("40%", "1", "implementation failed: route_design failed"), ("100%", "-0.4", "-0.4 ns")],
)
def test_failures_leave_no_bitstream(
    tmp_path: Path, progress: str, slack: str, message: str
) -> None:
    _, done = told(project(tmp_path, get("pynq-z2")), "", progress, slack)
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / "vivado" / "hwc.bit").exists()


def test_stop_at_the_project(tmp_path: Path) -> None:
    calls, done = told(project(tmp_path, get("pynq-z2")), "", "100%", "1", "project")
    assert done.returncode == 0
    assert called(calls, "save_bd_design")
    assert not called(calls, "launch_runs")


def test_boards_without_a_processor(tmp_path: Path) -> None:
    board = get("arty-a7-100t")
    assert isinstance(board.host, Serial)
    calls, done = told(project(tmp_path, board, board.clock_mhz))
    assert done.returncode == 0, done.stderr
    assert not called(calls, "create_bd_cell")
    assert [w for w in called(calls, "set_property") if w[:2] == ["top", "hwc_serial"]]
    pins = (tmp_path / "vivado" / "pins.xdc").read_text()
    for ball in (board.host.clock, board.host.rx, board.host.tx, board.host.reset):
        assert f"PACKAGE_PIN {ball} " in pins
    assert "create_clock -period 10 " in pins
    assert (tmp_path / "vivado" / "hwc.bit").is_file()


def fake(folder: Path, body: str) -> None:
    """A program called vivado."""
    folder.mkdir()
    path = folder / "vivado"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_vivado_runs_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = project(tmp_path / "bundle", get("pynq-z2"))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(MissingTool, match=r"vivado: not on PATH.*-source vivado/build.tcl"):
        vivado.run(bundle)
    fake(tmp_path / "bad", "echo place_design: no room; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bad"), prepend=":")
    with pytest.raises(vivado.VivadoError, match="no room"):
        vivado.run(bundle)
    fake(tmp_path / "good", 'test "$7" = build.tcl && echo bits > hwc.bit')
    monkeypatch.setenv("PATH", str(tmp_path / "good"), prepend=":")
    assert (bundle / vivado.run(bundle).bitstream).read_text() == "bits\n"


def test_words_that_tcl_would_take_apart(tmp_path: Path) -> None:
    board = replace(get("arty-a7-100t"), title="a } b")
    vivado_host = replace(get("pynq-z2"), host=replace(host(get("pynq-z2")), board_part="x}y"))
    project(tmp_path / "one", board)  # only in a comment
    with pytest.raises(vivado.VivadoError, match="cannot be written"):
        project(tmp_path / "two", vivado_host)
