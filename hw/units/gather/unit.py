"""Static rearrangements: frames are stored and read in another order, or words pass or wait."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from hwc.compiler.graph import Gather, Graph, Node, Type
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.gather.cost import gather_levels, gather_resources
from hwc.hw.units.gather.examples import examples
from hwc.hw.units.gather.path import GatherPath
from hwc.hw.units.gather.plan import GatherFold, GatherPlan, folds, plan_of, run_tile

__all__ = ["GatherFold", "GatherUnit"]

WIDEST = 2048
"""Bits of the widest beats that are offered."""
OFFERS = 24
"""Folds of one operation that are offered."""


@dataclass(frozen=True)
class GatherUnit(Unit):
    """Graph op ``Gather``: beats of ``fold.taken`` neighbouring elements of ``x`` to beats of
    ``fold.given`` elements of ``y``, both in row-major order.

    Every output beat is fill, or made of one input beat, always the same elements of it in the same
    places (with fill between); so a pixel moves as one where whole pixels do, and with all of its
    channels in a beat they may be dropped, repeated or exchanged by wires alone. Three forms:

    - *pass*: words come in their order and some are dropped. Latency 0.
    - *hold*: words come in their order, some are given several times or fill is put in, none is
      dropped. A register holds the last one. Latency 0.
    - *store*: a memory. ``load`` writes words in a ring, ``emit`` reads each as soon as it is there
      and lets go of it after its last reading (``load`` looks at blocks of words). Places are a
      nest of loops where one is found in the index, else a ROM. Latency: 1 cycle to read, 1 more
      for the ROM and 1 for the beginning of the frame in the ring, if it changes.
    """

    op: Gather
    x: Type
    fold: GatherFold

    def __post_init__(self) -> None:
        if not isinstance(self.op, Gather):
            raise UnitError(f"GatherUnit: the op is Gather, not {type(self.op).__name__}")
        y = self.op.infer(self.x)
        for name, size, kind in (("taken", self.fold.taken, self.x), ("given", self.fold.given, y)):
            if size < 1 or run_tile(kind.shape, size) is None:
                raise UnitError(
                    f"GatherUnit: {name} must be elements that are neighbours in {kind.shape}: "
                    f"whole last axes and a divisor of the next, got {size}"
                )
        if plan_of(self.op, self.x, self.fold) is None:
            pairs = [(f.taken, f.given) for f in folds(self.op, self.x, WIDEST)]
            raise UnitError(
                f"GatherUnit: output beats of {self.fold.given} elements are not all made alike of "
                f"input beats of {self.fold.taken}; legal (taken, given): {pairs[:12]}"
            )
        if self.form == "store":
            _ = self.plan.ring.depth

    @cached_property
    def plan(self) -> GatherPlan:
        """The numbers behind it."""
        plan = plan_of(self.op, self.x, self.fold)
        assert plan is not None
        return plan

    @property
    def form(self) -> Literal["pass", "hold", "store"]:
        """How it works."""
        if self.plan.passing is not None:
            return "pass"
        return "hold" if self.plan.holding is not None else "store"

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        tile = run_tile(self.x.shape, self.fold.taken)
        assert tile is not None
        return {"x": Layout(self.x, tile)}

    def outputs(self) -> dict[str, Layout]:
        tile = run_tile(self.op.shape, self.fold.given)
        assert tile is not None
        return {"y": Layout(self.op.infer(self.x), tile)}

    def describe(self) -> str:
        ports = (*self.inputs().values(), *self.outputs().values())
        tiles = ["x".join(str(t) for t in p.tile if t > 1) or "1" for p in ports]
        words = f", {self.plan.ring.depth} words" if self.form == "store" else ""
        return f"{' -> '.join(dict.fromkeys(tiles))}, {self.form}{words}"

    @property
    def latency(self) -> int:
        """Cycles from the firing that gives to its beat."""
        plan = self.plan
        if self.form != "store":
            return 0
        return 1 + (plan.nest is None) + (plan.ring.bases > 0)

    def schedule(self) -> Schedule:
        plan, always = self.plan, Mask.always()
        if plan.passing is not None:
            nest = Nest(plan.passing.loops, {"x": always}, {"y": plan.passing.mask(0)})
            return Schedule.single(nest, 0)
        if plan.holding is not None:
            nest = Nest(plan.holding.loops, {"x": plan.holding.mask(0)}, {"y": always})
            return Schedule.single(nest, 0)
        ring, walk = plan.ring, plan.walk
        free = ring.releases(ring.depth).tolist()
        load = Nest(
            (("block", ring.blocks), ("step", ring.taken // ring.blocks)),
            takes={"x": always},
            needs={"emit": Sum.table(block=tuple(free))},
        )
        place = walk.place
        if plan.nest is None:
            place = Sum.affine(block=plan.given // walk.loops[0][1], step=1)
        emit = Nest(
            walk.loops,
            gives={"y": always},
            needs={"load": walk.place + 1},
            addresses={"place": place},
        )
        processes = Process("load", (load,)), Process("emit", (emit,))
        return Schedule(processes, {"y": self.latency})

    def resources(self) -> Resources:
        return gather_resources(self.plan, self._y, self.schedule())

    @property
    def _y(self) -> Type:
        return self.op.infer(self.x)

    def levels(self) -> int:
        return math.ceil(gather_levels(self.plan, self.schedule()))

    def component(self) -> Datapath:
        return GatherPath(self, self.plan, self.x, self._y, self.op.fill)

    @classmethod
    def candidates(cls, op: Gather, x: Type) -> Iterator[Self]:
        """All folds with beats of up to :data:`WIDEST` bits; of many, narrow ones of each speed."""
        found = [cls(op, x, fold) for fold in folds(op, x, WIDEST)]
        if len(found) > OFFERS:
            count: dict[int, int] = {}
            some = []
            for unit in sorted(found, key=lambda u: u.fold.taken + u.fold.given):
                beats = max(unit.plan.taken, unit.plan.given)
                count[beats] = count.get(beats, 0) + 1
                if count[beats] <= 2:
                    some.append(unit)
            found = some
        yield from found

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, fold in examples():
            yield cls(op, x, GatherFold(*fold))
