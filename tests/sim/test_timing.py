"""The timing engine by itself; that it agrees with the RTL is shown in test_random.py."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwc.compiler.graph import Type
from hwc.hw.design import Design, DesignError, Edge
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.sim.stalls import Stalls
from hwc.sim.timing import DeadlockError, Timer, simulate, throughput

from .scripted import Scripted, networks

NEVER_IDLE = Stalls("random", 1, 1e-12, 1e-12)
"""Stalls that never come: they only keep the engine from looking for a steady state."""


def one(latency: int, beats: int, out: int = 9, queue: int = 9, every: int = 1) -> Design:
    """A unit that spends ``every`` firings on each beat and gives as many as it takes."""
    nest = Nest(
        (("b", beats), ("i", every)),
        takes={"x": Mask.at(i="first")},
        gives={"y": Mask.at(i="last")},
    )
    unit = Scripted(Schedule.single(nest, latency))
    edges = (Edge(("", "x"), ("u", "x"), queue), Edge(("u", "y"), ("", "y"), out))
    return Design("one", {"u": unit}, edges)


def test_by_hand() -> None:
    """Taken one cycle after the transfer in, given then, out latency + 1 later."""
    timing = simulate(one(latency=3, beats=4), 2)
    assert timing.cycles["x"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert timing.cycles["y"].tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    assert (timing.latency, timing.interval) == (9, 4)


def test_a_shallow_queue_by_hand() -> None:
    """Depth 1 and latency 0: a beat leaves one cycle after it came, its credit one later."""
    timing = simulate(one(latency=0, beats=4, out=1), 1)
    assert timing.cycles["y"].tolist() == [2, 4, 6, 8]


def test_watched_edges() -> None:
    timing = simulate(one(latency=3, beats=4), 2, watch=("q_x__u_x", "q_u_y__y"))
    assert timing.visible["q_x__u_x"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert timing.taken["q_x__u_x"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert timing.visible["q_u_y__y"].tolist() == timing.cycles["y"].tolist()


def test_watching_changes_nothing() -> None:
    """Unwatched edges take a shortcut in the engine; the RTL is compared with watched ones."""
    compared = 0
    for seed in range(40):
        design = networks([seed], "n")
        edges = tuple(edge.name for edge in design.edges)
        for stalls in (NEVER_IDLE, Stalls("random", seed, 0.5, 0.3)):
            try:
                full = simulate(design, 6, stalls=stalls, watch=edges)
            except DeadlockError:
                continue
            plain = simulate(design, 6, stalls=stalls)
            for name, cycles in full.cycles.items():
                assert np.array_equal(cycles, plain.cycles[name]), f"seed {seed}"
            assert plain.loads == full.loads
            compared += len(edges) > 3
    assert compared > 20


def test_slow_units_set_the_pace() -> None:
    timing = throughput(one(latency=1, beats=4, every=3))
    assert timing.interval == 12
    assert timing.period == 1
    assert timing.bottleneck == "u.main"
    assert timing.frames < 16
    assert not timing.cycles


def test_lost_cycles_add_up() -> None:
    """Every cycle of a sink up to its last firing is a firing or a wait for a beat."""
    for seed in range(20):
        try:
            timing = simulate(networks([seed], "n"), 5, stalls=NEVER_IDLE)
        except DeadlockError:
            continue
        (sink,) = (load for load in timing.loads if load.name.startswith("output"))
        assert sink.firings + sink.starved == timing.last_out[-1] + 1


@pytest.mark.parametrize("frames", [1, 2, 7, 40])
def test_the_steady_state_is_continued_exactly(frames: int) -> None:
    periods = set()
    for seed in range(40):
        design = networks([seed], "n")
        watch = tuple(edge.name for edge in design.edges)
        try:
            short = simulate(design, frames, watch=watch)
        except DeadlockError:
            continue
        full = simulate(design, frames, watch=watch, stalls=NEVER_IDLE)
        periods.add(short.period)
        assert full.period == 0
        for a, b in ((short.cycles, full.cycles), (short.visible, full.visible),
                     (short.taken, full.taken)):  # fmt: skip
            for name, cycles in a.items():
                assert np.array_equal(cycles, b[name]), f"seed {seed}, {name}"
        assert np.array_equal(short.first_in, full.first_in)
        assert np.array_equal(short.last_out, full.last_out)
    assert periods == {0} if frames <= 2 else 1 in periods


def late_branch() -> Design:
    """A frame is one beat every ten cycles; one branch of a fork is twenty frames late."""
    pace = Nest((("i", 10),), takes={"x": Mask.at(i="first")}, gives={"y": Mask.at(i="first")})
    both = Mask.always()
    units = {
        "late": Scripted(Schedule.single(pace, 200)),
        "join": Scripted(Schedule.single(Nest((), {"a": both, "b": both}, {"y": both}), 1)),
    }
    edges = (
        Edge(("", "x"), ("late", "x"), 3),
        Edge(("", "x"), ("join", "b"), 16),
        Edge(("late", "y"), ("join", "a"), 300),
        Edge(("join", "y"), ("", "y"), 3),
    )
    return Design("late", units, edges)


@pytest.mark.parametrize(
    "design",
    [one(latency=1, beats=4, every=3, queue=70), late_branch()],
    ids=["a queue that fills up slowly", "a queue that is full before its first pop"],
)
def test_what_looks_steady_but_does_not_last(design: Design) -> None:
    quick, full = simulate(design, 60), simulate(design, 60, stalls=NEVER_IDLE)
    gaps = np.diff(full.first_in)
    assert len(set(gaps[6:12])) == 1, "steady at first sight"
    assert len(set(gaps)) > 1
    assert np.array_equal(quick.cycles["x"], full.cycles["x"])
    assert np.array_equal(quick.cycles["y"], full.cycles["y"])


def catching_up() -> Design:
    """Two processes that wait for each other, up to a frame apart. The writer starts a frame late,
    as its own input does, and gains one cycle a frame on the reader that it waits for."""
    read = Nest((("i", 101),), takes={"a": Mask.at(i="first")}, needs={"write": Sum(-100)})
    write = Nest(
        (("o", 100),),
        takes={"b": Mask.at(o="first")},
        gives={"y": Mask.at(o="first")},
        needs={"read": Sum.affine(1, o=1)},
    )
    both = Schedule((Process("read", (read,)), Process("write", (write,))), {"y": 1})
    always = Mask.always()
    units = {
        "late": Scripted(Schedule.single(Nest((), {"x": always}, {"y": always}), 300)),
        "u": Scripted(both),
    }
    edges = (
        Edge(("", "a"), ("u", "a")),
        Edge(("", "b"), ("late", "x")),
        Edge(("late", "y"), ("u", "b"), 6),
        Edge(("u", "y"), ("", "y")),
    )
    return Design("gaining", units, edges)


def test_who_gains_on_a_slower_process_will_wait_for_it() -> None:
    design = catching_up()
    quick, full = simulate(design, 150), simulate(design, 150, stalls=NEVER_IDLE)
    gaps = np.diff(full.cycles["y"])
    assert set(gaps[:80]) == {100}, "steady at first sight"
    assert gaps[-1] == 101
    assert np.array_equal(quick.cycles["y"], full.cycles["y"])


def test_an_interval_may_be_a_fraction() -> None:
    """Frames of one beat through a loop of three cycles that holds two of them."""
    nest = Nest((), takes={"x": Mask.always()}, gives={"y": Mask.always()})
    unit = Scripted(Schedule.single(nest, 0))
    edges = (Edge(("", "x"), ("u", "x"), 2), Edge(("u", "y"), ("", "y"), 1))
    assert throughput(Design("half", {"u": unit}, edges)).interval == Fraction(2)
    deeper = Scripted(Schedule.single(nest, 1))
    edges = (edges[0], Edge(("u", "y"), ("", "y"), 2))
    timing = throughput(Design("fraction", {"u": deeper}, edges))
    assert (timing.interval, timing.period) == (Fraction(3, 2), 2)


def test_endless_queues_are_never_slower() -> None:
    for seed in (0, 1, 2, 3, 4):
        design = networks([seed], "n")
        timer = Timer(design, 30)
        endless = timer.run(depths={edge.name: None for edge in design.edges})
        assert (endless.last_out <= timer.run().last_out).all()
        assert endless.interval <= timer.run().interval


def test_deadlock_names_the_ring() -> None:
    nests = (
        Nest((("a", 4),), takes={"a": Mask.always()}),
        Nest((("b", 4),), takes={"b": Mask.always()}, gives={"y": Mask.always()}),
    )
    unit = Scripted(Schedule((Process("p", nests),), {"y": 1}))
    edges = (
        Edge(("", "x"), ("u", "a")),
        Edge(("", "x"), ("u", "b"), 3),
        Edge(("u", "y"), ("", "y")),
    )
    design = Design("stuck", {"u": unit}, edges)
    message = (
        r"'stuck' deadlocks: input x \(frame 0, firing 3 of 4\) waits for room \(depth 3\) in "
        r"q_x__u_b; u.p \(frame 0, firing 3 of 8\) waits for a beat in q_x__u_a; "
        "which is input x again"
    )
    for stalls in (None, Stalls("random", 3)):
        with pytest.raises(DeadlockError, match=message):
            simulate(design, 3, stalls=stalls)
    assert simulate(design.with_depths({"q_x__u_b": 4}), 3).frames == 3


def test_a_need_beyond_the_frame_is_refused() -> None:
    load = Nest((("i", 3),), takes={"x": Mask.always()}, needs={"emit": Sum(-3)})
    emit = Nest((("o", 3),), gives={"y": Mask.always()}, needs={"load": Sum.affine(2, o=1)})
    unit = Scripted(Schedule((Process("load", (load,)), Process("emit", (emit,))), {"y": 0}))
    edges = (Edge(("", "x"), ("u", "x")), Edge(("u", "y"), ("", "y")))
    with pytest.raises(DesignError, match=r"u.emit waits for 4 firings of u.load, which has 3"):
        simulate(Design("far", {"u": unit}, edges), 2)


class Unsteady(Scripted):
    """Its output is all or nothing for each frame."""

    def _layouts(self, gives: bool) -> dict[str, Layout]:
        (process,) = self.script.processes
        return dict.fromkeys(
            process.gives if gives else process.takes, Layout(Type((2,), 0, 255), (1,))
        )


def conditional() -> Design:
    nest = Nest((("k", 2),), takes={"x": Mask.always()}, gives={"y": Mask.always().when("hot")})
    edges = (Edge(("", "x"), ("u", "x")), Edge(("u", "y"), ("", "y")))
    return Design("maybe", {"u": Unsteady(Schedule.single(nest, 1))}, edges)


def test_masks_that_depend_on_data() -> None:
    hot = np.array([True, True, False, False, True, True])
    timing = simulate(conditional(), 3, conditions={"u": {"hot": hot}}, counts={"y": 2})
    assert timing.cycles["x"].tolist() == [0, 1, 2, 3, 4, 5]
    assert timing.cycles["y"].tolist() == [3, 4, 7, 8]


def test_data_must_be_there() -> None:
    with pytest.raises(DesignError, match="condition 'hot' of 'u': 3 frames need 6 values"):
        simulate(conditional(), 3)
    with pytest.raises(DesignError, match="one a firing, not 4"):
        simulate(conditional(), 3, conditions={"u": {"hot": np.ones(4, bool)}})


def test_beats_that_never_come_are_a_deadlock() -> None:
    with pytest.raises(DeadlockError, match=r"output y .* waits for a beat in q_u_y__y"):
        simulate(conditional(), 3, conditions={"u": {"hot": np.zeros(6, bool)}}, counts={"y": 1})


def test_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="at least one frame, not 0"):
        simulate(one(1, 1), 0)
