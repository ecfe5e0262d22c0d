"""What units of a product and the activation behind it have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from hwc.compiler.graph import Graph, GroupedMatMul, MatMul, Node, Quantizer, Type
from hwc.hw.layout import Layout
from hwc.hw.schedule import Schedule
from hwc.hw.unit import Ints, Unit, UnitError
from hwc.hw.units.centroids.plan import CentroidPlan
from hwc.hw.units.lookups.plan import LookupPlan
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.matvec.stimulus import aimed
from hwc.hw.units.sparse.plan import SparsePlan
from hwc.hw.units.winograd.plan import WinogradPlan

__all__ = ["Planned", "ProductUnit"]


Products = MatVecPlan | SparsePlan | CentroidPlan | LookupPlan
P = TypeVar("P", bound=Products | WinogradPlan)
M = TypeVar("M", bound=Products)


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


@dataclass(frozen=True)
class ProductUnit(Planned[M]):
    """``op`` is MatMul or GroupedMatMul, ``act`` a quantizer or None.

    Making one raises UnitError, with what is legal, if the plan does not fit.
    """

    op: ProductOp
    x: Type
    act: Quantizer | None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.op, MatMul | GroupedMatMul):
            raise UnitError(f"{name}: the op is a product, not {type(self.op).__name__}")
        if self.act is not None and not isinstance(self.act, Quantizer):
            raise UnitError(f"{name}: act is a Quantizer or None, not {type(self.act).__name__}")
        _ = self.plan.sum
        self.plan.check()
        _ = self.plan.layout, self.plan.spec

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        return {"x": aimed(self.op, self.x, self.act, rng, batch)}
