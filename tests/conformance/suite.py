"""What every unit has to pass; test_units.py applies it to real ones, test_stubs.py to toys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hwc.hw.design import Design
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.verilog import to_verilog
from hwc.sim import python
from hwc.sim.check import Verified
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer
from hwc.sim.verilator import Simulation

from .bench import PATTERNS, Trial, bench

BATCH = 24
"""Frames of a unit that takes many firings for one."""
QUICK, MANY = 32, 64
"""Frames of a unit that takes at most so many firings for one."""


def batch_of(unit: Unit) -> int:
    """How many frames say enough of a unit."""
    firings = max(p.firings for p in unit.schedule().processes)
    return MANY if firings <= QUICK else BATCH


class Part:
    """Units that run as many frames, built once for all checks."""

    def __init__(self, units: list[Unit], batch: int, builds: Path) -> None:
        self.trial = Trial.of(units, batch, seed=len(units))
        self.simulation: Simulation = self.trial.build(builds)
        self.timer: Timer = self.trial.timer()

    def check(
        self, stalls: Stalls | None = None, *, reset_at: int | None = None, seed: int = 0
    ) -> Verified:
        """See :meth:`Trial.check`."""
        given = self.simulation, self.timer, stalls
        return self.trial.check(*given, reset_at=reset_at, seed=seed)


class Case:
    """All examples of one unit."""

    def __init__(self, units: list[Unit], builds: Path) -> None:
        groups: dict[int, list[Unit]] = {}
        for unit in units:
            groups.setdefault(batch_of(unit), []).append(unit)
        self.parts = [Part(group, batch, builds) for batch, group in groups.items()]


def check_statement(unit: Unit) -> None:
    """The unit's own words agree with each other."""
    graph, schedule = unit.graph(), unit.schedule()
    graph.verify()
    assert [name for name, _ in graph.inputs] == list(unit.inputs())
    assert list(graph.outputs) == list(unit.outputs())
    for name, layout in (*unit.inputs().items(), *unit.outputs().items()):
        assert layout.type == graph.types[name], f"port {name!r}"
    ports = [port for p in schedule.processes for port in (*p.takes, *p.gives)]
    assert sorted(ports) == sorted((*unit.inputs(), *unit.outputs()))
    assert set(schedule.latency) == set(unit.outputs())
    for name, layout in (*unit.inputs().items(), *unit.outputs().items()):
        process = schedule.owner(name)
        if not process.conditions_of(name, stops=False):
            beats = int(process.mask(name).sum())
            assert beats == layout.beats, f"port {name!r} moves {beats} beats of {layout.beats}"
    assert isinstance(unit.resources(), Resources)
    assert unit.levels() >= 0
    assert hash(unit) == hash(replace(unit)), "a unit is a frozen dataclass"  # pyright: ignore
    assert "\n" not in repr(unit)
    assert len(repr(unit)) < 1000


def check_deterministic(unit: Unit) -> None:
    """The same unit gives the same Verilog."""
    assert to_verilog(bench([unit])) == to_verilog(bench([unit]))


def check_stalls(case: Case, stalls: Stalls) -> None:
    """RTL = reference and transfer cycles = timing engine, padding bits being random."""
    for part in case.parts:
        part.check(stalls, seed=stalls.seed)


def check_initial(case: Case) -> None:
    """Nothing depends on padding bits or on what has no initial value."""
    for part in case.parts:
        first, second = (part.check(PATTERNS[1], seed=seed).result for seed in (11, 12))
        for name, cycles in first.cycles.items():
            assert np.array_equal(cycles, second.cycles[name])


def check_reset(case: Case) -> None:
    """A reset in the middle of a frame leaves no trace in the frames after it."""
    for part in case.parts:
        last = part.check().timing.last_out
        for at in (1, int(last[0]) // 2, int(last[0] + last[-1]) // 2):
            part.check(reset_at=at, seed=at)


def check_simulators(unit: Unit) -> None:
    """Amaranth's own simulator sees the same values in the same cycles."""
    trial, stalls = Trial.of([unit], 2, seed=3), Stalls("random", 9, 0.3, 0.3)
    design: Design = trial.design
    counts = {name: len(x) for name, x in trial.expected.items()}
    result = python.run(design, trial.frames, stalls=stalls, counts=counts, seed=5)
    sent = {name: len(x) for name, x in trial.frames.items()}
    timing = trial.timer().run(stalls=stalls, counts=counts | sent)
    for name, want in trial.expected.items():
        assert np.array_equal(result.outputs[name], want), name
    for name, cycles in timing.cycles.items():
        assert np.array_equal(result.cycles[name], cycles), name
