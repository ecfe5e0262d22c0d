"""The testbench that a bundle carries: it passes, and fails when golden values or RTL are wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwc.compiler import cli
from hwc.compiler.cocotb import BENCH, verify_with_cocotb
from hwc.compiler.files import sha256
from hwc.compiler.system import BundleError
from hwc.sim import toolchain
from hwc.sim.cocotb import runner
from hwc.sim.cocotb.runner import CocotbError, run_cocotb

TESTS = 6
"""Tests of the bench."""


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle to be changed."""
    return shutil.copytree(bundle, tmp_path / "bundle")


@pytest.fixture
def verify(cocotb_work: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`hwc verify --cocotb`, with its cache kept between runs."""
    monkeypatch.chdir(cocotb_work)
    return lambda *args: CliRunner().invoke(cli.application(), ["verify", "--cocotb", *args])


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def seal(bundle: Path, part: str) -> None:
    """Write the hash of a changed file into the manifest."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[part]["sha256"] = sha256((bundle / manifest[part]["file"]).read_text())
    path.write_text(json.dumps(manifest))


def test_a_right_bundle_passes(bundle: Path, verify: Callable[..., Result]) -> None:
    result = verify(str(bundle), "--json", "--seed", "7")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["passed"]) == TESTS


def test_a_bundle_of_one_element_at_a_time_passes(
    serial_bundle: Path, verify: Callable[..., Result]
) -> None:
    manifest = json.loads((serial_bundle / "manifest.json").read_text())
    (stream,) = manifest["inputs"].values()
    assert stream["tile"] == [1]
    result = verify(str(serial_bundle), "--json", "--seed", "7")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["passed"]) == TESTS


def test_a_changed_golden_value_fails(copy: Path, verify: Callable[..., Result]) -> None:
    (path,) = (copy / "golden").glob("head*.npy")
    golden = np.load(path)
    golden.reshape(16, -1)[11, 3] += 1
    np.save(path, golden)
    result = verify(str(copy))
    assert result.exit_code == 2
    assert "frame 11, 3: expected" in result.output
    assert "Traceback" not in result.output


def test_a_changed_prediction_fails(copy: Path, cocotb_work: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["cycles"]["latency"] -= 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CocotbError, match="golden_vectors: NETWORK_LATENCY is"):
        verify_with_cocotb(copy, cocotb_work / "build" / "cache")


def test_the_bench_of_the_bundle_is_what_runs(copy: Path, cocotb_work: Path) -> None:
    with (copy / BENCH).open("a") as file:
        file.write("\n\n@cocotb.test()\nasync def own(dut):\n    assert False, 'my own test'\n")
    with pytest.raises(CocotbError, match="own: my own test"):
        verify_with_cocotb(copy, cocotb_work / "build" / "cache")


@pytest.mark.parametrize("part", ["network", "shell"])
def test_a_changed_file_is_refused(copy: Path, part: str, tmp_path: Path) -> None:
    change(copy / "rtl" / f"{part}.v", "endmodule", " endmodule")
    with pytest.raises(BundleError, match="its SHA-256 differs"):
        verify_with_cocotb(copy, tmp_path)


def test_a_bundle_without_bench_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / BENCH).unlink()
    with pytest.raises(BundleError, match=f"has no {BENCH}"):
        verify_with_cocotb(copy, tmp_path)


@pytest.mark.parametrize("package", runner.REQUIREMENTS)
def test_a_missing_package_is_named(
    package: str, bundle: Path, monkeypatch: pytest.MonkeyPatch, verify: Callable[..., Result]
) -> None:
    monkeypatch.setattr(runner, "_missing", lambda name: name == package)
    result = verify(str(bundle))
    assert result.exit_code == 3
    assert "pip install" in result.output


@pytest.mark.parametrize(
    ("text", "message"), [("", "No tests"), ("import no_such_module\n", "no_such_module")]
)
def test_a_bench_without_tests_is_an_error(
    text: str, message: str, tmp_path: Path, cocotb_work: Path
) -> None:
    (tmp_path / "top.v").write_text("module top(input a, output b); assign b = a; endmodule\n")
    (tmp_path / "empty.py").write_text(text)
    with pytest.raises(CocotbError, match=message):
        run_cocotb([tmp_path / "top.v"], "top", tmp_path / "empty.py", cocotb_work / "empty")


def test_verilog_with_a_fault_is_an_error(tmp_path: Path, cocotb_work: Path) -> None:
    (tmp_path / "top.v").write_text("module top(input a, output b); assign b = ; endmodule\n")
    with pytest.raises(CocotbError, match="syntax error"):
        run_cocotb([tmp_path / "top.v"], "top", tmp_path / "empty.py", cocotb_work / "fault")


def test_the_example_of_the_page_runs(bundle: Path, tmp_path: Path, cocotb_work: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cocotb.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "test_mine.py").write_text(code)
    (text,) = re.findall(r"runs by\n\n(.*?)\n\nwhich", page, re.DOTALL)
    text = text.replace("test_mine.py", str(tmp_path / "test_mine.py"))
    text = text.replace('"bundle"', repr(str(bundle))).replace("build/mine", str(cocotb_work / "m"))
    names: dict[str, Any] = {}
    exec(textwrap.dedent(text), names)
    assert names["found"].passed == ("golden",)


MUTANTS = {
    # A sum of the network; a shell that takes no notice of a memory that is not ready for data.
    "sum": ("network", r"(\$signed\(dot_0_0_0\)) \+ ", r"\1 - ", "values differ"),
    "wready": ("shell", r"\.wready\(m_axi_wready\)", ".wready(1'h1)", "stalls"),
    "interrupt": ("shell", r"(assign irq) = ", r"\1 = ~ ", "golden_vectors"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_changed_rtl_fails(name: str, copy: Path, cocotb_work: Path) -> None:
    part, old, new, message = MUTANTS[name]
    path = copy / "rtl" / f"{part}.v"
    text, count = re.subn(old, new, path.read_text())
    assert count
    path.write_text(text)
    seal(copy, "rtl" if part == "network" else "shell")
    with pytest.raises(CocotbError, match=message):
        verify_with_cocotb(copy, cocotb_work / "build" / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_the_bundle_runs_its_bench_itself(wrong: bool, copy: Path, tmp_path: Path) -> None:
    if wrong:
        change(copy / "manifest.json", '"latency": ', '"latency": 1')
    done = subprocess.run(
        [sys.executable, str(copy / "cocotb" / "run.py")],
        env=toolchain.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == wrong, done.stderr
    assert f"TESTS={TESTS} PASS={TESTS - wrong} FAIL={wrong:d}" in done.stdout
