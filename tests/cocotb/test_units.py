"""Units and the queue between them under cocotb, each with beats that come and go at random."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwc.hw.core import Core
from hwc.hw.queue import Queue
from hwc.hw.unit import Unit
from hwc.hw.units.activation import Activation
from hwc.hw.units.add import AddUnit
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.window.unit import LineBuffer
from hwc.hw.verilog import plain_verilog
from hwc.sim.cocotb.runner import CocotbError, Outcome, run_cocotb

HERE = Path(__file__).parent
TOP = "unit"
RUNS = 4
"""Tests of each bench."""


def example(kind: type[Unit], number: int) -> Unit:
    return list(kind.examples())[number]


def name_of(kind: type[Unit], number: int) -> str:
    return f"{kind.__module__}:{kind.__name__}:{number}"


def bench(verilog: str, name: str, work: Path, seed: int = 1) -> Outcome:
    """The unit bench on this Verilog of a unit."""
    work.mkdir(parents=True, exist_ok=True)
    source = work / "unit.v"
    source.write_text(verilog)
    return run_cocotb([source], TOP, HERE / "unit_bench.py", work, seed, {"HWC_UNIT": name})


SLOW = [(MatVec, 0), (MatVec, 1), (LineBuffer, 1), (Activation, 1), (Reduce, 1), (AddUnit, 1)]


@pytest.mark.parametrize(
    ("kind", "number"), [(AddUnit, 0), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOW)]
)
def test_every_beat_is_right(kind: type[Unit], number: int, cocotb_work: Path) -> None:
    verilog = plain_verilog(Core(example(kind, number)), TOP)
    work = cocotb_work / f"{kind.__name__}-{number}"
    assert len(bench(verilog, name_of(kind, number), work).passed) == RUNS


CHANGES = {
    "sum": (" + ", " - ", r"y, beat \d+: expected 0x"),
    "fire": ("main_fire = & ", "main_fire = | ", "popped without a beat|promises a beat"),
}


@pytest.mark.parametrize("change", ["sum", pytest.param("fire", marks=pytest.mark.slow)])
def test_a_changed_netlist_fails(change: str, cocotb_work: Path) -> None:
    old, new, message = CHANGES[change]
    before, found, after = plain_verilog(Core(example(AddUnit, 0)), TOP).rpartition(old)
    assert found
    work = cocotb_work / f"AddUnit-{change}"
    with pytest.raises(CocotbError, match=message):
        bench(before + new + after, name_of(AddUnit, 0), work)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 5])
def test_queue(depth: int, cocotb_work: Path) -> None:
    work = cocotb_work / f"queue-{depth}"
    work.mkdir(parents=True, exist_ok=True)
    source = work / "queue.v"
    source.write_text(plain_verilog(Queue(7, depth), TOP))
    found = run_cocotb([source], TOP, HERE / "queue_bench.py", work, 1, {"DEPTH": str(depth)})
    assert len(found.passed) == RUNS
