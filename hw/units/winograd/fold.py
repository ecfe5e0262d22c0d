"""How a Winograd product is folded, and which folds are legal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hwc.compiler.graph import Quantizer, Type, WinogradProduct
from hwc.hw.layout import Layout
from hwc.hw.unit import UnitError
from hwc.hw.units.multiply import Style

__all__ = ["WinogradFold", "WinogradGeometry"]


@dataclass(frozen=True)
class WinogradFold:
    """How much of a Winograd product one firing does, and where its weights are.

    A firing multiplies ``points`` of the n * n places of a transformed window, of ``lanes`` input
    channels, by the transformed weights of ``outs`` outputs. Lanes and outs need not divide their
    axes; points divide n * n. The activation works on the m * m sums of an output in ``parts``
    steps: that many times fewer of its pipelines, in no more cycles than the sums take anyway.

    ``pixels`` of a tile leave in a beat, 1 or m, in the order of y, out of a memory of two tiles;
    0: all of them straight away, which no other unit but a converter takes if outs are folded.

    ``memory``: weights in block RAM or in LUTs as a table. ``style``: products in LUTs, in DSP
    blocks where they fit, or whatever is cheaper; ``act_style`` the same for the multiplier of a
    requantization. ``levels``: LUT and carry levels between registers.
    """

    lanes: int = 1
    outs: int = 1
    points: int = 1
    parts: int = 1
    memory: Literal["bram", "lutrom"] = "lutrom"
    style: Style = "auto"
    act_style: Style = "auto"
    levels: int = 6
    pixels: int = 0


@dataclass(frozen=True)
class WinogradGeometry:
    """Shapes of a folded product: ``x`` is (..., 1, T, C), T = n * n, weights are (N, r, r, C)."""

    op: WinogradProduct
    x: Type
    act: Quantizer | None
    fold: WinogradFold

    @property
    def places(self) -> int:
        """T: places of a window, and of its transform."""
        return self.op.n**2

    @property
    def outputs(self) -> int:
        """N: outputs of a pixel."""
        return self.op.weight.shape[0]

    @property
    def channels(self) -> int:
        """C: input channels."""
        return self.op.weight.shape[3]

    @property
    def leading(self) -> tuple[int, ...]:
        """Axes of x before the windows: tiles of a map."""
        return self.x.shape[:-3]

    @cached_property
    def steps(self) -> dict[str, int]:
        """Firings along each loop."""
        f = self.fold
        return {
            "tile": math.prod(self.leading),
            "out": -(-self.outputs // f.outs),
            "point": -(-self.places // f.points),
            "lane": -(-self.channels // f.lanes),
        }

    @property
    def words(self) -> int:
        """Different weight words: firings of one window."""
        return self.steps["out"] * self.sums

    @property
    def sums(self) -> int:
        """Firings that make the sums of one group of outputs."""
        return self.steps["point"] * self.steps["lane"]

    def check(self) -> None:
        """UnitError, with the legal values, if the fold does not fit the op."""
        f, m = self.fold, self.op.m
        for name, size in (("lanes", self.channels), ("outs", self.outputs)):
            if not 1 <= getattr(f, name) <= size:
                self._refuse(name, f"an integer from 1 to {size}")
        legal = [p for p in range(1, self.places + 1) if self.places % p == 0]
        if f.points not in legal:
            self._refuse("points", f"one of {legal}")
        most = 1 if self.act is None else self.sums
        legal = [p for p in range(1, min(most, m * m) + 1) if m * m % p == 0]
        if f.parts not in legal:
            why = "without an activation" if self.act is None else f"in {most} firings an output"
            self._refuse("parts", f"one of {legal} {why}")
        if f.pixels not in (0, 1, m):
            self._refuse("pixels", f"one of {sorted({0, 1, m})}")
        if f.memory not in ("bram", "lutrom"):
            self._refuse("memory", "'bram' or 'lutrom'")
        for name in ("style", "act_style"):
            if getattr(f, name) not in ("auto", "lut", "dsp"):
                self._refuse(name, "'auto', 'lut' or 'dsp'")
        if f.levels < 3:
            self._refuse("levels", "at least 3")

    def _refuse(self, name: str, legal: str) -> None:
        op = self.op
        raise UnitError(
            f"Winograd F({op.m}x{op.m}, {op.r}x{op.r}), {self.channels} -> {self.outputs} "
            f"channels: {name} must be {legal}, not {getattr(self.fold, name)!r}"
        )

    @cached_property
    def layout(self) -> Layout:
        """Layout of the input: whole windows of some channels."""
        ones = (1,) * len(self.leading)
        return Layout(self.x, (*ones, 1, self.places, self.fold.lanes))
