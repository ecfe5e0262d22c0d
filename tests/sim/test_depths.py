"""Queue depths: enough for full speed, and not one beat more."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.hw.design import Design, Edge
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.sim.depths import size_queues
from hwc.sim.timing import DeadlockError, Timer, throughput

from .scripted import Scripted, networks


def speed(design: Design) -> tuple[int, object]:
    timing = throughput(design)
    return timing.latency, timing.interval


def endless(design: Design) -> tuple[int, object]:
    timing = Timer(design, 200).run(steady=True, depths={e.name: None for e in design.edges})
    return timing.latency, timing.interval


def test_as_fast_as_endless_queues_and_minimal() -> None:
    tried = 0
    for seed in range(24):
        design = networks([seed], "n")
        if len(design.edges) > 6:
            continue
        sized = size_queues(design)
        assert speed(sized.design) == endless(design), f"seed {seed}"
        for name, depth in sized.depths.items():
            if depth == 1:
                continue
            try:
                less = speed(sized.design.with_depths({name: depth - 1}))
            except DeadlockError:
                continue
            assert less != speed(sized.design), f"seed {seed}: {name} could be {depth - 1}"
            tried += 1
    assert tried > 20


def wire(latency: int, beats: int = 8) -> Scripted:
    nest = Nest((("b", beats),), takes={"x": Mask.always()}, gives={"y": Mask.always()})
    return Scripted(Schedule.single(nest, latency))


def chain(latencies: list[int]) -> Design:
    units = {f"u{k}": wire(latency) for k, latency in enumerate(latencies)}
    ends = [("", "x"), *((name, "y") for name in units)]
    heads = [*((name, "x") for name in units), ("", "y")]
    edges = tuple(Edge(a, b) for a, b in zip(ends, heads, strict=True))
    return Design("chain", units, edges)


def test_full_rate_needs_latency_plus_two() -> None:
    sized = size_queues(chain([0, 3, 7]))
    assert list(sized.depths.values()) == [2, 2, 5, 9]
    assert sized.timing.interval == 8


def test_a_floor() -> None:
    sized = size_queues(chain([0, 3]), least=4)
    assert list(sized.depths.values()) == [4, 4, 5]


def test_a_branch_that_holds_back_a_frame() -> None:
    """One path collects a whole frame first, so the other has to keep it."""
    take = Nest((("i", 16),), takes={"x": Mask.always()})
    give = Nest((("o", 16),), gives={"y": Mask.always()})
    join = Nest((("b", 16),), takes={"a": Mask.always(), "b": Mask.always()},
                gives={"y": Mask.always()})  # fmt: skip
    units = {
        "hold": Scripted(Schedule.single(take, 0, "p")),
        "join": Scripted(Schedule.single(join, 1)),
    }
    process = units["hold"].script.process("p")
    both = type(process)("p", (take, give))
    units["hold"] = Scripted(Schedule((both,), {"y": 2}))
    edges = (
        Edge(("", "x"), ("hold", "x")),
        Edge(("", "x"), ("join", "b")),
        Edge(("hold", "y"), ("join", "a")),
        Edge(("join", "y"), ("", "y")),
    )
    design = Design("branch", units, edges)
    with pytest.raises(DeadlockError):
        throughput(design)
    sized = size_queues(design)
    assert sized.timing.interval == 32
    assert 16 <= sized.depths["q_x__join_b"] <= 22


def test_forty_edges_take_seconds() -> None:
    sized = size_queues(chain([k % 4 for k in range(39)]))
    assert sized.runs < 200
    assert np.array_equal(list(sized.depths.values())[1:], [k % 4 + 2 for k in range(39)])


def test_what_cannot_run_at_all() -> None:
    """Two outputs in turn, a frame of one before a frame of the other, met in the other order."""
    first = Nest((("i", 2),), takes={"x": Mask.always()}, gives={"a": Mask.always()})
    ring = Nest((("i", 2),), takes={"x": Mask.always(), "back": Mask.always()},
                gives={"y": Mask.always()})  # fmt: skip
    units = {"u": Scripted(Schedule.single(ring, 1)), "v": Scripted(Schedule.single(first, 1))}
    edges = (
        Edge(("", "x"), ("u", "x")),
        Edge(("u", "y"), ("v", "x")),
        Edge(("v", "a"), ("u", "back")),
    )
    with pytest.raises(DeadlockError, match=r"u.main .* waits for a beat in q_v_a__u_back"):
        size_queues(Design("ring", units, edges))
