"""The C++ harness: what goes in, what comes out, and what it complains of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwc.hw.design import Design, Edge
from hwc.sim import model
from hwc.sim.check import VerificationError, compare, verify
from hwc.sim.stalls import Stalls
from hwc.sim.verilator import Simulation, SimulationError, compile

from .wire import Wire

WIDTHS = (1, 8, 9, 31, 32, 33, 63, 64, 65, 128, 200)
"""One, eight bits ... and more than C++ has integers for: each its own kind of port."""


def wires(latency: int = 1) -> Design:
    """A wire of each width, with names that Verilog and C++ might stumble over."""
    units, edges = {}, []
    for width in WIDTHS:
        name = f"w__{width}"
        units[name] = Wire(width, latency)
        edges.append(Edge(("", f"in__{width}"), (name, "x"), 1 + width % 3))
        edges.append(Edge((name, "y"), ("", f"out_{width}"), 3))
    return Design("wires", units, tuple(edges))


@pytest.fixture(scope="module")
def simulation(builds: Path) -> Simulation:
    design = wires()
    return compile(design, builds, taps=tuple(edge.name for edge in design.edges), optimize=0)


def bits(width: int, frames: int = 9) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 2, (frames, 3, width))


@pytest.fixture(scope="module")
def frames() -> dict[str, np.ndarray]:
    return {f"in__{width}": bits(width) for width in WIDTHS}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    edges = {edge.name: bits(int(edge.name.split("_")[-1])) for edge in wires().edges[1::2]}
    return edges | {f"out_{width}": bits(width) for width in WIDTHS}


def test_every_width(simulation: Simulation, frames: dict, expected: dict) -> None:
    for stalls in (Stalls(), Stalls("random", 1)):
        done = verify(simulation, frames, expected, stalls=stalls)
        assert done.values == 9 * 3 * (2 * sum(WIDTHS))
        assert done.transfers == 9 * 3 * 4 * len(WIDTHS)


def test_a_run_is_repeatable(simulation: Simulation, frames: dict) -> None:
    stalls = Stalls("bursts", 4, 0.5, 0.5)
    first, second = (simulation.run(frames, stalls=stalls) for _ in range(2))
    for name, cycles in first.cycles.items():
        assert np.array_equal(cycles, second.cycles[name])


def test_reset_starts_over(simulation: Simulation, frames: dict, expected: dict) -> None:
    for at in (0, 1, 13, 10_000):
        verify(simulation, frames, expected, reset_at=at)


def test_a_wrong_value_is_found(simulation: Simulation, frames: dict, expected: dict) -> None:
    wrong = {name: x.copy() for name, x in expected.items()}
    wrong["out_65"][4, 1, 64] ^= 1
    want = int(wrong["out_65"][4, 1, 64])
    message = (
        rf"stream 'out_65', frame 4, index \(1, 64\): expected {want}, got {1 - want}; "
        r"beat 1 of the frame, in cycle \d+; 1 of 1755 values differ"
    )
    with pytest.raises(VerificationError, match=message):
        verify(simulation, frames, wrong)
    wrong["q_w__9_y__out_9"] = 1 - wrong["q_w__9_y__out_9"]
    with pytest.raises(VerificationError, match=r"edge 'q_w__9_y__out_9', frame 0, index \(0, 0\)"):
        verify(simulation, frames, wrong)


def test_a_missing_frame_is_found(simulation: Simulation, frames: dict, expected: dict) -> None:
    result = simulation.run(frames)
    short = expected | {"out_8": expected["out_8"][:-1]}
    with pytest.raises(VerificationError, match=r"8 frames of \(3, 8\) expected, got 9"):
        compare(simulation, result, short)
    with pytest.raises(VerificationError, match="'q_a_y' is neither an output stream nor tapped"):
        verify(simulation, frames, expected | {"q_a_y": expected["out_1"]})
    with pytest.raises(VerificationError, match="nothing to compare output stream 'out_1' with"):
        verify(simulation, frames, {})


def test_a_wrong_prediction_is_found(simulation: Simulation, frames: dict, expected: dict) -> None:
    lying = replace(simulation, design=wires(latency=2))
    message = r"edge '.*': beat 0 moved in cycle 3, predicted was 4; 38 of 44 streams differ"
    with pytest.raises(VerificationError, match=message):
        verify(lying, frames, expected)


def test_too_few_cycles(simulation: Simulation, frames: dict) -> None:
    message = r"'wires' did not finish within 20 cycles: stream 'in__1' moved \d+ of 27 beats, "
    with pytest.raises(SimulationError, match=message):
        simulation.run(frames, limit=20)


def test_one_beat_too_many(simulation: Simulation, frames: dict) -> None:
    message = r"stream 'out_9' gave one beat too many in cycle \d+ \(24 of 24 beats moved\)"
    with pytest.raises(SimulationError, match=message):
        simulation.run(frames, counts={"out_9": 8})


def test_streams_must_match(simulation: Simulation, frames: dict) -> None:
    with pytest.raises(SimulationError, match=r"streams in are \['in__1', .* not \['x'\]"):
        simulation.run({"x": bits(3)})


def test_unknown_taps(builds: Path) -> None:
    with pytest.raises(SimulationError, match=r"no edge 'q' to tap; there are \['q_"):
        compile(wires(), builds, taps=("q",))


def test_a_build_is_kept(
    simulation: Simulation, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_model", None)
    again = compile(wires(), builds, taps=simulation.taps, optimize=0)
    assert again.program == simulation.program
    assert again == simulation


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_runtime", lambda directory: tmp_path / "runtime")
    monkeypatch.setattr(model, "VERILATE", ("--no-such-option",))
    with pytest.raises(SimulationError, match=r"verilator failed: .*no-such-option"):
        compile(wires(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_taps_leave_the_verilog_alone(simulation: Simulation) -> None:
    assert "public" not in simulation.verilog
    assert simulation.verilog.startswith("\nmodule")


def test_large_models_are_compiled_in_parts(
    builds: Path, frames: dict, expected: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = model._runtime(builds)
    monkeypatch.setattr(model, "_runtime", lambda directory: runtime)
    monkeypatch.setattr(model, "UNITY", 1)
    outputs = {name: x for name, x in expected.items() if name.startswith("out")}
    verify(compile(wires(), tmp_path, optimize=0, jobs=1), frames, outputs)
