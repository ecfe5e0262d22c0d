"""Schedules to prove control of: each feature small, and some of real units."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.repack.unit import Repack
from hwc.hw.units.window.unit import LineBuffer

__all__ = ["CHAIN", "REAL", "RING", "SINGLE", "TOYS", "WALK"]

SINGLE = {
    "one": Schedule.single(Nest((), takes={"x": Mask.always()}, gives={"y": Mask.always()}), 2),
    "nest": Schedule.single(
        Nest(
            (("r", 3), ("one", 1), ("c", 2), ("k", 5)),
            takes={"x": Mask.at(c="first", k=(1, 4)), "w": Mask.always()},
            gives={"y": Mask.at(k="last") | Mask.at(r=1, k=0)},
            addresses={
                "linear": Sum.affine(3, r=10, c=-7, k=1),
                "odd": Sum.table(0, k=(0, 5, 2, 9, -3), r=(1, 0, 4)),
            },
        ),
        3,
    ),
    "tables": Schedule.single(
        Nest(
            (("a", 4), ("b", 5)),
            takes={
                "x": Mask.table(b=(True, False, False, True, False)),
                "z": Mask.table(a=(True, False, True, True)) & Mask.at(b=(2, 5)),
            },
            gives={"y": Mask.at(a=(0, 3), b="last"), "never": Mask.never()},
        ),
        1,
    ),
    "data": Schedule.single(
        Nest(
            (("k", 4),),
            takes={"x": Mask.always(), "w": Mask.at(k=(1, 3)).when("hot")},
            gives={"y": Mask.at(k="last").unless("hot") | Mask.at(k=0).when("odd")},
        ),
        1,
    ),
    "nests": Schedule(
        (
            Process(
                "p",
                (
                    Nest((("r", 2), ("k", 3)), takes={"x": Mask.at(k=0)}),
                    Nest((), takes={"x": Mask.always()}, addresses={"at": Sum(6)}),
                    Nest(
                        (("k", 3), ("j", 4)),
                        gives={"y": Mask.at(j="last")},
                        addresses={"at": Sum.affine(1, k=2, j=-1)},
                    ),
                ),
            ),
        ),
        {"y": 4},
    ),
    "stop": Schedule(
        (
            Process(
                "p",
                (
                    Nest(
                        (("r", 2), ("k", 4)),
                        takes={"x": Mask.at(r=0).when("ends")},
                        gives={"y": Mask.always().when("ends")},
                        addresses={"at": Sum.table(2, r=(0, 3))},
                        stop="ends",
                    ),
                    Nest((("i", 3),), takes={"x": Mask.at(i=0)}, addresses={"at": Sum.affine(i=1)}),
                    Nest((("j", 2),), gives={"y": Mask.always().when("over")}, stop="over"),
                ),
            ),
        ),
        {"y": 2},
    ),
}  # fmt: skip
"""One process each: it fires in every cycle in which its ports allow."""

EARLY = Sum.table(-6, k=(-6, -6, -6, 0))
CHAIN = Schedule(
    (
        Process("load", (Nest((("k", 4),), takes={"x": Mask.always()}, needs={"emit": EARLY}),)),
        Process(
            "emit",
            (
                Nest((("j", 3),), gives={"y": Mask.always()}, needs={"load": Sum.affine(2, j=1)}),
                Nest((("i", 3),), gives={"y": Mask.at(i=0)}),
            ),
        ),
    ),
    {"y": 2},
)  # fmt: skip
"""A buffer: the loader is up to 11 firings ahead, nearly three frames; one nest never waits."""

RING = Schedule(
    (
        Process("a", (Nest((("k", 4),), takes={"x": Mask.always()}, needs={"c": Sum(-3)}),)),
        Process("b", (Nest((("k", 2),), needs={"a": Sum.affine(2, k=2)}),)),
        Process(
            "c",
            (Nest((("k", 3),), gives={"y": Mask.at(k=1)}, needs={"b": Sum.table(0, k=(1, 1, 2))}),),
        ),
    ),
    {"y": 0},
)
"""Three processes, each waiting for the one before."""

WALK = Schedule(
    (
        Process(
            "load",
            (
                Nest(
                    (("v", 2), ("k", 2)),
                    takes={"x": Mask.always()},
                    needs={"walk": Sum.affine(-6, v=6)},
                ),
            ),
        ),
        Process(
            "walk",
            (
                Nest(
                    (("v", 2), ("b", 2), ("k", 3)),
                    needs={"load": Sum.affine(2, v=2), "emit": Sum.affine(-1, v=1)},
                    stop="ends",
                ),
            ),
        ),
        Process(
            "emit",
            (Nest((("v", 2),), gives={"y": Mask.always()}, needs={"walk": Sum.affine(6, v=6)}),),
        ),
    ),
    {"y": 1},
)  # fmt: skip
"""Two buffers: what is loaded is walked twice, each time as far as data say, and then leaves."""

TOYS = SINGLE | {"chain": CHAIN, "ring": RING, "walk": WALK}


def _small(units: Iterable[Unit], count: int) -> dict[str, Schedule]:
    found: dict[str, Schedule] = {}
    for unit in units:
        schedule = unit.schedule()
        firings = [p.firings for p in schedule.processes]
        if sum(firings) <= 90:
            name = type(unit).__name__ + "-" + "-".join(map(str, firings))
            found.setdefault(name, schedule)
    return dict(islice(found.items(), count))


REAL = (
    _small(LineBuffer.examples(), 5) | _small(Repack.examples(), 3) | _small(MatVec.examples(), 4)
)
