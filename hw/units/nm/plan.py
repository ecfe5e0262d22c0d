"""The geometry of a folded product whose weights have at most n of m neighbours other than 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type
from hwc.hw.dot import DotSpec, Number
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.cost import plan_levels, plan_resources
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.mux import mux_levels, mux_luts
from hwc.hw.units.rom import Rom

__all__ = ["NMPlan"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class NMPlan(MatVecPlan):
    """Each group of ``m`` input channels has ``n`` slots: a weight, and which input it multiplies.

    Slots of a group are in rising order of their inputs, so slot ``s`` looks at inputs ``s`` to
    ``s + m - n`` only, and a selector counts from ``s``. Slots that are left over hold weight 0.
    """

    n: int
    m: int

    @property
    def ways(self) -> int:
        """Inputs that a slot chooses from."""
        return self.m - self.n + 1

    @property
    def select_bits(self) -> int:
        """Bits of a selector."""
        return (self.ways - 1).bit_length()

    @property
    def slots(self) -> int:
        """Products of one output in one firing."""
        return self.lanes // self.m * self.n

    @property
    def own_inputs(self) -> bool:
        return True

    @cached_property
    def dot(self) -> DotSpec:
        """The sum over the slots of one output in one firing."""
        x = Number.of(self.x)
        if self.cleared:
            x = Number(min(x.lo, 0), max(x.hi, 0))
        style = "auto" if self.fold.style == "pair" else self.fold.style
        return DotSpec(x, Number.of(self.w), self.slots, style, self.fold.levels)

    @property
    def selected(self) -> int:
        """Cycles from operands to what was selected of them. A DSP block has registers there."""
        return 0 if self.dot.uses_dsp else 1

    @cached_property
    def dot_latency(self) -> int:
        """Cycles from operands to the sums of products."""
        return self.selected + self.dot.latency

    @property
    def rom(self) -> Rom:
        """The memory of the weights and, above them, the selectors."""
        width = self.outputs * self.slots * (self.w.width + self.select_bits)
        return Rom(width, self.words, "bram" if self.fold.memory == "bram" else "lutrom")

    def check(self) -> None:
        """UnitError, with the legal values, if the pattern or the fold does not fit the op."""
        what = f"NMMatVec {'x'.join(map(str, self.shape))} (groups, outputs, taps, channels), "
        what += f"{self.n}:{self.m}: "
        channels = self.shape[3]
        if not 0 < self.n < self.m or channels % self.m:
            raise UnitError(f"{what}0 < n < m is needed, and m must divide the channels")
        full = np.count_nonzero(self.op.weight.dense().reshape(-1, self.m), axis=1)
        if full.max() > self.n:
            raise UnitError(f"{what}a group has {int(full.max())} weights other than 0; use MatVec")
        if self.fold.lanes % self.m:
            raise UnitError(f"{what}lanes must be a multiple of {self.m}, not {self.fold.lanes}")
        if self.words == 1:
            raise UnitError(f"{what}one firing a pixel; use MatVec with memory='wired'")
        if self.fold.style == "pair":
            raise UnitError(f"{what}style must be 'auto', 'lut' or 'dsp', not 'pair'")
        super().check()

    @cached_property
    def chosen(self) -> tuple[Ints, Ints]:
        """Weights and selectors of all slots, both (G, N, T, C / m * n)."""
        groups = self.op.weight.dense().reshape(*self.shape[:3], -1, self.m)
        at = np.sort(np.argsort(groups == 0, axis=-1, kind="stable")[..., : self.n], axis=-1)
        weights = np.take_along_axis(groups, at, -1)
        shape = (*self.shape[:3], -1)
        return weights.reshape(shape), (at - np.arange(self.n)).reshape(shape)

    def weight_words(self) -> list[int]:
        """Words of the memory, in the order in which they are addressed: the weights of a firing as
        in MatVec, then the selectors in the same order.
        """
        f, s = self.fold, self.steps
        weights, selectors = self.chosen
        tile = (f.groups, f.outs, f.taps, f.lanes // self.m * self.n)
        low = Layout(self.w.with_shape(weights.shape), tile)
        high = Layout(Type(weights.shape, 0, self.ways - 1), tile)
        beats = zip(low.pack(weights[None]), high.pack(selectors[None]), strict=True)
        words = [a | b << low.width for a, b in beats]
        order = np.arange(self.words).reshape(s["group"], s["out"], -1)
        if f.order == "input":
            order = order.transpose(0, 2, 1)
        return [words[i] for i in order.ravel()]

    def resources(self) -> Resources:
        """Estimated primitives of datapath and control, queues excluded."""
        products = self.fold.pixels * self.outputs * self.slots
        kept = self.selected * (products * self.x.width + self.outputs * self.slots * self.w.width)
        selected = Resources(products * self.x.width * mux_luts(self.ways), kept, 0, 0)
        return plan_resources(self) + selected

    def levels(self) -> float:
        """Longest path between registers of the datapath, in LUT and carry levels."""
        return max(plan_levels(self), mux_levels(self.ways))
