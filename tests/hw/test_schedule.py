"""Masks, sums, nests and processes as values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwc.hw.schedule import Loops, Mask, Nest, Process, Schedule, ScheduleError, Sum

LOOPS: Loops = (("row", 3), ("col", 4))


def points() -> list[tuple[int, int]]:
    return list(itertools.product(range(3), range(4)))


@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        (Mask.always(), lambda r, c: True),
        (Mask.never(), lambda r, c: False),
        (Mask.at(row=1), lambda r, c: r == 1),
        (Mask.at(row="first", col="last"), lambda r, c: r == 0 and c == 3),
        (Mask.at(col=(1, 3)), lambda r, c: 1 <= c < 3),
        (Mask.at(col=(0, 0)), lambda r, c: False),
        (Mask.table(col=(True, False, False, True)), lambda r, c: c in (0, 3)),
        (Mask.at(row=0) | Mask.at(col=2), lambda r, c: r == 0 or c == 2),
        (Mask.at(row=(0, 2)) & Mask.at(row=(1, 3)), lambda r, c: r == 1),
        ((Mask.at(row=0) | Mask.at(row=2)) & Mask.at(col=1), lambda r, c: r != 1 and c == 1),
    ],
)
def test_masks(mask: Mask, rule) -> None:
    assert mask.over(LOOPS).tolist() == [rule(r, c) for r, c in points()]


def test_a_table_of_two_is_no_interval() -> None:
    loops: Loops = (("k", 2),)
    assert Mask.table(k=(True, False)).over(loops).tolist() == [True, False]
    assert Mask.table(k=(False, True)).over(loops).tolist() == [False, True]
    assert Mask.at(k=(0, 1)).over(loops).tolist() == [True, False]


def test_conditions() -> None:
    given = {"hot": np.arange(12) % 2 == 1}
    mask = Mask.at(row=0).when("hot") | Mask.at(row=1).unless("hot") | Mask.at(row=2, col=0)
    assert mask.conditions == {"hot"}
    want = [(r == 0 and k % 2 == 1) or (r == 1 and k % 2 == 0) or k == 8
            for k, (r, _) in enumerate(points())]  # fmt: skip
    assert mask.over(LOOPS, given).tolist() == want
    with pytest.raises(ScheduleError, match="'hot' needs data"):
        mask.over(LOOPS)
    with pytest.raises(ScheduleError, match="merge them in the datapath"):
        Mask.always().when("hot").when("cold")


@pytest.mark.parametrize(
    ("total", "rule"),
    [
        (Sum(7), lambda r, c: 7),
        (Sum.affine(1, row=4, col=1), lambda r, c: 1 + 4 * r + c),
        (Sum.table(2, row=(0, 5, 1)), lambda r, c: 2 + (0, 5, 1)[r]),
        (Sum.table(0, row=(3, 5, 7)), lambda r, c: 3 + 2 * r),
        (Sum.affine(0, col=-2) + Sum.table(1, col=(9, 0, 0, 4)) + 3,
         lambda r, c: 4 - 2 * c + (9, 0, 0, 4)[c]),
        (Sum.table(0, row=(1, 0, 0)) + Sum.table(0, row=(0, 0, 1)), lambda r, c: r != 1),
    ],
)  # fmt: skip
def test_sums(total: Sum, rule) -> None:
    assert total.over(LOOPS).tolist() == [rule(r, c) for r, c in points()]


def test_what_loops_must_be() -> None:
    with pytest.raises(ScheduleError, match="mask names loop 'k'; the nest has"):
        Mask.at(k=0).over(LOOPS)
    with pytest.raises(ScheduleError, match="table of 2 for loop 'row' of 3"):
        Mask.table(row=(True, False)).over(LOOPS)
    with pytest.raises(ScheduleError, match="sum names loop 'k'"):
        Sum.affine(0, k=1).over(LOOPS)
    with pytest.raises(ScheduleError, match="table of 2 for loop 'row' of 3"):
        Sum.table(0, row=(1, 2)).over(LOOPS)
    with pytest.raises(ScheduleError, match="two loops share a name"):
        Nest((("k", 2), ("k", 3)))
    with pytest.raises(ScheduleError, match="runs at least once"):
        Nest((("k", 0),))


def test_a_process_strings_its_nests_together() -> None:
    process = Process(
        "p",
        (
            Nest((("a", 2),), takes={"x": Mask.always()}, needs={"q": Sum.affine(0, a=3)}),
            Nest((), gives={"y": Mask.always()}),
            Nest((("b", 3),), takes={"x": Mask.at(b="last")}, gives={"y": Mask.at(b=0)}),
        ),
    )
    assert process.firings == 6
    assert (process.takes, process.gives, process.needs) == (("x",), ("y",), ("q",))
    assert process.mask("x").tolist() == [1, 1, 0, 0, 0, 1]
    assert process.mask("y").tolist() == [0, 0, 1, 1, 0, 0]
    assert process.need("q")[:2].tolist() == [0, 3]
    assert (process.need("q")[2:] < -(10**9)).all(), "a nest without a need never waits"


def test_conditions_of_a_port() -> None:
    nest = Nest(
        (("k", 2),),
        takes={"x": Mask.always()},
        gives={"y": Mask.always().when("hot"), "z": Mask.at(k=0)},
    )
    process = Process("p", (nest, nest))
    assert process.conditions_of("x") == ()
    assert process.conditions_of("y") == ("hot",)
    assert process.conditions == ("hot",)
    given = {"hot": np.array([True, False, False, True])}
    assert process.mask("y", given).tolist() == [1, 0, 0, 1]


def pair(forward: Sum, back: Sum) -> Schedule:
    load = Nest((("i", 4),), takes={"x": Mask.always()}, needs={"emit": back})
    emit = Nest((("o", 6),), gives={"y": Mask.always()}, needs={"load": forward})
    return Schedule((Process("load", (load,)), Process("emit", (emit,))), {"y": 1})


def test_lead() -> None:
    """By whole frames, from the greatest need of a frame."""
    assert pair(Sum(4), Sum(0)).lead("load", "emit") == 1
    assert pair(Sum(4), Sum(0)).lead("emit", "load") == 0
    assert pair(Sum(4), Sum(-6)).lead("load", "emit") == 2
    assert pair(Sum(4), Sum(-7)).lead("load", "emit") == 3
    assert pair(Sum(4), Sum.table(0, i=(-12, -12, -12, 6))).lead("load", "emit") == 0


def test_lead_adds_up_along_a_chain() -> None:
    def process(name: str, source: str, need: int) -> Process:
        return Process(name, (Nest((("k", 2),), needs={source: Sum(need)}),))

    ring = (process("a", "c", -2), process("b", "a", 2), process("c", "b", 0))
    schedule = Schedule(ring, {})
    assert schedule.lead("a", "c") == 2
    assert schedule.lead("c", "a") == 1
    assert schedule.lead("a", "b") == 3


def test_what_a_schedule_must_be() -> None:
    take, give = Nest((), takes={"x": Mask.always()}), Nest((), gives={"y": Mask.always()})
    with pytest.raises(ScheduleError, match="output 'y' of 'p' has no latency"):
        Schedule((Process("p", (give,)),), {})
    with pytest.raises(ScheduleError, match="port 'x' belongs to 'p' and 'q'"):
        Schedule((Process("p", (take,)), Process("q", (take,))), {})
    with pytest.raises(ScheduleError, match="two processes share a name"):
        Schedule((Process("p", (take,)), Process("p", (give,))), {"y": 0})
    both = Nest((), takes={"x": Mask.always()}, gives={"x": Mask.always()})
    with pytest.raises(ScheduleError, match="takes from and gives to one port 'x'"):
        Schedule((Process("p", (both,)),), {"x": 0})
    with pytest.raises(ScheduleError, match="unknown process 'r'"):
        Schedule((Process("p", (Nest((), needs={"r": Sum()}),)),), {})
    with pytest.raises(ScheduleError, match="which can run ahead of it for ever: let 'q' need 'p'"):
        Schedule((Process("p", (Nest((), needs={"q": Sum()}),)), Process("q", (take,))), {})


def test_single_gives_all_outputs_one_latency() -> None:
    nest = Nest((("k", 2),), gives={"y": Mask.always(), "z": Mask.at(k=0)})
    schedule = Schedule.single(nest, 3)
    assert dict(schedule.latency) == {"y": 3, "z": 3}
    assert schedule.owner("z") is schedule.process("main")


# Loops that stop early.


def walk(**changes: object) -> Nest:
    """A nest that stops, with a port of its last firings."""
    fields: dict = {"gives": {"y": Mask.always().when("ends")}, "stop": "ends"} | changes
    return Nest((("p", 2), ("k", 3)), **fields)


def test_firings_that_are_skipped() -> None:
    """Behind the first for which the condition holds, up to the end of the round."""
    process = Process("w", (Nest((("i", 2),), gives={"y": Mask.at(i=1)}), walk()))
    ends = np.array([1, 1, 0, 1, 1, 0, 0, 0], bool)
    given = {"ends": ends}
    assert process.skipped(given).tolist() == [False] * 4 + [True] + [False] * 3
    assert process.mask("y", given).tolist() == [0, 1, 0, 1, 0, 0, 0, 1]
    assert process.mask("y").tolist() == [0, 1, 0, 0, 1, 0, 0, 1], "nothing is skipped"
    assert process.stops == process.conditions == process.conditions_of("y") == ("ends",)
    assert process.conditions_of("y", stops=False) == ()


def test_a_round_is_as_long_as_the_first_hold() -> None:
    rng = np.random.default_rng(1)
    nest = Nest((("a", 50), ("k", 4)), stop="ends", gives={"y": Mask.always().when("ends")})
    stop = rng.random(200) < 0.3
    want_skipped, want_last = [], []
    for row in stop.reshape(50, 4).tolist():
        length = row.index(True) + 1 if True in row else 4
        want_skipped += [k >= length for k in range(4)]
        want_last += [k == length - 1 for k in range(4)]
    process = Process("w", (nest,))
    assert process.skipped({"ends": stop}).tolist() == want_skipped
    assert process.mask("y", {"ends": stop}).tolist() == want_last


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nest((), stop="ends"), "'ends' can stop no loop: the nest has none"),
        (lambda: walk(gives={"y": Mask.always()}), "port 'y' is used by its last firing, when"),
        (lambda: walk(takes={"x": Mask.at(k=0)}), "stop loop 'k': port 'x' is used by its last"),
        (lambda: walk(takes={"x": Mask.at(k="last")}), "port 'x' is used by its last firing"),
        (lambda: walk(gives={"y": Mask.always().unless("ends")}), "when\\('ends'\\), or not"),
        (lambda: walk(gives={"y": Mask.at(k=2).when("ends")}), "port 'y' is used by its last"),
        (lambda: walk(gives={"y": Mask.always().when("hot")}), "port 'y' is used by its last"),
        (lambda: walk(needs={"s": Sum.affine(k=1)}), "stop loop 'k': need 's' depends on it"),
        (lambda: walk(addresses={"at": Sum.table(k=(0, 5, 1))}), "address 'at' depends on it"),
    ],
)  # fmt: skip
def test_what_a_loop_that_stops_may_not_decide(make, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        make()


def test_a_loop_of_one_round_may_use_any_port() -> None:
    nest = Nest((("k", 1),), takes={"x": Mask.always()}, gives={"y": Mask.at(k=0)}, stop="ends")
    assert Process("w", (nest,)).mask("x", {"ends": np.array([False])}).tolist() == [True]


@pytest.mark.parametrize("need", [0, 3, 6, -3, 9])
def test_whole_rounds_can_be_waited_for(need: int) -> None:
    walked = walk(needs={"emit": Sum(-4)})
    emit = Nest((("o", 2),), needs={"walk": Sum(need)})
    Schedule((Process("walk", (walked,)), Process("emit", (emit,))), {"y": 1})


def test_parts_of_rounds_cannot() -> None:
    plain = Nest((("i", 2),))
    walked = walk(needs={"emit": Sum(-4)})
    for need in (1, 2, 5, 8, -6):
        emit = Nest((("o", 2),), needs={"walk": Sum(need)})
        Schedule((Process("walk", (plain, walked)), Process("emit", (emit,))), {"y": 1})
    for need in (3, 4, 6, 7, -1):
        emit = Nest((("o", 2),), needs={"walk": Sum(need)})
        with pytest.raises(ScheduleError, match="of 'walk', which is within a round of a loop"):
            Schedule((Process("walk", (plain, walked)), Process("emit", (emit,))), {"y": 1})
