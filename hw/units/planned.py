"""What units of a product and the activation behind it have in common."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Generic, TypeVar

from hwc.compiler.graph import Graph, Node
from hwc.hw.layout import Layout
from hwc.hw.schedule import Schedule
from hwc.hw.unit import Unit
from hwc.hw.units.centroids.plan import CentroidPlan
from hwc.hw.units.lookups.plan import LookupPlan
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.sparse.plan import SparsePlan
from hwc.hw.units.winograd.plan import WinogradPlan

__all__ = ["Planned"]


P = TypeVar("P", bound=MatVecPlan | SparsePlan | WinogradPlan | CentroidPlan | LookupPlan)


class Planned(Unit, Generic[P]):
    """``op`` on port ``x``, then ``act`` if there is one, to port ``y``; weights are on chip."""

    @cached_property
    def plan(self) -> P:
        """What follows from the fields."""
        return self._plan()

    @abstractmethod
    def _plan(self) -> P:
        """The plan, made once."""

    def graph(self) -> Graph:
        plan = self.plan
        if plan.act is None:
            return Graph((("x", plan.x),), (Node("y", plan.op, ("x",)),), ("y",))
        nodes = Node("sum", plan.op, ("x",)), Node("y", plan.act, ("sum",))
        return Graph((("x", plan.x),), nodes, ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": self.plan.layout}

    def outputs(self) -> dict[str, Layout]:
        return {"y": self.plan.out_layout}

    def schedule(self) -> Schedule:
        return self.plan.schedule()

    def stored_bits(self) -> int:
        rom = self.plan.rom
        return rom.width * rom.depth if rom.depth > 1 else 0
