"""The example of docs/cocotb.md runs as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwc.hw.verilog import TOP
from hwc.sim.cocotb.runner import run_cocotb

EXAMPLE = Path(__file__).parents[2] / "examples" / "cocotb_stream.py"


@pytest.mark.slow
def test_own_bench_on_the_bare_network(bundle: Path, cocotb_work: Path) -> None:
    names = {"HWC_BUNDLE": str(bundle)}
    rtl = [bundle / "rtl" / "network.v"]
    found = run_cocotb(rtl, TOP, EXAMPLE, cocotb_work / "example", environment=names)
    assert found.passed == ("as_many_beats_as_frames_have",)
