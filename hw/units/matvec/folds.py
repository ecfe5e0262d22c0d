"""Which folds of a product are worth considering: from one product a cycle to all at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from hwc.compiler.graph import Quantizer, Type
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.dot.pair import fits_pair
from hwc.hw.memory import bram18, lutrom
from hwc.hw.units.matvec.fold import DotStyle, MatVecFold, ProductOp
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.parts import distinct

__all__ = ["folds"]

LARGEST = 1 << 15
"""Rough price in LUTs up to which folds are offered; a layer that takes more does not fit."""
LUTROM = 1 << 14
"""Most LUTs that a table of weights in LUTs may take."""
WIRED = 1 << 13
"""Most products whose weights are wired into the logic: each sum then has a plan of its own, and
planning takes about 0.2 ms a product."""
REACH = 4, 1.25
"""How many times fewer and more cycles than wanted a close look covers."""
PER_AXIS = 9
"""Degrees of parallelism tried along one axis."""


def _sparse(values: list[int], keep: int, of: int) -> list[int]:
    """About ``keep`` of the values, spread evenly in ratio; divisors of ``of`` go first."""
    if len(values) <= keep:
        return values
    picked = {values[0], values[-1]}
    span = math.log(values[-1] / values[0])
    for i in range(1, keep - 1):
        want = math.log(values[0]) + span * i / (keep - 1)
        # A divisor wins over a neighbour within a factor of 1.3.
        off = {v: abs(math.log(v) - want) for v in values}
        near = [v for v in values if off[v] < 0.26] or values
        picked.add(min(near, key=lambda v: (off[v] >= 0.26 or of % v != 0, off[v])))
    return sorted(picked)


@dataclass(frozen=True)
class _Choice:
    """A fold with its speed and a rough price, to compare before anything is planned."""

    fold: MatVecFold
    cycles: int
    price: float


def folds(
    op: ProductOp,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 60,
    near: int | None = None,
    block: int = 1,
) -> list[MatVecFold]:
    """About ``limit`` folds, slowest first; with ``near`` those of a few times fewer cycles up to
    a little more (and the slowest), which are then closer together. With ``block``, a divisor of
    the channels, lanes are multiples of it.

    For each number of cycles the cheapest shapes (few multipliers idle, narrow weight words) come
    first, and several shapes where there is room: neighbours in a network have to agree on tiles.
    Memories, styles and orders vary where both are sensible.
    """
    plain = MatVecPlan(op, x, act, MatVecFold(lanes=block, levels=levels))
    by_cycles: dict[int, list[_Choice]] = {}
    for fold in _shapes(plain):
        shaped = replace(plain, fold=fold)
        if shaped.words == 1 and shaped.outputs * shaped.lanes > WIRED and fold != plain.fold:
            continue
        choice = _choice(shaped)
        if choice.price <= LARGEST or fold == plain.fold:
            by_cycles.setdefault(choice.cycles, []).append(choice)
    if near is not None:
        slowest = max(by_cycles)
        close = {c for c in by_cycles if near / REACH[0] <= c <= near * REACH[1]}
        by_cycles = {c: f for c, f in by_cycles.items() if c in close or c == slowest}
    counts = set(_sparse(sorted(by_cycles), max(2, limit * 2 // 5), max(by_cycles)))
    # Weights wired into the logic are a kind of their own.
    counts |= {pixels for pixels in by_cycles if pixels == plain.steps["pixel"]}
    options = [list(_options(plain, by_cycles[count])) for count in sorted(counts, reverse=True)]
    # The best of each number of cycles, then the second best of each, and so on.
    ranks = zip_longest(*options)
    chosen = [(k, fold) for rank in ranks for k, fold in enumerate(rank) if fold is not None]
    return [fold for _, fold in sorted(chosen[:limit], key=lambda pair: pair[0])]


def _options(plan: MatVecPlan, choices: list[_Choice]) -> Iterator[MatVecFold]:
    """Folds of one number of cycles, best first: shapes and variants of the best shape in turn."""
    ranked = sorted(choices, key=lambda c: c.price)
    near = [c.fold for c in ranked[1:4] if c.price < 2 * ranked[0].price]
    best = _variants(replace(plan, fold=ranked[0].fold))
    others = (next(_variants(replace(plan, fold=fold))) for fold in near)
    for pair in zip_longest(best, others):
        yield from (fold for fold in pair if fold is not None)


def _shapes(plan: MatVecPlan) -> Iterator[MatVecFold]:
    """Folds by what they do at once, in multiples of the plan's lanes. Taps are cut only while
    lanes are one, or all of them."""
    groups, outputs, taps, channels = plan.shape
    row = (plan.leading or (1,))[-1]

    def tried(count: int) -> list[int]:
        return _sparse(distinct(count), PER_AXIS, count)

    block = plan.fold.lanes
    lanes = [block * n for n in tried(channels // block)]
    inner = {(1, c) for c in lanes} | {(t, channels) for t in tried(taps)}
    inner |= {(taps, c) for c in lanes}
    if block == 1:
        inner |= {(t, 1) for t in tried(taps)}
    outer = {(1, n) for n in tried(outputs) if groups == 1 or outputs % n == 0}
    outer |= {(g, outputs) for g in tried(groups)}
    for pixels in _sparse(distinct(row), 4, row):
        for q, n in outer:
            for t, c in inner:
                # Pixels side by side pay once weights are shared by many products already.
                if pixels > 1 and q * n * t * c < 4:
                    continue
                yield replace(plan.fold, pixels=pixels, groups=q, taps=t, lanes=c, outs=n)


def _choice(plan: MatVecPlan) -> _Choice:
    """Multipliers, accumulators, weight word and operand register in something like LUTs."""
    f, x, w = plan.fold, plan.x, plan.w
    products = f.pixels * plan.outputs * plan.lanes
    each = 1.2 if plan.popcount else 0.8 * x.width * w.width + 1
    price = products * each + 2 * f.pixels * plan.outputs * plan.sum.width
    if plan.words == 1:
        price /= 4
    else:
        price += plan.outputs * plan.lanes * w.width
    price += plan.layout.width + plan.out_layout.width
    return _Choice(f, math.prod(plan.steps.values()), price)


def _variants(plan: MatVecPlan) -> Iterator[MatVecFold]:
    """Memories, styles and orders of one shape that make sense, the likeliest first."""
    f = plan.fold
    if plan.words == 1:
        yield replace(f, memory="wired")
        return
    if not plan.codable or f.levels < 4:
        yield from _memories(plan)
        return
    coded = _memories(replace(plan, fold=replace(f, coded=True)))
    for pair in zip_longest(coded, _memories(plan)):
        yield from (fold for fold in pair if fold is not None)


def _memories(plan: MatVecPlan) -> Iterator[MatVecFold]:
    """The variants of a shape whose weights are in a memory."""
    f = plan.fold
    width = plan.outputs * plan.lanes * plan.stored.width
    luts, blocks = lutrom(width, plan.words), bram18(width, plan.words)
    memories = []
    if luts <= LUTROM:
        memories.append("lutrom")
    if plan.words > 16 or not memories:
        # A block RAM that is mostly empty comes last.
        memories.insert(0 if luts > 200 * blocks else 1, "bram")
    dot = plan.dot
    styles: list[DotStyle] = ["auto"]
    if fits_dsp(dot.x, dot.w):
        styles = ["dsp", "lut"] if dot.uses_dsp else ["lut", "dsp"]
    if fits_pair(dot.x, dot.w) and f.outs > 1 and min(dot.x.width, dot.w.width) >= 4:
        styles.insert(1, "pair")
    for memory in memories:
        for style in styles:
            yield replace(f, memory=memory, style=style)
    if plan.steps["out"] > 1 and plan.sums > 1:
        yield replace(f, memory=memories[0], style=styles[0], order="input")
