"""Synthesis of a design: every distinct part once, sums over all of them."""

from __future__ import annotations

import pytest
from amaranth.lib import wiring

from hwc.compiler import synthesis
from hwc.compiler.graph import Add, Type
from hwc.compiler.synthesis import synthesize_design
from hwc.hw.design import Design, Edge
from hwc.hw.units.add import AddUnit
from hwc.hw.verilog import plain_verilog
from hwc.sim.synth import Synthesis

U4 = Type((8,), 0, 15)


def twice() -> Design:
    """Two equal adders, one behind the other, and queues of two kinds."""
    first = AddUnit(Add((1, 1)), (U4, U4), (2,))
    second = AddUnit(Add((1, 1)), (U4, U4), (2,))
    edges = [Edge(("", f"in{k}{p}"), (f"add{k}", f"x{p}")) for k in (0, 1) for p in (0, 1)]
    edges += [Edge((f"add{k}", "y"), ("", f"out{k}"), depth=4) for k in (0, 1)]
    return Design("twice", {"add0": first, "add1": second}, tuple(edges))


def test_equal_parts_are_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def fake(part: wiring.Component) -> Synthesis:
        texts.append(plain_verilog(part, "top"))
        return Synthesis({"LUT6": 10, "FDRE": 3, "RAMB18E1": 1, "DSP48E1": 2}, 7, len(texts), ())

    monkeypatch.setattr(synthesis, "synthesize", fake)
    steps: list[str] = []
    found = synthesize_design(twice(), steps.append)
    assert len(texts) == len(set(texts)) == len(steps) == 3
    assert len(found.parts) == 8
    assert found.record() == {"lut": 80, "lc": 56, "ff": 24, "dsp": 16, "bram36": 4}
    assert found.levels == 3


@pytest.mark.slow
def test_the_sum_is_close_to_the_whole() -> None:
    design = twice()
    found = synthesize_design(design)
    said = design.instances["add0"].resources()
    assert found.units["add0"].resources() == said
    assert found.units["add0"] is found.units["add1"]
