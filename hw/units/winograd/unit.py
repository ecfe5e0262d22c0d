"""Convolutions in tiles by minimal filtering: fewer multipliers, the same integers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from hwc.compiler.graph import Quantizer, Type, WinogradProduct
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, Ints, UnitError
from hwc.hw.units.planned import Planned
from hwc.hw.units.winograd.cost import winograd_levels, winograd_resources
from hwc.hw.units.winograd.examples import examples
from hwc.hw.units.winograd.fold import WinogradFold
from hwc.hw.units.winograd.folds import folds
from hwc.hw.units.winograd.path import WinogradPath
from hwc.hw.units.winograd.plan import WinogradPlan
from hwc.hw.units.winograd.stimulus import aimed

__all__ = ["Winograd", "WinogradFold"]


@dataclass(frozen=True)
class Winograd(Planned[WinogradPlan]):
    """``op`` on ``x``, followed by ``act`` if there is one; F(m x m, r x r) of A. Lavin and S. Gray
    (arXiv:1509.09308) in integers: the quotient of an exact division, never rounded.

    Port ``x``: (..., 1, T, C) in tiles (1, T, lanes), the windows of n x n places, n = m + r - 1.
    Port ``y``: (..., m, m, N) in tiles (m, m, outs). Weights are on chip, transformed.

    One firing a cycle; firings a frame are the product of the steps along tiles, outs, points and
    lanes. ``x`` is taken while the first outputs are worked on, ``y`` given with the last products
    of its outputs. n * n products an output and channel, not m * m * r * r.
    """

    op: WinogradProduct
    x: Type
    act: Quantizer | None = None
    fold: WinogradFold = field(default_factory=WinogradFold)

    def __post_init__(self) -> None:
        if not isinstance(self.op, WinogradProduct):
            raise UnitError(f"Winograd: the op is WinogradProduct, not {type(self.op).__name__}")
        _ = self.plan.sum
        self.plan.check()
        _ = self.plan.spec, self.plan.dots, self.plan.accumulators

    def _plan(self) -> WinogradPlan:
        return WinogradPlan(self.op, self.x, self.act, self.fold)

    @property
    def variant(self) -> str:
        return f"winograd{self.op.m}"

    def resources(self) -> Resources:
        return winograd_resources(self.plan)

    def levels(self) -> int:
        return math.ceil(winograd_levels(self.plan))

    def component(self) -> Datapath:
        return WinogradPath(self, self.plan)

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        return {"x": aimed(self.plan, rng, batch)}

    @classmethod
    def candidates(
        cls,
        op: WinogradProduct,
        x: Type,
        act: Quantizer | None = None,
        *,
        max_levels: int = 6,
        near: int | None = None,
    ) -> Iterator[Self]:
        """Sensible ways to build it, slowest first; see :func:`~hwc.hw.units.winograd.folds.folds`.

        ``max_levels``: the most LUT and carry levels between registers; ``near``: cycles a frame
        about which to look closely.
        """
        for fold in folds(op, x, act, max_levels, near=near):
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in examples():
            yield cls(op, x, act, fold)
