"""Toy units wired together: forks and joins, an early exit, an array that feeds itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwc.hw.design import Design, Edge
from hwc.sim.check import verify
from hwc.sim.stalls import Stalls
from hwc.sim.timing import DeadlockError, Timer, simulate
from hwc.sim.verilator import SimulationError, compile

from .bench import PATTERNS
from .stubs import Copy, Interleave, Join, Merge, Shared, Steer

BATCH = 12
SMALL = (-8, 7)


def x_of(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 8, (BATCH, size))


IDS = [f"{s.kind}-{s.inputs}-{s.outputs}" for s in PATTERNS]


def fork_and_join(depth: int) -> Design:
    units = {
        "slow": Copy(size=6, lanes=1, type=SMALL, latency=9),
        "fast": Copy(size=6, lanes=1, type=SMALL, latency=0),
        "join": Join(size=6),
    }
    edges = (
        Edge(("", "x"), ("slow", "x")),
        Edge(("", "x"), ("fast", "x")),
        Edge(("slow", "y"), ("join", "a"), 11),
        Edge(("fast", "y"), ("join", "b"), depth),
        Edge(("join", "y"), ("", "y"), 4),
    )
    return Design("fork", units, edges)


@pytest.mark.parametrize("stalls", PATTERNS, ids=IDS)
@pytest.mark.parametrize("depth", [1, 3, 12])
def test_fork_and_join(depth: int, stalls: Stalls, builds: Path) -> None:
    design, x = fork_and_join(depth), x_of(6)
    taps = tuple(edge.name for edge in design.edges)
    simulation = compile(design, builds, taps=taps, optimize=0)
    expected = dict.fromkeys(taps[:4], x) | {"y": 2 * x}
    done = verify(simulation, {"x": x}, expected, stalls=stalls)
    assert done.transfers == 7 * BATCH * 6


def test_a_deep_enough_queue_keeps_the_rate() -> None:
    beats = 6
    assert simulate(fork_and_join(12), BATCH).interval == beats
    assert simulate(fork_and_join(3), BATCH).interval > beats


def starving(depth: int) -> Design:
    """One stream feeds both inputs, but one input waits until the other has all of a frame."""
    units = {"merge": Interleave(a=4, b=4, order=(True,) * 4 + (False,) * 4)}
    edges = (
        Edge(("", "x"), ("merge", "a")),
        Edge(("", "x"), ("merge", "b"), depth),
        Edge(("merge", "y"), ("", "y")),
    )
    return Design("starving", units, edges)


def test_deadlock_is_told_and_real(builds: Path) -> None:
    x = x_of(4)
    y = x.sum(axis=1, keepdims=True).repeat(2, axis=1)
    story = (
        "'starving' deadlocks: input x .frame 0, firing 3 of 4. waits for room .depth 3. in "
        "q_x__merge_b; merge.main .frame 0, firing 3 of 10. waits for a beat in q_x__merge_a; "
        "which is input x again"
    )
    with pytest.raises(DeadlockError, match=story):
        simulate(starving(3), BATCH)
    simulation = compile(starving(3), builds, optimize=0)
    with pytest.raises(SimulationError, match="within 500 cycles: stream 'x' moved 3 of 48 beats"):
        simulation.run({"x": x}, limit=500)
    verify(compile(starving(4), builds, optimize=0), {"x": x}, {"y": y})


def early_exit() -> Design:
    units = {
        "steer": Steer(size=5),
        "deep": Copy(size=5, lanes=1, type=SMALL, latency=11),
        "merge": Merge(size=5),
    }
    edges = (
        Edge(("", "flag"), ("steer", "flag")),
        Edge(("", "flag"), ("merge", "flag"), 3),
        Edge(("", "x"), ("steer", "x")),
        Edge(("steer", "hard"), ("deep", "x"), 4),
        Edge(("deep", "y"), ("merge", "hard"), 8),
        Edge(("steer", "easy"), ("merge", "easy"), 1),
        Edge(("merge", "y"), ("", "y"), 3),
    )
    return Design("exit", units, edges)


@pytest.mark.parametrize("stalls", PATTERNS, ids=IDS)
def test_early_exit(stalls: Stalls, builds: Path) -> None:
    design, x = early_exit(), x_of(5)
    flag = np.random.default_rng(5).integers(0, 2, (BATCH, 1))
    conditions = {"is_hard": np.repeat(flag[:, 0] > 0, 5)}
    y = np.where(flag > 0, x.sum(axis=1, keepdims=True), x[:, :1])
    taps = ("q_deep_y__merge_hard", "q_steer_easy__merge_easy")
    simulation = compile(design, builds, taps=taps, optimize=0)
    verify(
        simulation,
        {"x": x, "flag": flag},
        {"y": y, taps[0]: x[flag[:, 0] > 0], taps[1]: x[flag[:, 0] == 0][:, :1]},
        stalls=stalls,
        conditions={"steer": conditions, "merge": conditions},
    )


def test_easy_samples_are_quicker() -> None:
    def last(hard: bool) -> int:
        given = {"is_hard": np.full(BATCH * 5, hard)}
        timer = Timer(early_exit(), BATCH, {"steer": given, "merge": given})
        return int(timer.run().last_out[0])

    assert last(True) > last(False) + 5


def test_an_array_feeds_itself(builds: Path) -> None:
    units = {"array": Shared(size=4)}
    edges = (
        Edge(("", "x"), ("array", "a")),
        Edge(("array", "b"), ("array", "c"), 1),
        Edge(("array", "d"), ("", "y")),
    )
    design, x = Design("loop", units, edges), x_of(4)
    y = 3 * x.sum(axis=1, keepdims=True).repeat(2, axis=1)
    simulation = compile(design, builds, optimize=0)
    for stalls in PATTERNS:
        verify(simulation, {"x": x}, {"y": y}, stalls=stalls)
