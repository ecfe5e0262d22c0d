"""Products with constant weights of few values: inputs that share one are added first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath
from hwc.hw.units.centroids.cost import centroid_levels, centroid_resources
from hwc.hw.units.centroids.folds import centroid_folds
from hwc.hw.units.centroids.path import CentroidPath
from hwc.hw.units.centroids.plan import CentroidFold, CentroidPlan
from hwc.hw.units.coded_examples import centroid_examples
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.planned import ProductUnit

__all__ = ["CentroidFold", "CentroidMatVec"]


@dataclass(frozen=True)
class CentroidMatVec(ProductUnit[CentroidPlan]):
    """``op`` (MatMul, or GroupedMatMul of one group) on ``x``, followed by ``act`` if there is one.

    Port ``x``: (..., K) in tiles (1, lanes), or (..., 1, T, C) in tiles (1, 1, 1, lanes). Port
    ``y``: (..., N) in tiles (1, macs).

    ``sum(w[i] * x[i])`` is ``sum(v * sum(x[i] where w[i] = v))`` over the values v that occur: the
    inner sums, in small memories addressed by the codes of the weights, need no products, and there
    is one product for each value other than 0 where there was one for each input. Inputs wait
    while the products are made, so cycles of a group of outputs are the beats of x and
    ``outs / macs`` for each value, made up to whole blocks; see :class:`CentroidPlan`. A frame
    begins with as many cycles as there are values.

    Latency, from the firing with the last product of a round: 1 to fetch (2 if inputs are replayed
    from block RAM), 1 to read, the sum over lanes, the product, 1 to accumulate, the activation.
    """

    fold: CentroidFold

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.acc

    def _plan(self) -> CentroidPlan:
        return CentroidPlan(self.op, self.x, self.act, self.fold)

    @property
    def variant(self) -> str:
        return "centroids"

    def resources(self) -> Resources:
        return centroid_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(centroid_levels(self.plan))

    def component(self) -> Datapath:
        return CentroidPath(self, self.plan)

    def describe(self) -> str:
        f = self.fold
        return f"{super().describe()}, sums of {f.outs} outputs, products of {f.macs}"

    @classmethod
    def candidates(
        cls,
        op: ProductOp,
        x: Type,
        act: Quantizer | None = None,
        *,
        max_levels: int = 6,
        limit: int = 24,
        near: int | None = None,
    ) -> Iterator[Self]:
        """Sensible ways to build it, slowest first; see
        :func:`~hwc.hw.units.centroids.folds.centroid_folds`."""
        for fold in centroid_folds(op, x, act, max_levels, limit, near):
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in centroid_examples():
            yield cls(op, x, act, fold)
