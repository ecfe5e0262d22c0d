"""The timing engine against Verilator: cycles of error and speed, on whole networks.

    python benchmarks/timing_engine.py [--nets tfc-w2a2,...] [--frames 100] [--work build/timing]

Each network is trained for one epoch (what takes how long does not depend on the weights' values),
mapped to pynq-z2 and given queues of the sizes that a build gives it. The same frames then go
through Verilator and the engine, and every transfer at both ends and on every inner edge is
compared. Writes docs/timing_engine.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from hwc.boards.board import get
from hwc.compiler.lower import hardware, lower
from hwc.compiler.map.mapping import Goal, Mapping, map_graph
from hwc.hw.design import Design
from hwc.hw.unit import extremes
from hwc.models import load, save, train
from hwc.sim.depths import size_queues
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer, Timing
from hwc.sim.verilator import Result, Simulation, compile

NETS = "tfc-w1a1,tfc-w2a2,resnet-s-w4a4"
RUNS = (Stalls(), Stalls("random", 1, 0.3, 0.3), Stalls("bursts", 2, 0.3, 0.3))
HEAD = """# The timing engine

Made by `python benchmarks/timing_engine.py` ({frames} frames a run, 2 cores).

The engine evaluates when every process of a design fires (`sim/timing.py`); nothing is simulated.
*Error* is the largest difference, in cycles, over all transfers on all streams and inner edges.
Speeds are clock cycles of the design per second of one core. *Every firing* evaluates each firing
of each frame, as stalls demand. *As used*, without stalls, evaluation ends once all processes
repeat, and later frames follow from the period: that is how folds are explored and queues sized.
Verilator is compiled with -O2 and runs without taps for the speed.

"""
DATA = """
## What depends on data

Two things may: which firings use a port (masks with a condition) and how long an inner loop lasts
(`Nest.stop`: the firing for which a condition of the datapath holds is the last of its round, those
that are left take no cycle). A unit says by `conditions(frames)` what its datapath will find in
every firing; with that the engine is as exact as without: firings that are skipped have the time of
the one before them, and everything else is the same recursion. The answer holds for these frames
and has no steady state.

Without conditions nothing is skipped. For designs in which only loops depend on data that is a
bound for every input, and static: no beat comes later, under any stalls. That needs three rules,
which a schedule is refused without: a loop that may stop uses ports only in its last firing, none
of its needs or addresses depends on its index, and others wait for whole rounds of it. Where its
first firing took a beat, for instance, a round of one firing would have to wait for room before
it takes, a full round would not: it can hold a beat that a short one cannot, and the short one is
the slower, or the one that ends in a deadlock. By the same rules the numbers of beats do not depend
on data, so queues are sized and deadlocks found by the bound.
"""
COLUMNS = (
    "network",
    "stalls",
    "processes",
    "cycles",
    "transfers compared",
    "error",
    "Verilator kcycles/s",
    "every firing kcycles/s",
    "ratio",
    "as used kcycles/s",
    "ratio",
)
T = TypeVar("T")


def line(cells: tuple[object, ...]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def timed(work: Callable[[], T], least: float = 0.5) -> tuple[T, float]:
    """The result and the seconds of the fastest of some repetitions."""
    best, total = float("inf"), 0.0
    while True:
        start = time.perf_counter()
        result = work()
        took = time.perf_counter() - start
        best, total = min(best, took), total + took
        if total > least:
            return result, best


def network(name: str, work: Path) -> Mapping:
    """The network as a build maps it, with its queues sized."""
    path = work / f"{name}.pt"
    if not path.exists():
        trained = train(name, "mnist5k", epochs=1, progress=False)
        image = torch.from_numpy(trained.data.x_test[:1]).double() * trained.data.scale
        save(trained.model, image, path, name=name)
    graph = hardware(lower(load(path).source).graph)
    mapped = map_graph(graph, get("pynq-z2"), Goal())
    return mapped.with_design(size_queues(mapped.design).design)


def error(timing: Timing, result: Result) -> tuple[int, int]:
    """Largest difference in cycles over all transfers, and how many there are."""
    pairs = [(result.cycles[name], cycles) for name, cycles in timing.cycles.items()]
    pairs += [(tap.cycles, timing.taken[name]) for name, tap in result.taps.items()]
    for got, want in pairs:
        assert len(got) == len(want)
    return max(int(abs(a - b).max()) for a, b in pairs), sum(len(a) for a, _ in pairs)


def never() -> Stalls:
    """Stalls that never come but make the engine evaluate every firing."""
    return Stalls("random", 0, 1e-12, 1e-12)


def rows(name: str, design: Design, frames: int, work: Path) -> list[tuple[object, ...]]:
    """One row for each pattern of stalls."""
    edges = tuple(edge.name for edge in design.edges)
    watched = compile(design, work / "cache", taps=edges, optimize=2)
    plain: Simulation = compile(design, work / "cache", optimize=2)
    rng = np.random.default_rng(0)
    x = {stream: extremes(at.type, rng, frames) for stream, at in design.inputs.items()}
    timer = Timer(design, frames)
    out = []
    for stalls in RUNS:
        every = never() if stalls.idle else stalls
        timing, seconds = timed(lambda every=every: timer.run(stalls=every))
        cycles = int(max(c[-1] for c in timing.cycles.values())) + 1
        limit = 2 * cycles
        result = watched.run(x, stalls=stalls, limit=limit)
        wrong, transfers = error(timer.run(stalls=stalls, watch=edges), result)
        _, slow = timed(lambda stalls=stalls, limit=limit: plain.run(x, stalls=stalls, limit=limit))
        used: tuple[object, ...] = ("-", "-")
        if stalls.idle:
            _, quick = timed(timer.run)
            used = (f"{cycles / quick / 1e3:,.0f}", f"{slow / quick:,.0f}")
        speed = (f"{cycles / slow / 1e3:,.0f}", f"{cycles / seconds / 1e3:,.0f}")
        head = (name, stalls.kind, len(timing.loads), f"{cycles:,}", f"{transfers:,}", wrong)
        out.append((*head, *speed, f"{slow / seconds:,.0f}", *used))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", default=NETS)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path("build/timing"))
    parser.add_argument("--out", type=Path, default=Path("docs/timing_engine.md"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    work = args.work.absolute()
    text = HEAD.format(frames=args.frames) + line(COLUMNS) + line(("---",) * len(COLUMNS))
    for name in args.nets.split(","):
        for row in rows(name, network(name, work).design, args.frames, work):
            text += line(row)
            print(line(row), end="", flush=True)
    args.out.write_text(text + DATA)


if __name__ == "__main__":
    main()
