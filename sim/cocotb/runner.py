"""Runs a testbench in cocotb with the Verilator of this environment."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hwc.compiler.graph.errors import HwcError
from hwc.sim import toolchain

__all__ = ["CocotbError", "Outcome", "run_cocotb"]

REQUIREMENTS = {"cocotb": "cocotb>=2,<3", "cocotbext.axi": "cocotbext-axi"}
"""Package -> what pip calls it."""
LOG_LINES = 12
BUILD_ARGS = ("-Wno-fatal", "-Wno-lint", "-O3", "--no-timing")
PORTS_ONLY = ("--no-public-flat-rw", "--public-depth", "1")
"""With all signals visible, as the runner has it, there is three times as much C++ to compile."""
SCRIPT = """
import json, sys
from cocotb_tools.runner import get_runner
job = json.loads(sys.argv[1])
runner = get_runner("verilator")
runner.build(**job["build"])
runner.test(**job["test"])
"""
# In a process of its own, since the runner takes PATH and MAKEFLAGS from where it runs.
_INHERITED = re.compile(r"COCOTB_.*|GPI_.*|PYGPI_.*|PYTEST_.*|PYTHONPATH|WAVES|GUI|RANDOM_SEED")
"""Variables that would choose other tests, another seed or another place for the results."""
LIBRARY = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vpi")
COMPILE = ("-std=c++17", "-DVERILATOR=1", "-O1", "-c")


class CocotbError(HwcError):
    """A testbench cannot be run, or a test of it fails."""

    exit_code = 2


@dataclass(frozen=True)
class Outcome:
    """Names of the tests that ran and passed, and what they said."""

    passed: tuple[str, ...]
    log: str


def run_cocotb(
    sources: Sequence[Path],
    top: str,
    bench: Path,
    work: Path,
    seed: int = 1,
    environment: Mapping[str, str] | None = None,
    packages: Sequence[str] = ("cocotb",),
    optimize: int = 0,
    inside: bool = False,
) -> Outcome:
    """Run the tests of the module ``bench`` (a .py file) on these Verilog files.

    ``work`` is a folder for this simulator and its results; what all simulators share is kept
    beside it. ``environment`` are more variables for the tests, ``packages`` (of
    :data:`REQUIREMENTS`) what the bench imports, ``optimize`` the level of g++, and
    ``inside`` says whether tests see signals below the top. The same ``seed`` gives the same run.

    Raises MissingTool without a package or program, CocotbError if a test fails, if none ran, or
    if the design cannot be compiled.
    """
    _require(packages)
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    results = work / "results.xml"
    extra = {"PYTHONPATH": str(bench.parent.absolute()), **(environment or {})}
    names = {"hdl_toplevel": top, "build_dir": str(work)}
    files = [str(path.absolute()) for path in sources]
    library = [str(path) for path in _library(work.parent)]
    options = [*BUILD_ARGS, *(() if inside else PORTS_ONLY), *library]
    build = {**names, "sources": files, "build_args": options}
    test = {"test_module": bench.stem, "seed": seed, "results_xml": str(results)}
    job = {"build": build, "test": {**names, **test, "test_dir": str(work)}}
    with (work / "lock").open("w") as lock:
        # Another process may want the same simulator.
        fcntl.flock(lock, fcntl.LOCK_EX)
        results.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCRIPT, json.dumps(job)],
            env=_environment(optimize) | extra,
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        return _outcome(results, done.returncode, done.stdout + done.stderr)


def _require(packages: Sequence[str]) -> None:
    for package in packages:
        if _missing(package):
            fix = toolchain.pip_install(REQUIREMENTS[package])
            raise toolchain.MissingTool(package, "package not installed", fix)
    toolchain.verilator()


def _environment(optimize: int) -> dict[str, str]:
    kept = {k: v for k, v in toolchain.environment().items() if not _INHERITED.fullmatch(k)}
    # The library is there already; and one file compiles faster than many, unless it is optimized.
    levels = f" OPT_FAST=-O{optimize} OPT_SLOW=-O0 VM_GLOBAL_FAST= VM_GLOBAL_SLOW="
    return kept | {
        "MAKEFLAGS": f"{kept['MAKEFLAGS']}{levels} VM_PARALLEL_BUILDS={int(optimize > 0)}"
    }


def _outcome(results: Path, code: int, log: str) -> Outcome:
    lines = log.splitlines()
    tail = "\n".join(lines[-LOG_LINES:])
    if not results.is_file():
        said = "\n".join([line for line in lines if line.startswith("%Error")][:3]) or tail
        raise CocotbError(f"the testbench did not run to its end:\n{said}")
    passed, failed = [], []
    for case in ET.parse(results).iter("testcase"):
        faults = [fault for kind in ("failure", "error") for fault in case.findall(kind)]
        if faults:
            said = faults[0].get("message") or faults[0].get("error_msg") or faults[0].text or ""
            failed.append(f"{case.get('name')}: {said.strip()}")
        elif case.find("skipped") is None:
            passed.append(case.get("name", "?"))
    if failed:
        count = len(failed) + len(passed)
        raise CocotbError(f"{len(failed)} of {count} tests failed\n" + "\n".join(failed))
    if not passed:
        raise CocotbError(f"no tests ran:\n{tail}")
    if code:
        raise CocotbError(f"the simulator ended with {code}:\n{tail}")
    return Outcome(tuple(passed), log)


def _library(directory: Path) -> list[Path]:
    """Verilator's own library with VPI, compiled once for all testbenches of a directory."""
    version = f"{toolchain.verilator_version()} {' '.join(COMPILE)}"
    place = directory / f"vpi-{hashlib.sha256(version.encode()).hexdigest()[:16]}"
    if not place.exists():
        folder = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=directory))
        try:
            _compile(folder)
            if not place.exists():
                folder.rename(place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return sorted(place.glob("*.o"))


def _compile(folder: Path) -> None:
    include = toolchain.verilator_root() / "include"
    paths = [f"-I{include}", f"-I{include / 'vltstd'}"]

    def build(name: str) -> None:
        files = [str(include / f"{name}.cpp"), "-o", str(folder / f"{name}.o")]
        command = [str(toolchain.find("g++")), *COMPILE, *paths, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CocotbError(f"{name}.cpp of Verilator cannot be compiled: {done.stderr[-2000:]}")

    with ThreadPoolExecutor() as pool:
        list(pool.map(build, LIBRARY))


def _missing(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ModuleNotFoundError:
        return True
