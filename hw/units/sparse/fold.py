"""How a sparse product is folded, and which folds are legal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hwc.compiler.graph import MatMul, Quantizer, Type
from hwc.hw.layout import Layout
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import check_options
from hwc.hw.units.rom import RomForm

__all__ = ["SparseFold", "SparseGeometry"]

OPTIONS = {
    "memory": ("bram", "lutrom"),
    "buffer": ("lutram", "bram"),
    "style": ("auto", "lut", "dsp"),
    "act_style": ("auto", "lut", "dsp"),
}
"""What a fold chooses from."""


@dataclass(frozen=True)
class SparseFold:
    """Processing elements, and how vectors come and go.

    Each of ``pes`` elements multiplies one entry a cycle, for ``pixels`` neighbouring positions (of
    the last axis before the vectors). Inputs come in beats of ``taps`` taps and ``lanes`` channels,
    together a power of two; ``outs`` outputs leave at a time, and divide ``pes``.

    ``gap``: bits of the relative index of an entry, or 0 for absolute ones; ``memory``: where the
    entries are; ``buffer``: where each element keeps its copy of two input vectors. ``style`` and
    ``act_style``: products of the elements, and of a requantization, in LUTs or DSP blocks;
    ``levels``: LUT and carry levels between registers.
    """

    pes: int = 1
    outs: int = 1
    lanes: int = 1
    taps: int = 1
    pixels: int = 1
    gap: int = 0
    memory: RomForm = "lutrom"
    buffer: Literal["lutram", "bram"] = "lutram"
    style: Style = "auto"
    act_style: Style = "auto"
    levels: int = 6


@dataclass(frozen=True)
class SparseGeometry:
    """Shapes: ``x`` is (..., 1, T, C) or (..., C), the weights are (1, N, T, C) or (N, C)."""

    op: ProductOp
    x: Type
    act: Quantizer | None
    fold: SparseFold

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """``(N, T, C)``: outputs, taps, channels."""
        s = self.op.weight.shape
        return (s[0], 1, s[1]) if isinstance(self.op, MatMul) else (s[1], s[2], s[3])

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """Axes of x before the vectors."""
        return self.x.shape[: -1 if isinstance(self.op, MatMul) else -3]

    @property
    def steps(self) -> int:
        """Groups of pixels in a frame."""
        *outer, row = self.leading or (1,)
        return math.prod(outer) * -(-row // self.fold.pixels)

    @property
    def beat(self) -> int:
        """Places of a beat."""
        return self.fold.taps * self.fold.lanes

    @property
    def beats(self) -> int:
        """Beats of a pixel's vector."""
        _, taps, channels = self.shape
        return -(-taps // self.fold.taps) * -(-channels // self.fold.lanes)

    @property
    def given(self) -> int:
        """Beats of a pixel's outputs."""
        return -(-self.shape[0] // self.fold.outs)

    @property
    def pixel_tile(self) -> tuple[int, ...]:
        """Tile of the axes of x before the vectors."""
        return (1,) * (len(self.leading) - 1) + (self.fold.pixels,) * bool(self.leading)

    @cached_property
    def layout(self) -> Layout:
        """Layout of the input."""
        f = self.fold
        vector = (f.lanes,) if isinstance(self.op, MatMul) else (1, f.taps, f.lanes)
        return Layout(self.x, (*self.pixel_tile, *vector))

    def check(self) -> None:
        """UnitError, with the legal values, if the fold does not fit the op."""
        (n, t, c), f = self.shape, self.fold
        if not isinstance(self.op, MatMul) and self.op.weight.shape[0] > 1:
            self._refuse("op", "a product of one group", f"{self.op.weight.shape[0]} groups")
        row = (self.leading or (1,))[-1]
        for name, size in (("pixels", row), ("taps", t), ("lanes", c), ("pes", n), ("outs", n)):
            if not 1 <= getattr(f, name) <= size:
                self._refuse(name, f"an integer from 1 to {size}", getattr(f, name))
        if self.beat & (self.beat - 1):
            self._refuse("taps * lanes", "a power of two", self.beat)
        if f.pes % f.outs:
            self._refuse("outs", f"a divisor of pes={f.pes}", f.outs)
        if not 0 <= f.gap <= 16:
            self._refuse("gap", "0 to 16 bits", f.gap)
        check_options(self._what, f, OPTIONS)
        if f.levels < 3:
            self._refuse("levels", "at least 3", f.levels)

    @property
    def _what(self) -> str:
        return f"SparseMatVec {'x'.join(map(str, self.shape))} (outputs, taps, channels)"

    def _refuse(self, name: str, legal: str, got: object) -> None:
        raise UnitError(f"{self._what}: {name} must be {legal}, not {got!r}")
