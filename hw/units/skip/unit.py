"""Products with constant weights that take no cycle for activations that are 0."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Bools, Datapath, Ints
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.planned import ProductUnit
from hwc.hw.units.skip.cost import skip_levels, skip_resources
from hwc.hw.units.skip.examples import skip_examples
from hwc.hw.units.skip.folds import skip_folds
from hwc.hw.units.skip.path import SkipPath
from hwc.hw.units.skip.plan import Buffer, SkipPlan
from hwc.hw.units.skip.stimulus import holed

__all__ = ["SkipMatVec"]


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
        cls,
        op: ProductOp,
        x: Type,
        act: Quantizer | None = None,
        *,
        max_levels: int = 6,
        limit: int = 24,
        near: int | None = None,
    ) -> Iterator[Self]:
        """Sensible ways to build it, slowest first; see :func:`skip_folds`."""
        for fold, buffer in skip_folds(op, x, act, max_levels, limit, near):
            yield cls(op, x, act, fold, buffer)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold, buffer in skip_examples():
            yield cls(op, x, act, fold, buffer)
