"""Which folds of a product that skips zero activations are worth considering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.memory import bram18, lutrom
from hwc.hw.units.frontier import Choice, frontier
from hwc.hw.units.matvec.fold import DotStyle, MatVecFold, ProductOp
from hwc.hw.units.matvec.folds import LARGEST, LUTROM
from hwc.hw.units.parts import distinct
from hwc.hw.units.rom import LUTS_A_BRAM, RomForm
from hwc.hw.units.skip.plan import Buffer, SkipPlan

__all__ = ["NARROW", "skip_folds"]

NARROW = 8
"""Elements of the widest beats that are offered: of wider ones few are all 0."""


def skip_folds(
    op: ProductOp,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 24,
    near: int | None = None,
) -> list[tuple[MatVecFold, Buffer]]:
    """About ``limit`` folds, slowest first by what dense vectors take; with ``near`` those of about
    so many cycles a frame (and the cheapest). None where x has no 0, or there are several groups.
    """
    grouped = len(op.weight.shape) == 4 and op.weight.shape[0] > 1
    if grouped or x.bipolar or not x.lo <= 0 <= x.hi:
        return []
    base = SkipPlan(op, x, act, MatVecFold(levels=levels))
    choices = [_choice(replace(base, fold=fold)) for fold in _shapes(base)]
    sensible = [c for c in choices if c.price <= LARGEST or c.fold == base.fold]
    found = frontier(sensible, limit // 2, near)
    return [full for fold in found for full in _variants(replace(base, fold=fold))]


def _shapes(base: SkipPlan) -> Iterator[MatVecFold]:
    """Narrow beats of at least two a vector, and outputs."""
    _, outputs, taps, channels = base.shape
    beats = [(1, lanes) for lanes in distinct(channels)]
    beats += [(count, channels) for count in distinct(taps) if count > 1]
    for count, lanes in beats:
        if count * lanes <= NARROW and count * lanes < taps * channels:
            for outs in distinct(outputs):
                yield replace(base.fold, taps=count, lanes=lanes, outs=outs)


def _choice(plan: SkipPlan) -> Choice[MatVecFold]:
    """Cycles, and products, sums and memories in something like LUTs."""
    width = plan.x.width * plan.w.width
    price = plan.outputs * (plan.lanes * width + 2 * plan.sum.width) + 2 * plan.layout.width
    return Choice(plan.fold, plan.pixels * plan.words, price)


def _variants(plan: SkipPlan) -> Iterator[tuple[MatVecFold, Buffer]]:
    """Memories and styles that make sense, the likelier first."""
    rom = plan.rom
    luts, blocks = lutrom(rom.width, rom.depth), bram18(rom.width, rom.depth)
    small = rom.depth <= 64 and luts <= min(LUTROM, LUTS_A_BRAM * blocks)
    memory: RomForm = "lutrom" if small else "bram"
    buffer: Buffer = "bram" if plan.depth > 64 else "lutram"
    styles: list[DotStyle] = ["lut"]
    if fits_dsp(plan.dot.x, plan.dot.w):
        styles = ["dsp", "lut"]
    for style in styles:
        yield replace(plan.fold, memory=memory, style=style), buffer
