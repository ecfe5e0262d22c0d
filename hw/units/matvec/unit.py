"""Products with constant weights: fully connected layers and convolutions after their window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from hwc.compiler.graph import (
    GroupedMatMul,
    MatMul,
    Quantizer,
    Type,
)
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, UnitError
from hwc.hw.units.matvec.cost import plan_levels, plan_resources
from hwc.hw.units.matvec.examples import examples
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.matvec.folds import folds
from hwc.hw.units.matvec.path import MatVecPath
from hwc.hw.units.matvec.plan import CODE, MatVecPlan
from hwc.hw.units.planned import ProductUnit

__all__ = ["MatVec", "MatVecFold"]


@dataclass(frozen=True)
class MatVec(ProductUnit[MatVecPlan]):
    """``op`` (MatMul or GroupedMatMul) on ``x``, followed by ``act`` if there is one.

    Port ``x``: (..., K) in tiles (1, pixels, lanes), or (..., G, T, C) in tiles
    (1, pixels, groups, taps, lanes). Port ``y``: (..., N) in tiles (1, pixels, groups * outs).
    Weights are on chip; :class:`MatVecFold` says how much happens at once and where they are.

    One firing a cycle; firings a frame are the product of the steps along pixels, groups, outs,
    taps and lanes. ``x`` is taken while the first outputs are worked on, ``y`` given with the last
    product of an output. Latency: 1 to fetch (2 if the inputs are replayed from block RAM), the
    dot product, 1 to accumulate if an output takes several firings, the activation.
    """

    act: Quantizer | None = None
    fold: MatVecFold = field(default_factory=MatVecFold)

    def __post_init__(self) -> None:
        if not isinstance(self.op, MatMul | GroupedMatMul):
            raise UnitError(
                f"MatVec: the op is MatMul or GroupedMatMul, not {type(self.op).__name__}; "
                "expand() brings convolutions into this form"
            )
        if self.act is not None and not isinstance(self.act, Quantizer):
            raise UnitError(
                "MatVec: act is MultiThreshold, Requant, TwoSlope or None, not "
                f"{type(self.act).__name__}"
            )
        super().__post_init__()
        if self.fold.coded and (self.fold.memory == "wired" or not self.plan.codable):
            raise UnitError(
                f"MatVec: coded is for weights from a memory, of at most {2**CODE} values whose "
                f"codes are narrower than they are; got {len(self.plan.values)} values of "
                f"{self.plan.w.width} bits, memory {self.fold.memory!r}"
            )
        if self.fold.memory != "wired":
            _ = self.plan.dot, self.plan.pair

    def _plan(self) -> MatVecPlan:
        return MatVecPlan(self.op, self.x, self.act, self.fold)

    def resources(self) -> Resources:
        return plan_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(plan_levels(self.plan))

    @property
    def variant(self) -> str:
        if self.fold.memory == "wired":
            return "wired"
        return "codebook" if self.fold.coded else "dense"

    def component(self) -> Datapath:
        return MatVecPath(self, self.plan)

    @classmethod
    def candidates(
        cls,
        op: ProductOp,
        x: Type,
        act: Quantizer | None = None,
        *,
        max_levels: int = 6,
        limit: int = 60,
        near: int | None = None,
    ) -> Iterator[Self]:
        """Sensible ways to build it, slowest first; see :func:`~hwc.hw.units.matvec.folds.folds`.

        ``max_levels``: the most LUT and carry levels between registers; ``limit``: about how many;
        ``near``: cycles a frame about which to look closely.
        """
        for fold in folds(op, x, act, max_levels, limit, near):
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in examples():
            yield cls(op, x, act, fold)
