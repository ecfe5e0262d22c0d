"""Inner loops that data stop: the engine against a naive recursion and against the RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwc.hw.design import Design, DesignError
from hwc.sim.check import verify
from hwc.sim.depths import size_queues
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer, simulate, throughput
from hwc.sim.verilator import Simulation, compile

from .recursion import naive
from .scripted import numbers
from .stopping import Stopping, chains, conditions

FRAMES = 11
PATTERNS = (
    Stalls(),
    Stalls("random", 1, 0.3, 0.3),
    Stalls("random", 2, 0.8, 0.0),
    Stalls("random", 3, 0.0, 0.8),
    Stalls("bursts", 5, 0.5, 0.5),
)


@pytest.mark.parametrize("seed", range(60))
def test_as_the_recursion_says(seed: int) -> None:
    design = chains(range(seed, seed + 1), "n")
    given = conditions(design, FRAMES)
    timing = simulate(design, FRAMES, conditions=given, watch=tuple(e.name for e in design.edges))
    plain = simulate(design, FRAMES, conditions=given)
    for name, cycles in naive(design, FRAMES, given).items():
        assert timing.cycles[name].tolist() == cycles, name
        assert plain.cycles[name].tolist() == cycles, name


@pytest.fixture(scope="module")
def many() -> Design:
    return chains(range(40), "stops")


@pytest.fixture(scope="module")
def simulation(many: Design, builds: Path) -> Simulation:
    return compile(many, builds, taps=tuple(edge.name for edge in many.edges), optimize=0)


@pytest.fixture(scope="module")
def timer(many: Design) -> Timer:
    return Timer(many, FRAMES, conditions(many, FRAMES))


@pytest.mark.parametrize("stalls", PATTERNS, ids=lambda s: f"{s.kind}-{s.inputs}-{s.outputs}")
def test_no_cycle_of_error(
    many: Design, simulation: Simulation, timer: Timer, stalls: Stalls
) -> None:
    x = {name: numbers(layout, FRAMES) for name, layout in many.inputs.items()}
    y = {name: numbers(layout, FRAMES) for name, layout in many.outputs.items()}
    inside = {e.name: numbers(many.layout(e.dst, e), FRAMES) for e in many.edges}
    done = verify(simulation, x, inside | y, stalls=stalls, timer=timer)
    assert done.transfers == sum(z.size for z in (x | y | inside).values()) > 3000
    if not stalls.idle:
        for at in (3, 40):
            verify(simulation, x, y, stalls=stalls, timer=timer, reset_at=at)


def test_without_data_it_is_a_bound() -> None:
    """No beat is later with any data than with none given, stalls or not."""
    earlier = 0
    for seed in range(40):
        design = chains(range(seed, seed + 1), "n")
        for stalls in (None, Stalls("random", seed, 0.4, 0.4)):
            bound = simulate(design, FRAMES, stalls=stalls)
            exact = simulate(design, FRAMES, stalls=stalls, conditions=conditions(design, FRAMES))
            for name, cycles in exact.cycles.items():
                assert (cycles <= bound.cycles[name]).all(), f"seed {seed}"
                earlier += int(cycles[-1] < bound.cycles[name][-1])
    assert earlier > 60


def test_the_bound_is_that_of_full_loops() -> None:
    """Conditions that never hold change nothing; and it is static: it has a steady state."""
    for seed in range(20):
        design = chains(range(seed, seed + 1), "n")
        never = {
            name: {c: np.zeros_like(v) for c, v in given.items()}
            for name, given in conditions(design, FRAMES).items()
        }
        assert Timer(design, FRAMES).flat.static
        bound = simulate(design, FRAMES)
        full = simulate(design, FRAMES, conditions=never)
        for name, cycles in full.cycles.items():
            assert np.array_equal(cycles, bound.cycles[name])
        assert throughput(design).period > 0


def test_queues_are_sized_by_the_bound_or_by_data() -> None:
    design = chains(range(3, 4), "n")
    given = conditions(design, FRAMES)
    for data in (None, given):
        sized = size_queues(design, frames=FRAMES, conditions=data).design
        endless = Timer(design, FRAMES, data).run(depths={e.name: None for e in design.edges})
        assert simulate(sized, FRAMES, conditions=data).last_out[-1] == endless.last_out[-1]


def test_data_must_be_there() -> None:
    design = chains(range(1), "n")
    name = next(iter(design.instances))
    unit = design.instances[name]
    assert isinstance(unit, Stopping)
    with pytest.raises(DesignError, match=r"condition '\w+' of 'n0_u0': 2 frames need"):
        simulate(design, 2, conditions={})
    assert not Timer(design, 2, conditions(design, 2)).flat.static
