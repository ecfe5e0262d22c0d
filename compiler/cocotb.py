"""`hwc verify --cocotb`: the testbench that a bundle carries, run on the RTL that it ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import hwc.sim.cocotb
from hwc.compiler.files import sha256
from hwc.compiler.system import BundleError, checked
from hwc.host import DriverError, read_manifest
from hwc.sim.cocotb.runner import Outcome, run_cocotb

__all__ = ["BENCH", "verify_with_cocotb", "write_bench"]

BENCH = "cocotb/test_bundle.py"
LONG = 50_000
"""Cycles of the golden vectors from which an optimized simulator is worth its compilation."""


def write_bench(bundle: Path) -> None:
    """Write ``cocotb/`` into a bundle that has an AXI shell."""
    source, target = Path(hwc.sim.cocotb.__file__).parent, (bundle / BENCH).parent
    target.mkdir()
    shutil.copyfile(source / "bundle_bench.py", bundle / BENCH)
    shutil.copyfile(source / "bundle_run.py", target / "run.py")


def verify_with_cocotb(bundle: Path, work: Path, seed: int = 1) -> Outcome:
    """Run the testbench of ``bundle``; its tests, all passed.

    ``work`` keeps the simulator, ``seed`` is that of all stalls. Raises BundleError if the bundle
    has no bench or a file is not the one of the manifest, CocotbError if a test fails, MissingTool
    without cocotb.
    """
    try:
        manifest = read_manifest(bundle)
    except DriverError as error:
        raise BundleError(str(error)) from error
    if not (bundle / BENCH).is_file():
        raise BundleError(
            f"{bundle} has no {BENCH}: its shell is not an AXI one, or it is an old one"
        )
    text = "".join(checked(bundle, manifest[part]) for part in ("rtl", "shell"))
    return run_cocotb(
        [bundle / manifest[part]["file"] for part in ("rtl", "shell")],
        manifest["shell"]["top"],
        bundle / BENCH,
        work / f"cocotb-{sha256(text)[:16]}",
        seed,
        {"HWC_BUNDLE": str(bundle.absolute())},
        ("cocotb", "cocotbext.axi"),
        int(manifest["cycles"]["golden_span"] > LONG),
    )
