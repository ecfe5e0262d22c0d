"""Products with constant weights that are mostly zero: only the others take a cycle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.planned import ProductUnit
from hwc.hw.units.sparse.cost import sparse_levels, sparse_resources
from hwc.hw.units.sparse.examples import sparse_examples
from hwc.hw.units.sparse.fold import SparseFold
from hwc.hw.units.sparse.folds import sparse_folds
from hwc.hw.units.sparse.path import SparsePath
from hwc.hw.units.sparse.plan import SparsePlan

__all__ = ["SparseFold", "SparseMatVec"]


@dataclass(frozen=True)
class SparseMatVec(ProductUnit[SparsePlan]):
    """``op`` (MatMul, or GroupedMatMul of one group) on ``x``, followed by ``act`` if there is one.

    Port ``x``: (..., K) in tiles (1, pixels, lanes), or (..., 1, T, C) in tiles
    (1, pixels, 1, taps, lanes). Port ``y``: (..., N) in tiles (1, pixels, outs).

    Rows are lists of the weights other than 0, interleaved over elements as in EIE (Han et al.,
    arXiv 1602.01528), each with a list, a copy of the inputs and an accumulator of its own. Which
    rows an element has is decided when it is compiled, so that all are done at about the same time;
    their sums wait in the element until outputs leave in their order. Cycles of a pixel: the
    entries of the busiest element, or the beats of x or y if those are more: a pixel is loaded
    while the one before is walked and the one before that leaves.

    Latency, from the firing that gives a beat: that of ``plan.written`` cycles that a sum takes to
    its memory, 1 to read (2 from block RAM), the activation.
    """

    fold: SparseFold

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.acc

    def _plan(self) -> SparsePlan:
        return SparsePlan(self.op, self.x, self.act, self.fold)

    @property
    def variant(self) -> str:
        return "sparse"

    def resources(self) -> Resources:
        return sparse_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(sparse_levels(self.plan))

    def component(self) -> Datapath:
        return SparsePath(self, self.plan)

    def describe(self) -> str:
        return f"{super().describe()}, {self.fold.pes} sparse"

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
        """Sensible ways to build it, slowest first; see :func:`sparse_folds`."""
        for fold in sparse_folds(op, x, act, max_levels, limit, near):
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in sparse_examples():
            yield cls(op, x, act, fold)
