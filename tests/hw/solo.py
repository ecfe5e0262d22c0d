"""One unit between streams of its own, in Amaranth's simulator: small, and needs no compiler."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from hwc.compiler.graph import run
from hwc.hw.design import Design, Edge
from hwc.hw.unit import Unit
from hwc.sim import python
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer, throughput


def solo(unit: Unit, extra: int = 2) -> Design:
    """The unit alone, its output queues ``extra`` deeper than its latency."""
    latency = unit.schedule().latency
    edges = [Edge(("", port), ("unit", port), 2) for port in unit.inputs()]
    edges += [Edge(("unit", port), ("", port), latency[port] + extra) for port in unit.outputs()]
    return Design("solo", {"unit": unit}, tuple(edges))


def check(unit: Unit, seed: int = 0, batch: int = 3, stall: float = 0.3) -> None:
    """RTL equals the reference, and its transfer cycles equal the timing engine's."""
    rng = np.random.default_rng(seed)
    frames = unit.stimulus(rng, batch)
    want = run(unit.graph(), frames)
    design = solo(unit)
    stalls = Stalls("random", seed, stall, stall) if stall else Stalls()
    got = python.run(design, frames, stalls=stalls, seed=seed, limit=20_000)
    for name, value in got.outputs.items():
        wrong = np.argwhere(value != want[name])
        assert not len(wrong), f"{unit}: {name} differs at {wrong[0]}, seed {seed}"
    timer = Timer(design, batch, {"unit": unit.conditions(frames)})
    for name, cycles in timer.run(stalls=stalls).cycles.items():
        assert np.array_equal(got.cycles[name], cycles), f"{unit}: cycles of {name}, seed {seed}"


def interval(unit: Unit) -> Fraction:
    """Cycles a frame in the steady state, nothing outside in the way."""
    return throughput(solo(unit, 4)).interval


def firings(unit: Unit) -> int:
    """Firings a frame of the busiest process: no interval can be shorter."""
    return max(process.firings for process in unit.schedule().processes)
