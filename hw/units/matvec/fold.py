"""How a product with constant weights is folded, and which folds are legal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from hwc.compiler.graph import (
    GroupedMatMul,
    MatMul,
    Quantizer,
    Type,
)
from hwc.hw.layout import Layout
from hwc.hw.unit import UnitError
from hwc.hw.units.multiply import Style

__all__ = ["Geometry", "MatVecFold", "ProductOp", "sum_type"]

ProductOp = MatMul | GroupedMatMul
Memory = Literal["bram", "lutrom", "wired"]
Order = Literal["output", "input"]
DotStyle = Literal["auto", "lut", "dsp", "pair"]


@lru_cache(maxsize=256)
def sum_type(op: ProductOp, x: Type) -> Type:
    """Type of the sums of a product of ``x``, worked out once for all folds."""
    return op.infer(x)


@dataclass(frozen=True)
class MatVecFold:
    """How much of a product one firing does, and where its weights are.

    A firing multiplies ``pixels`` neighbouring positions (of the last axis before the vectors) by
    the same weights: ``groups`` groups, ``taps`` taps and ``lanes`` input channels of each, for
    ``outs`` outputs of each group. None of them needs to divide its axis, but ``outs`` divides the
    outputs of a group if there are several groups, and is all of them if ``groups`` > 1.

    ``memory``: weights in block RAM, in LUTs as a table, or wired into the logic; "wired" exactly
    if a single firing does all the products of its pixels. ``order``: "output" finishes an output
    before the next one and replays the inputs from a buffer; "input" uses an input for all outputs
    before the next one and keeps all partial sums in a memory. ``style``: products in LUTs, in DSP
    blocks, for two outputs in each DSP block ("pair"), or whatever is cheaper; ``act_style`` the
    same for the multiplier of a requantization. ``levels``: LUT and carry levels between registers.
    ``coded``: the memory holds which of the weights that occur each one is, and a table in LUTs
    behind it (a level) the weights themselves.
    """

    pixels: int = 1
    groups: int = 1
    taps: int = 1
    lanes: int = 1
    outs: int = 1
    memory: Memory = "lutrom"
    style: DotStyle = "auto"
    order: Order = "output"
    act_style: Style = "auto"
    levels: int = 6
    coded: bool = False


@dataclass(frozen=True)
class Geometry:
    """Shapes of a folded product: ``x`` is (..., G, T, C) and the weights are (G, N, T, C).

    A plain matrix has G = T = 1.
    """

    op: ProductOp
    x: Type
    act: Quantizer | None
    fold: MatVecFold

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """``(G, N, T, C)``: groups, outputs of a group, taps, channels of a group."""
        s = self.op.weight.shape
        return (1, s[0], 1, s[1]) if isinstance(self.op, MatMul) else (s[0], s[1], s[2], s[3])

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """Axes of x before the vectors."""
        return self.x.shape[: -1 if isinstance(self.op, MatMul) else -3]

    @cached_property
    def steps(self) -> dict[str, int]:
        """Firings along each loop."""
        (g, n, t, c), f = self.shape, self.fold
        *outer, row = self.leading or (1,)
        return {
            "pixel": math.prod(outer) * -(-row // f.pixels),
            "group": -(-g // f.groups),
            "out": -(-n // f.outs),
            "tap": -(-t // f.taps),
            "lane": -(-c // f.lanes),
        }

    @property
    def words(self) -> int:
        """Different weight words: firings of one pixel."""
        s = self.steps
        return s["group"] * s["out"] * s["tap"] * s["lane"]

    @property
    def sums(self) -> int:
        """Firings that add up to one output."""
        return self.steps["tap"] * self.steps["lane"]

    @property
    def outputs(self) -> int:
        """Outputs of one pixel that a firing works on."""
        return self.fold.groups * self.fold.outs

    @property
    def lanes(self) -> int:
        """Products of one output in one firing."""
        return self.fold.taps * self.fold.lanes

    def check(self) -> None:
        """UnitError, with the legal values, if the fold does not fit the op."""
        (g, n, t, c), f = self.shape, self.fold
        row = (self.leading or (1,))[-1]
        axes = ("pixels", row), ("groups", g), ("taps", t), ("lanes", c), ("outs", n)
        for name, size in axes:
            if not 1 <= getattr(f, name) <= size:
                self._refuse(name, f"an integer from 1 to {size}")
        if f.groups > 1 and f.outs != n:
            self._refuse("outs", f"{n}, all outputs of a group, when groups={f.groups} > 1")
        if g > 1 and n % f.outs:
            legal = [d for d in range(1, n + 1) if n % d == 0]
            self._refuse("outs", f"one of {legal}: with {g} groups it divides the {n} of a group")
        memories = ("wired",) if self.words == 1 else ("bram", "lutrom")
        if f.memory not in memories:
            why = f"{self.words} weight words per pixel"
            self._refuse("memory", f"{' or '.join(map(repr, memories))} with {why}")
        styles = ("auto", "lut") if f.memory == "wired" else ("auto", "lut", "dsp", "pair")
        styled = ("act_style", ("auto", "lut", "dsp"))
        for name, legal in (("style", styles), ("order", ("output", "input")), styled):
            if getattr(f, name) not in legal:
                self._refuse(name, f"{' or '.join(map(repr, legal))} with memory={f.memory!r}")
        if f.style == "pair" and f.outs < 2:
            self._refuse("style", "'auto', 'lut' or 'dsp' with outs=1")
        if f.levels < 3 + f.coded:
            self._refuse("levels", f"at least {3 + f.coded}")

    def _refuse(self, name: str, legal: str) -> None:
        raise UnitError(
            f"MatVec {self.shape[0]}x{self.shape[1]}x{self.shape[2]}x{self.shape[3]} "
            f"(groups, outputs, taps, channels): {name} must be {legal}, "
            f"not {getattr(self.fold, name)!r}"
        )

    @cached_property
    def layout(self) -> Layout:
        """Layout of the input."""
        f = self.fold
        vector = (f.lanes,) if isinstance(self.op, MatMul) else (f.groups, f.taps, f.lanes)
        return Layout(self.x, (*self.pixel_tile, *vector))

    @property
    def pixel_tile(self) -> tuple[int, ...]:
        """Tile of the axes of x before the vectors."""
        return (1,) * (len(self.leading) - 1) + (self.fold.pixels,) * bool(self.leading)
