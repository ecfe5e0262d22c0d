"""Products with constant weights that take no cycle for activations that are 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Bools, Datapath, Ints
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.planned import ProductUnit
from hwc.hw.units.skip.cost import skip_levels, skip_resources
from hwc.hw.units.skip.examples import skip_examples
from hwc.hw.units.skip.path import SkipPath
from hwc.hw.units.skip.plan import Buffer, SkipPlan
from hwc.hw.units.skip.stimulus import holed

__all__ = ["SkipMatVec"]

NARROW = 8
"""Widest beats that candidates have: of wider ones few are all 0."""


@dataclass(frozen=True)
class SkipMatVec(ProductUnit[SkipPlan]):
    """``op`` (MatMul, or GroupedMatMul of one group) on ``x``, followed by ``act`` if there is one,
    where beats of x that are all 0 cost no products.

    Ports as :class:`MatVec` with the same fold, which has one pixel, order "output" and no wired
    weights. A vector is taken beat by beat; those with an element other than 0 go with their number
    to a memory of two vectors, in ``buffer``. Each block of ``fold.outs`` outputs then walks the
    kept beats of the vector before, and ends with the last of them. Cycles of a vector: its beats
    or, if that is more, blocks times kept beats (one at least). What that is data decide, and
    :meth:`conditions` tells the timing engine; without data it says what dense vectors take.

    Zero is the code 0, so x may not be bipolar and its type has to contain 0. Latency, from the
    last firing of a block: 2 to fetch, the dot product, 1 to accumulate, the activation.
    """

    fold: MatVecFold
    buffer: Buffer = "lutram"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.dot, self.plan.pair

    def _plan(self) -> SkipPlan:
        return SkipPlan(self.op, self.x, self.act, self.fold, self.buffer)

    @property
    def variant(self) -> str:
        return "skip"

    def resources(self) -> Resources:
        return skip_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(skip_levels(self.plan))

    def component(self) -> Datapath:
        return SkipPath(self, self.plan)

    def describe(self) -> str:
        return f"{super().describe()}, skips zeros"

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        return {"x": holed(self.plan, rng, batch)}

    def conditions(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        return {"ends": self.plan.ends(frames["x"])}

    @classmethod
    def candidates(
        cls, op: ProductOp, x: Type, act: Quantizer | None, folds: Iterable[MatVecFold]
    ) -> Iterator[Self]:
        """The dense ``folds`` that this unit can have, with beats that are not wide; none if x has
        no 0 or there are several groups."""
        grouped = len(op.weight.shape) == 4 and op.weight.shape[0] > 1
        if grouped or x.bipolar or not x.lo <= 0 <= x.hi:
            return
        for fold in dict.fromkeys(replace(fold, order="output") for fold in folds):
            if fold.pixels > 1 or fold.memory == "wired" or fold.taps * fold.lanes > NARROW:
                continue
            plan = SkipPlan(op, x, act, fold)
            if plan.words > 1 and plan.beats > 1:
                deep = plan.depth > 64
                yield cls(op, x, act, fold, "bram" if deep else "lutram")

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold, buffer in skip_examples():
            yield cls(op, x, act, fold, buffer)
