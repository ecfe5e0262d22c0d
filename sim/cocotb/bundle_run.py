"""Runs test_bundle.py: `python run.py`, or `python run.py icarus` for another simulator.

It takes the simulator that is on PATH and builds in ./sim_build. The exit code is 1 if a test
fails or none runs.
"""

import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

HERE = Path(__file__).absolute().parent
TOP = "hwc_top"
SCALE = ("1ns", "1ps")


def main(simulator: str = "verilator") -> None:
    """Build and run."""
    runner = get_runner(simulator)
    place = Path("sim_build").absolute()
    runner.build(
        sources=[HERE.parent / "rtl" / f"{name}.v" for name in ("network", "shell")],
        hdl_toplevel=TOP,
        build_dir=place,
        build_args=["-Wno-fatal"] if simulator == "verilator" else [],
        timescale=SCALE,
    )
    results = runner.test(
        test_module="test_bundle",
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        build_dir=place,
        timescale=SCALE,
    )
    tests, failed = get_results(results)
    sys.exit(int(failed > 0 or tests == 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
