"""Products with constant weights of which at most n of m neighbours are other than 0."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from hwc.compiler.graph import Quantizer, Type, Weights
from hwc.compiler.graph.structured import PATTERNS
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.matvec.folds import folds
from hwc.hw.units.nm.path import NMPath
from hwc.hw.units.nm.plan import NMPlan
from hwc.hw.units.planned import ProductUnit
from hwc.hw.units.sparse.examples import nm_examples

__all__ = ["NMMatVec", "pattern"]


@lru_cache(maxsize=256)
def pattern(weight: Weights) -> tuple[int, int] | None:
    """``(n, m)`` with the fewest products such that each ``m`` neighbours along the last axis have
    at most ``n`` weights other than 0; None if no usual pattern fits. Of equal ones the narrowest.
    """
    full = weight.dense() != 0
    for n, m in sorted(PATTERNS, key=lambda p: (p[0] / p[1], p[1])):
        if not full.shape[-1] % m and full.reshape(-1, m).sum(axis=1).max() <= n:
            return n, m
    return None


@dataclass(frozen=True)
class NMMatVec(ProductUnit[NMPlan]):
    """``op`` (MatMul or GroupedMatMul) on ``x``, followed by ``act`` if there is one, with at most
    ``n`` weights other than 0 among each ``m`` neighbouring channels.

    The same ports, firings and cycles as :class:`MatVec` with the same fold, and n / m of
    its multipliers: before each stands a multiplexer of m - n + 1 inputs, and its memory holds a
    selector beside each weight. ``fold.lanes`` is a multiple of m; "wired" and "pair" are not for
    this unit (a zero is no wire there already; outputs that share a block share their input).
    Latency: as MatVec, and 1 to select unless the products are made in DSP blocks.
    """

    fold: MatVecFold
    n: int
    m: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.dot

    def _plan(self) -> NMPlan:
        return NMPlan(self.op, self.x, self.act, self.fold, self.n, self.m)

    @property
    def variant(self) -> str:
        return "n_of_m"

    def resources(self) -> Resources:
        return self.plan.resources()

    def levels(self) -> int:
        return math.ceil(self.plan.levels())

    def component(self) -> Datapath:
        return NMPath(self, self.plan)

    def describe(self) -> str:
        return f"{super().describe()}, {self.n}:{self.m}"

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
        """Sensible ways to build it, slowest first, if a pattern fits the weights; see
        :func:`~hwc.hw.units.matvec.folds.folds`."""
        found = pattern(op.weight)
        if found is None:
            return
        n, m = found
        seen: dict[MatVecFold, None] = {}
        for fold in folds(op, x, act, max_levels, limit, near, block=m):
            if fold.memory != "wired":
                style = "auto" if fold.style == "pair" else fold.style
                seen[replace(fold, style=style, coded=False)] = None
        for fold in seen:
            yield cls(op, x, act, fold, n, m)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold, (n, m) in nm_examples():
            yield cls(op, x, act, fold, n, m)
