"""Which folds of a product by centroids are worth considering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.memory import bram18, lutrom
from hwc.hw.units.centroids.plan import MOST, CentroidFold, CentroidPlan
from hwc.hw.units.frontier import Choice, frontier
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.folds import LARGEST, LUTROM
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import distinct
from hwc.hw.units.rom import LUTS_A_BRAM, RomForm

__all__ = ["centroid_folds"]

ALONE = 4
"""Fewest inputs an output for each value: with fewer, products are most of the work again."""


def centroid_folds(
    op: ProductOp,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 24,
    near: int | None = None,
) -> list[CentroidFold]:
    """About ``limit`` folds, slowest first; with ``near`` those of about so many cycles a frame
    (and the cheapest). None where there are too many values, or several groups.
    """
    if levels < 5 or x.bipolar or op.weight.size < 2:
        return []
    base = CentroidPlan(op, x, act, CentroidFold(levels=levels))
    if base.grouped or max(-op.weight.lo, op.weight.hi) < 2:
        return []
    values = len(base.centroids)
    if not 1 < values <= MOST or base.shape[1] * base.shape[2] < ALONE * values:
        return []
    choices = [_choice(replace(base, fold=fold)) for fold in _shapes(base)]
    sensible = [c for c in choices if c.price <= LARGEST or c.fold == base.fold]
    found = frontier(sensible, limit // 2, near)
    return [full for fold in found for full in _variants(replace(base, fold=fold))]


def _shapes(base: CentroidPlan) -> Iterator[CentroidFold]:
    """Lanes, outputs, and products in powers of two."""
    outputs, _, channels = base.shape
    for lanes in [n for n in distinct(channels) if n <= 16]:
        outs = 1
        while outs <= outputs:
            macs = 1
            while macs <= outs:
                yield replace(base.fold, lanes=lanes, outs=outs, macs=macs)
                macs *= 2
            outs *= 2


def _choice(plan: CentroidPlan) -> Choice[CentroidFold]:
    """Cycles, and memories, adders and products in something like LUTs."""
    f = plan.fold
    cycles = plan.pixels * plan.groups * (plan.walked + plan.rounds) * plan.minor
    width = plan.bin.width
    price = f.outs * f.lanes * (1.6 * width + 2 * plan.code.width)
    price += f.macs * (8 * width + f.lanes * width) + plan.layout.width
    return Choice(f, cycles, price)


def _variants(plan: CentroidPlan) -> Iterator[CentroidFold]:
    """Memory and styles that make sense, the likelier first."""
    rom = plan.rom
    luts, blocks = lutrom(rom.width, rom.depth), bram18(rom.width, rom.depth)
    small = rom.depth <= 64 and luts <= min(LUTROM, LUTS_A_BRAM * blocks)
    memory: RomForm = "lutrom" if small else "bram"
    styles: list[Style] = ["lut"]
    if fits_dsp(plan.dot.x, plan.dot.w):
        styles = ["dsp", "lut"]
    for style in styles:
        yield replace(plan.fold, memory=memory, style=style)
