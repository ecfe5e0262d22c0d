"""Which folds of a sparse product are worth considering: from one element to many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.memory import bram18, lutram, lutrom
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.folds import LUTROM, REACH
from hwc.hw.units.multiply import Style
from hwc.hw.units.rom import LUTS_A_BRAM, RomForm
from hwc.hw.units.sparse.fold import SparseFold
from hwc.hw.units.sparse.plan import SparsePlan
from hwc.hw.units.sparse.rows import gaps_of

__all__ = ["SPARSE", "sparse_folds"]

SPARSE = 0.5
"""Most weights other than 0, as a share of all, for which folds are offered: each costs an index,
a place in a copy of the inputs and a multiplexer more than a dense one."""
MOST = 128
"""Most elements: each has memories of its own."""


def sparse_folds(
    op: ProductOp,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 24,
    near: int | None = None,
) -> list[SparseFold]:
    """About ``limit`` folds, slowest first; with ``near`` those of about so many cycles a frame
    (and the slowest). None where too few weights are 0 or there are several groups.

    As many elements as divide the cycles by steps of about 1.4; beats of x and y just wide enough
    to keep up, and pixels side by side that share entries where there are many.
    """
    shape = op.weight.shape
    if (len(shape) == 4 and shape[0] > 1) or op.weight.size < 2:
        return []
    dense = op.weight.dense()
    nonzeros = int((dense != 0).sum())
    if nonzeros > SPARSE * dense.size or nonzeros == 0:
        return []
    base = SparsePlan(op, x, act, SparseFold(levels=levels))
    found: dict[SparseFold, int] = {}
    for fold in _shapes(base, nonzeros, near):
        plan = replace(base, fold=fold)
        cycles = plan.steps * max(plan.firings, plan.beats, plan.given)
        for full in _variants(plan):
            found.setdefault(full, cycles)
    by_cycles: dict[int, list[SparseFold]] = {}
    for full in sorted(found, key=lambda f: -found[f]):
        by_cycles.setdefault(found[full], []).append(full)
    counts = list(by_cycles)
    if near is not None:
        close = [c for c in counts if near / REACH[0] <= c <= near * REACH[1]]
        counts = [*counts[:1], *(c for c in close if c != counts[0])]
    step = max(1, -(-sum(len(by_cycles[c]) for c in counts) // limit))
    return [full for c in counts[::step] for full in by_cycles[c]]


def _shapes(base: SparsePlan, nonzeros: int, near: int | None) -> Iterator[SparseFold]:
    """Elements, pixels and widths of beats."""
    rows, taps, channels = base.shape
    row = (base.leading or (1,))[-1]
    ratio = 1.4 if near is None else 1.15
    counts, pes = [1], 1.0
    while (pes := pes * ratio) < min(rows, MOST) + 1:
        counts.append(int(pes))
    for pixels in (1, 2, 4):
        if pixels > row:
            break
        for count in dict.fromkeys(counts):
            goal = -(-nonzeros // count)
            lanes = 1
            while lanes * 2 <= channels and taps * -(-channels // lanes) > goal:
                lanes *= 2
            outs = 1
            while -(-rows // outs) > goal and outs * 2 <= rows:
                outs *= 2
            if count < outs:
                continue
            yield _indexed(
                base,
                replace(base.fold, pes=count - count % outs, outs=outs, lanes=lanes, pixels=pixels),
            )


def _indexed(base: SparsePlan, fold: SparseFold) -> SparseFold:
    """The fold with the index that makes the fewest stored bits."""
    plan = replace(base, fold=fold)
    return replace(fold, gap=gaps_of(base.op.weight, plan.grid, plan.tile, base.w.width))


def _variants(plan: SparsePlan) -> Iterator[SparseFold]:
    """Memories and styles that make sense, the likeliest first."""
    f, rom = plan.fold, plan.rom
    luts, blocks = lutrom(rom.width, rom.depth), bram18(rom.width, rom.depth)
    # Deeper tables of what is as good as random take synthesis twice the LUTs that they should.
    small = rom.depth <= 64 and luts <= min(LUTROM, LUTS_A_BRAM * blocks)
    memory: RomForm = "lutrom" if small else "bram"
    width, depth = plan.layout.width, plan.stride + plan.beats
    luts, blocks = lutram(width, depth), LUTS_A_BRAM * bram18(width, depth)
    likely, other = ("lutram", "bram") if luts <= blocks else ("bram", "lutram")
    styles: list[Style] = ["auto"]
    if fits_dsp(plan.dot.x, plan.dot.w):
        styles = ["dsp", "lut"] if plan.dot.uses_dsp else ["lut", "dsp"]
    for style in styles:
        yield replace(f, memory=memory, buffer=likely, style=style)
    if max(luts, blocks) <= 4 * min(luts, blocks):
        yield replace(f, memory=memory, buffer=other, style=styles[0])
