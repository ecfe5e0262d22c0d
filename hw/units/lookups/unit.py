"""Products with constant weights whose pieces repeat: each product is made once, and looked up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath
from hwc.hw.units.coded_examples import lookup_examples
from hwc.hw.units.lookups.cost import lookup_levels, lookup_resources
from hwc.hw.units.lookups.folds import lookup_folds
from hwc.hw.units.lookups.path import LookupPath
from hwc.hw.units.lookups.plan import LookupFold, LookupPlan
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.planned import ProductUnit

__all__ = ["LookupFold", "LookupMatVec"]


@dataclass(frozen=True)
class LookupMatVec(ProductUnit[LookupPlan]):
    """``op`` (MatMul, or GroupedMatMul of one group) on ``x``, followed by ``act`` if there is one.

    Port ``x``: (..., K) in tiles (1, channels), or (..., 1, T, C) in tiles (1, 1, 1, channels), of
    ``lanes * size`` channels. Port ``y``: (..., N) in tiles (1, outs).

    The rows of the weights are made of pieces of ``size`` neighbouring inputs; see
    :mod:`.subvectors`. Of each block of inputs the products with its pieces are made once, into
    tables, and every output adds the entry of its own piece to its sum (as in Q-CNN, Wu et al.,
    CVPR 2016). Beats of inputs come before outputs, so sums of all outputs wait in a memory. Cycles
    of a beat: the more of ``pieces / fills`` and ``outputs / outs``; tables of one beat are filled
    while those of the beat before are looked up.

    Latency, from the firing that gives a beat: ``plan.filled`` cycles until tables are read, 1 to
    read, the sum over lanes, 1 to accumulate if there are several beats, the activation.
    """

    fold: LookupFold

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.dot

    def _plan(self) -> LookupPlan:
        return LookupPlan(self.op, self.x, self.act, self.fold)

    @property
    def variant(self) -> str:
        return "tables"

    def stored_bits(self) -> int:
        book = self.plan.book
        return super().stored_bits() + (book.width * book.depth if book.depth > 1 else 0)

    def resources(self) -> Resources:
        return lookup_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(lookup_levels(self.plan))

    def component(self) -> Datapath:
        return LookupPath(self, self.plan)

    def describe(self) -> str:
        return f"{super().describe()}, tables of {self.plan.pieces.count} pieces"

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
        """Sensible ways to build it, slowest first; see :func:`lookup_folds`."""
        for fold in lookup_folds(op, x, act, max_levels, limit, near):
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in lookup_examples():
            yield cls(op, x, act, fold)
