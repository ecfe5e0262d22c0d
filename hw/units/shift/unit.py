"""Products with constant weights that are 0 or powers of two: shifts, and no multiplier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from amaranth.hdl import Module, Value

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.coded_examples import shift_examples
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.matvec.path import MatVecPath
from hwc.hw.units.planned import ProductUnit
from hwc.hw.units.shift.plan import ShiftPlan, powers

__all__ = ["ShiftMatVec"]


@dataclass(frozen=True)
class ShiftMatVec(ProductUnit[ShiftPlan]):
    """``op`` (MatMul or GroupedMatMul) on ``x``, followed by ``act`` if there is one, with weights
    that are all 0 or +-2**e.

    The same ports, firings and cycles as :class:`MatVec` with the same fold. The memory
    holds a sign and the number of the exponent, or of zero; a product is a multiplexer of shifted
    inputs that is added or subtracted, see :class:`~hwc.hw.dot.ShiftSpec`. "wired", DSP blocks and
    codes of another kind are not for this unit, nor is x of signs. Latency: as MatVec.
    """

    fold: MatVecFold

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.plan.dot

    def _plan(self) -> ShiftPlan:
        return ShiftPlan(self.op, self.x, self.act, self.fold)

    @property
    def variant(self) -> str:
        return "shift"

    def resources(self) -> Resources:
        return self.plan.resources()

    def levels(self) -> int:
        return math.ceil(self.plan.levels())

    def component(self) -> Datapath:
        return _Path(self, self.plan)

    def describe(self) -> str:
        return f"{super().describe()}, shifts"

    @classmethod
    def candidates(
        cls, op: ProductOp, x: Type, act: Quantizer | None, folds: Iterable[MatVecFold]
    ) -> Iterator[Self]:
        """The dense ``folds`` that this unit can have, if the weights are such."""
        if x.bipolar or powers(op.weight) is None:
            return
        seen: dict[MatVecFold, None] = {}
        for fold in folds:
            if fold.memory != "wired" and fold.levels >= 5:
                seen[replace(fold, style="lut", coded=False)] = None
        for fold in seen:
            yield cls(op, x, act, fold)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        for op, x, act, fold in shift_examples():
            yield cls(op, x, act, fold)


class _Path(MatVecPath):
    """As :class:`MatVecPath`, with control words of shifters for weights."""

    def __init__(self, unit: Unit, plan: ShiftPlan) -> None:
        super().__init__(unit, plan)
        self.shift = plan

    def _weights(self, m: Module) -> list[list[Value]]:
        """Per output, control words in the order of ``plan.positions``, at cycle ``fetch``."""
        return [[self.shift.dot.decode(code) for code in row] for row in super()._weights(m)]
