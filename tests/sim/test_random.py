"""Property: on random networks the timing engine predicts every transfer of the RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwc.hw.design import Design
from hwc.sim import python
from hwc.sim.check import verify
from hwc.sim.stalls import Stalls
from hwc.sim.timing import DeadlockError, Timer, simulate
from hwc.sim.verilator import Simulation, SimulationError, compile

from .scripted import networks, numbers

FRAMES = 12
PATTERNS = (
    Stalls(),
    Stalls("random", 1, 0.3, 0.3),
    Stalls("random", 2, 0.8, 0.0),
    Stalls("random", 3, 0.0, 0.8),
    Stalls("random", 4, 0.8, 0.8),
    Stalls("bursts", 5, 0.5, 0.5),
    Stalls("singles", 6, 0.4, 0.4),
)


def alive(seed: int) -> bool:
    try:
        simulate(networks([seed], "probe"), 3)
    except DeadlockError:
        return False
    return True


def frames_of(design: Design, frames: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    return (
        {name: numbers(layout, frames) for name, layout in design.inputs.items()},
        {name: numbers(layout, frames) for name, layout in design.outputs.items()},
    )


@pytest.fixture(scope="module")
def many() -> Design:
    return networks([seed for seed in range(30) if alive(seed)], "many")


@pytest.fixture(scope="module")
def simulation(many: Design, builds: Path) -> Simulation:
    return compile(many, builds, taps=tuple(edge.name for edge in many.edges), optimize=0)


@pytest.fixture(scope="module")
def timer(many: Design) -> Timer:
    return Timer(many, FRAMES)


@pytest.mark.parametrize("stalls", PATTERNS, ids=lambda s: f"{s.kind}-{s.inputs}-{s.outputs}")
def test_no_cycle_of_error(
    many: Design, simulation: Simulation, timer: Timer, stalls: Stalls
) -> None:
    x, y = frames_of(many, FRAMES)
    inside = {e.name: numbers(many.layout(e.dst, e), FRAMES) for e in many.edges}
    done = verify(simulation, x, inside | y, stalls=stalls, timer=timer)
    assert done.transfers == sum(z.size for z in (x | y | inside).values()) > 10_000


def test_reset(many: Design, simulation: Simulation, timer: Timer) -> None:
    x, y = frames_of(many, FRAMES)
    for at in (0, 7, 61):
        verify(simulation, x, y, stalls=PATTERNS[1], timer=timer, reset_at=at)


def test_amaranth_agrees() -> None:
    design = networks([seed for seed in range(40, 43) if alive(seed)], "few")
    x, y = frames_of(design, 3)
    result = python.run(design, x, stalls=PATTERNS[1])
    timing = simulate(design, 3, stalls=PATTERNS[1])
    for name, want in y.items():
        assert np.array_equal(result.outputs[name], want)
    for name, cycles in timing.cycles.items():
        assert np.array_equal(result.cycles[name], cycles)


def test_deadlocks_are_real(builds: Path) -> None:
    """Whether a network deadlocks depends neither on stalls nor on who computes it."""
    design = networks([next(seed for seed in range(100) if not alive(seed))], "dead")
    for stalls in PATTERNS:
        with pytest.raises(DeadlockError, match="waits for"):
            simulate(design, 4, stalls=stalls)
    x, _ = frames_of(design, 4)
    with pytest.raises(SimulationError, match="did not finish"):
        compile(design, builds, optimize=0).run(x, limit=5000)


def test_deeper_queues_never_slow_anything() -> None:
    for seed in filter(alive, range(0, 60, 7)):
        design = networks([seed], "deep")
        depths = {edge.name: edge.depth + 1 + k % 3 for k, edge in enumerate(design.edges)}
        shallow, deep = simulate(design, 8), simulate(design.with_depths(depths), 8)
        for name, cycles in deep.cycles.items():
            assert (cycles <= shallow.cycles[name]).all(), f"seed {seed}"
