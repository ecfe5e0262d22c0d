"""Reading mapped netlists, and one synthesis."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal

from hwc.hw.resources import Resources
from hwc.sim import toolchain
from hwc.sim.depth import longest_path
from hwc.sim.synth import Synthesis, SynthesisError, synthesize, synthesize_rtlil


def cell(kind: str, parameters: dict[str, str] | None = None, **pins: list) -> dict:
    return {"type": kind, "parameters": parameters or {}, "connections": pins}


def test_path_through_luts_and_a_carry_chain() -> None:
    """FF -> LUT2 -> S of a CARRY4 -> CI of the next -> its top output -> FF."""
    cells = {
        "ff": cell("FDRE", C=[2], D=[40], Q=[3]),
        "lut": cell("LUT2", I0=[3], I1=[4], O=[5]),
        "low": cell(
            "CARRY4",
            CI=["0"],
            CYINIT=["0"],
            S=[5, "0", "0", "0"],
            DI=[4, "0", "0", "0"],
            O=[10, 11, 12, 13],
            CO=[14, 15, 16, 17],
        ),
        "high": cell(
            "CARRY4",
            CI=[17],
            CYINIT=["0"],
            S=["0", "0", "0", 6],
            DI=["0", "0", "0", "0"],
            O=[37, 38, 39, 40],
            CO=[44, 45, 46, 47],
        ),
    }
    module = {"ports": {"a": {"bits": [4, 6]}, "clk": {"bits": [2]}}, "cells": cells}
    assert longest_path(module) == (17, ("LUT2", "CARRY4", "CARRY4"))
    # The lowest output does not depend on the DI pin of its own position.
    cells["ff"]["connections"]["D"] = [10]
    cells["lut"]["connections"]["I1"] = ["0"]
    cells["high"]["connections"]["CI"] = ["0"]
    del cells["high"]
    assert longest_path(module) == (16, ("LUT2", "CARRY4"))


@pytest.mark.parametrize(
    ("registers", "eighths"), [({}, 40), ({"MREG": "1"}, 0), ({"PREG": "1"}, 0)]
)
def test_path_through_a_multiplier(registers: dict[str, str], eighths: int) -> None:
    pins = {"A": [3, 4], "B": [5], "C": ["0"], "P": [6, 7]}
    module = {"ports": {}, "cells": {"dsp": cell("DSP48E1", registers, **pins)}}
    assert longest_path(module)[0] == eighths


def test_counts() -> None:
    cells = {"LUT1": 9, "LUT2": 1, "LUT6": 2, "INV": 4, "SRL16E": 3, "FDRE": 5, "FDSE": 1}
    cells |= {"RAMB36E1": 2, "RAMB18E1": 1, "DSP48E1": 7, "RAM32M": 2, "RAM128X1S": 3}
    found = Synthesis(cells, 0, 0, ())
    assert found.resources() == Resources(lut=20, ff=6, dsp=7, bram18=5)


@pytest.mark.slow
@pytest.mark.parametrize("tool", toolchain.YOSYS, ids=lambda tool: tool.package)
def test_synthesis_is_run_once(
    tool: toolchain.Yosys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(tool.package.replace("-", "_"))
    monkeypatch.setattr(toolchain, "YOSYS", [tool])
    m = Module()
    a, b, o = Signal(8, name="a"), Signal(8, name="b"), Signal(8, name="o")
    m.d.sync += o.eq(a + b)
    first = synthesize(m, [a, b, o], cache=tmp_path)
    assert (first.lut, first.ff, first.carry4, first.levels) == (8, 8, 2, 3)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace('"LUT2": 8', '"LUT2": 9'))
    m = Module()
    m.d.sync += o.eq(a + b)
    assert synthesize(m, [a, b, o], cache=tmp_path).lut == 9
    with pytest.raises(SynthesisError, match=r"yosys failed .*1[^$]*ERROR"):
        synthesize_rtlil("module \\top\nwire\nend", cache=tmp_path)
