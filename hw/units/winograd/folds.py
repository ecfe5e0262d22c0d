"""Which folds of a Winograd product are worth considering: from one multiplier to all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwc.compiler.graph import Quantizer, Type, WinogradProduct
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.memory import bram18, lutrom
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import distinct
from hwc.hw.units.winograd.fold import WinogradFold
from hwc.hw.units.winograd.plan import WinogradPlan

__all__ = ["folds"]

LARGEST = 1 << 15
"""Rough price in LUTs up to which folds are offered; a layer that takes more does not fit."""
LUTROM = 1 << 14
"""Most LUTs that a table of weights in LUTs may take."""
REACH = 4, 1.25
"""How many times fewer and more cycles than wanted a close look covers."""
A_DSP = 60
"""LUTs that count as much as a DSP block in a rough price."""


def folds(
    op: WinogradProduct,
    x: Type,
    act: Quantizer | None,
    levels: int = 6,
    limit: int = 30,
    near: int | None = None,
) -> list[WinogradFold]:
    """About ``limit`` folds, slowest first; with ``near`` those of a few times fewer cycles up to
    a little more (and the slowest).

    For each number of cycles the cheapest shape in the likeliest memory and style. Places of a
    window take turns only with one lane and output: otherwise fewer of these are cheaper, for the
    transforms are there for every lane.
    """
    plain = WinogradPlan(op, x, act, WinogradFold(levels=levels))
    best: dict[int, tuple[float, WinogradFold]] = {}
    for shape in _shapes(plain):
        plan = replace(plain, fold=shape)
        cycles, price = _cycles(plan), _price(plan)
        cheap = price <= LARGEST or not best
        if cheap and (cycles not in best or price < best[cycles][0]):
            best[cycles] = price, shape
    counts = sorted(best, reverse=True)
    if near is not None:
        counts = [c for c in counts if near / REACH[0] <= c <= near * REACH[1] or c == counts[0]]
    if len(counts) > limit // 2:
        last = len(counts) - 1
        counts = [counts[round(k * last / (limit // 2 - 1))] for k in range(limit // 2)]
    found = [replace(plain, fold=best[c][1]) for c in dict.fromkeys(counts)]
    return [fold for plan in found for fold in _variants(plan)]


def _cycles(plan: WinogradPlan) -> int:
    """Cycles a frame: of the products, or of the beats that leave."""
    beats = plan.order.beats if plan.order else 0
    return plan.steps["tile"] * plan.steps["out"] * max(plan.sums, beats)


def _shapes(plan: WinogradPlan) -> Iterator[WinogradFold]:
    """Folds by what they do at once; slowest first. Outs divide, so that pixels move as words."""
    fold, places = plan.fold, plan.places
    for points in (p for p in range(1, places) if places % p == 0):
        yield _with_output(replace(plan, fold=replace(fold, points=points)))
    for outs in (n for n in range(1, plan.outputs + 1) if plan.outputs % n == 0):
        for lanes in distinct(plan.channels):
            shape = replace(fold, lanes=lanes, outs=outs, points=places)
            yield _with_output(replace(plan, fold=shape))


def _with_output(plan: WinogradPlan) -> WinogradFold:
    """The fold with as many parts as there are cycles for, and beats that keep up with them."""
    square, sums = plan.op.m**2, plan.sums
    parts = max(p for p in range(1, square + 1) if square % p == 0 and p <= sums)
    pixels = 1 if square <= sums else plan.op.m
    return replace(plan.fold, parts=1 if plan.act is None else parts, pixels=pixels)


def _price(plan: WinogradPlan) -> float:
    """Multipliers, transforms, accumulators and weight word in something like LUTs."""
    f, places = plan.fold, plan.places
    width = plan.sum.width + plan.shift
    each = min(A_DSP, 0.8 * (plan.x.width + 2) * 8)
    products = f.outs * f.lanes * f.points * each
    transforms = f.lanes * places * 2 * plan.x.width + f.outs * 3 * places * width
    return products + transforms + f.outs * f.points * width + plan.layout.width


def _variants(plan: WinogradPlan) -> Iterator[WinogradFold]:
    """Memories and styles of one shape that make sense, the likeliest first."""
    width, words = plan.rom.width, plan.words
    memories = []
    if lutrom(width, words) <= LUTROM:
        memories.append("lutrom")
    if words > 16 or not memories:
        memories.insert(0 if lutrom(width, words) > 200 * bram18(width, words) else 1, "bram")
    styles: tuple[Style, ...] = ("auto",)
    if any(fits_dsp(x, w) for x, w in plan.slots):
        styles = ("dsp", "lut")
    for style in styles:
        yield replace(plan.fold, memory=memories[0], style=style)
