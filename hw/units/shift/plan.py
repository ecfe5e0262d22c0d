"""The geometry of a folded product whose weights are 0 and powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type, Weights
from hwc.hw.dot import Number, ShiftSpec
from hwc.hw.dot.powers import only_powers, shifters
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.cost import plan_levels, plan_resources
from hwc.hw.units.matvec.plan import MatVecPlan

__all__ = ["ShiftPlan", "powers"]

Ints = NDArray[np.int64]


@lru_cache(maxsize=256)
def powers(weight: Weights) -> tuple[int, ...] | None:
    """The weights that occur, if there are several, all 0 or a power of two that shifters reach;
    None if not, or if 0 and +-1 are all there is: those are added and subtracted already."""
    if max(-weight.lo, weight.hi) < 2:
        return None
    found = tuple(int(v) for v in np.unique(weight.dense()))
    return found if only_powers(found) and shifters(found) else None


@dataclass(frozen=True)
class ShiftPlan(MatVecPlan):
    """As :class:`MatVecPlan`; the memory holds codes that steer shifters, see
    :class:`~hwc.hw.dot.powers.Shifter`."""

    @cached_property
    def dot(self) -> ShiftSpec:
        """The sum of shifted inputs of one output in one firing."""
        values = tuple(sorted(self.values))
        return ShiftSpec(Number.of(self.x), values, self.lanes, self.fold.levels)

    @cached_property
    def cleared(self) -> int:
        """None: weight 0 gives 0 whatever the input is."""
        return 0

    @cached_property
    def stored(self) -> Type:
        """Type of what the memory holds, as (G, N, T, C): codes."""
        return Type(self.shape, 0, (1 << self.dot.shifter.code_bits) - 1)

    @property
    def varying(self) -> int:
        """Bits of a word that differ: all."""
        return self.rom.width

    def check(self) -> None:
        """UnitError, with the legal values, if weights or fold do not fit."""
        what = f"ShiftMatVec {'x'.join(map(str, self.shape))} (groups, outputs, taps, channels): "
        if powers(self.op.weight) is None:
            raise UnitError(
                f"{what}weights must be several of 0 and +-2**e, some above 1, as far apart "
                "as a shifter reaches; use MatVec"
            )
        if self.x.bipolar:
            raise UnitError(f"{what}x must be numbers, not signs; use MatVec")
        if self.words == 1:
            raise UnitError(f"{what}one firing a pixel; use MatVec with memory='wired'")
        if self.fold.style not in ("auto", "lut") or self.fold.coded:
            raise UnitError(
                f"{what}style must be 'auto' or 'lut' and coded False, not {self.fold.style!r} and "
                f"{self.fold.coded}"
            )
        if self.fold.levels < 5:
            raise UnitError(f"{what}levels must be at least 5, not {self.fold.levels}")
        super().check()

    def weight_words(self) -> list[int]:
        """Words of the memory, in the order in which they are addressed; what is past the end is
        the code of 0."""
        f, s = self.fold, self.steps
        layout = Layout(self.w, (f.groups, f.outs, f.taps, f.lanes))
        weights = layout.beats_of(self.op.weight.dense().reshape(1, *self.shape))[0]
        values, codes = self.dot.values, self.dot.shifter.codes
        found = np.array([codes[v] for v in values])[np.searchsorted(values, weights)]
        kind = Type(found.shape, self.stored.lo, self.stored.hi)
        words = Layout(kind, (1, found.shape[1])).pack(found[None])
        order = np.arange(self.words).reshape(s["group"], s["out"], -1)
        if f.order == "input":
            order = order.transpose(0, 2, 1)
        return [words[i] for i in order.ravel()]

    def resources(self) -> Resources:
        """Estimated primitives of datapath and control, queues excluded."""
        decoded = len(self.dot.shifter.decoded) * self.outputs * self.lanes
        return plan_resources(self) + Resources(decoded, 0, 0, 0)

    def levels(self) -> float:
        """Longest path between registers of the datapath, in LUT and carry levels."""
        return plan_levels(self)
