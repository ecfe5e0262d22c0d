"""Which folds of a product by tables are worth considering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.memory import bram18, lutram, lutrom
from hwc.hw.units.frontier import Choice, frontier
from hwc.hw.units.lookups.plan import LookupFold, LookupPlan
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.folds import LARGEST, LUTROM
from hwc.hw.units.multiply import Style
from hwc.hw.units.rom import LUTS_A_BRAM, RomForm
from hwc.hw.units.subvectors import pieces_of

__all__ = ["lookup_folds"]

SIZES = (2, 3, 4, 5, 6, 8, 9, 12, 16)
"""Inputs of a block that are tried."""
SHARED = 2
"""Fewest outputs for each piece of a block: with fewer, products are most of the work again."""


def lookup_folds(
    op: ProductOp,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 24,
    near: int | None = None,
) -> list[LookupFold]:
    """About ``limit`` folds, slowest first; with ``near`` those of about so many cycles a frame
    (and the cheapest). None where no size of block has few pieces, or there are several groups.
    """
    base = LookupPlan(op, x, act, LookupFold(levels=levels))
    if levels < 4 or x.bipolar or base.grouped:
        return []
    choices: list[Choice[LookupFold]] = []
    for size in SIZES:
        if size > base.shape[2]:
            break
        pieces = pieces_of(op.weight, size)
        if pieces is None or pieces.count * SHARED > base.shape[0] or pieces.count < 2:
            continue
        folds = _shapes(replace(base, fold=replace(base.fold, size=size)))
        choices += [_choice(replace(base, fold=fold)) for fold in folds]
    found = frontier((c for c in choices if c.price <= LARGEST), limit // 2, near)
    return [full for fold in found for full in _variants(replace(base, fold=fold))]


def _shapes(base: LookupPlan) -> Iterator[LookupFold]:
    """Powers of two of blocks, outputs and products."""
    lanes = 1
    while lanes <= min(base.blocks, 64):
        outs = 1
        while outs <= base.shape[0]:
            for fills in (1, 2, 4):
                if fills <= base.pieces.count:
                    yield replace(base.fold, lanes=lanes, outs=outs, fills=fills)
            outs *= 2
        lanes *= 2


def _choice(plan: LookupPlan) -> Choice[LookupFold]:
    """Cycles, and tables, adders and products in something like LUTs."""
    f = plan.fold
    cycles = plan.pixels * plan.beats * max(plan.entries, plan.steps)
    width = plan.entry.width
    each = lutram(width, plan.depth) * f.fills + 1.5 * width + 2 * plan.code.width
    price = f.outs * (f.lanes * each + 2.5 * plan.acc.width)
    price += f.lanes * f.fills * f.size * (0.8 * plan.x.width * plan.w.width + 1 + plan.w.width)
    return Choice(f, cycles, price + plan.layout.width)


def _variants(plan: LookupPlan) -> Iterator[LookupFold]:
    """Memory and styles that make sense, the likelier first."""
    luts = blocks = deepest = 0
    for rom in (plan.rom, plan.book):
        luts, blocks = luts + lutrom(rom.width, rom.depth), blocks + bram18(rom.width, rom.depth)
        deepest = max(deepest, rom.depth)
    small = deepest <= 64 and luts <= min(LUTROM, LUTS_A_BRAM * blocks)
    memory: RomForm = "lutrom" if small else "bram"
    styles: list[Style] = ["lut"]
    if fits_dsp(plan.dot.x, plan.dot.w):
        styles = ["dsp", "lut"] if plan.dot.uses_dsp else ["lut", "dsp"]
    for style in styles:
        yield replace(plan.fold, memory=memory, style=style)
