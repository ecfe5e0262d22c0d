"""Small Winograd products of every kind, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import (
    Dense,
    Quantizer,
    Requant,
    TwoSlope,
    Type,
    WinogradProduct,
)
from hwc.hw.units.example_acts import requant, thresholds
from hwc.hw.units.winograd.fold import WinogradFold

__all__ = ["examples"]

Act = Quantizer | None
Case = tuple[WinogradProduct, Type, Act, WinogradFold]
Rng = np.random.Generator


def _product(rng: Rng, m: int, shape: tuple[int, ...], lo: int, hi: int) -> WinogradProduct:
    return WinogradProduct(Dense(rng.integers(lo, hi + 1, shape)), m)


def examples() -> Iterator[Case]:
    """All sizes, serial to parallel, with tails, every memory, every form of activation."""
    rng = np.random.default_rng(23)
    yield from _small(rng)
    yield from _bytes(rng)
    yield from _large(rng)


def _small(rng: Rng) -> Iterator[Case]:
    """F(2x2, 3x3) and F(2x2, 2x2) of narrow integers, in LUTs."""
    x, op = Type((2, 3, 1, 16, 3), 0, 3), _product(rng, 2, (3, 3, 3, 3), -3, 3)
    act = thresholds(rng, op, x, 3, mixed=True)
    yield op, x, None, WinogradFold(lanes=2, outs=2, points=16, style="lut")
    yield op, x, None, WinogradFold(lanes=3, outs=3, points=16, style="lut")
    yield op, x, act, WinogradFold(lanes=2, outs=1, points=16, style="lut", parts=2)
    yield op, x, act, WinogradFold(lanes=3, outs=2, points=4, style="lut", parts=4)
    yield op, x, act, WinogradFold(pixels=1)
    yield op, x, act, WinogradFold(lanes=3, outs=2, points=8, style="lut", pixels=2)
    odd = Type((2, 1, 16, 3), 2, 9)
    yield op, odd, thresholds(rng, op, odd, 1, mixed=True), WinogradFold(lanes=2, outs=3, points=8)
    signs, op = Type((2, 2, 1, 9, 3), -1, 1, True), _product(rng, 2, (2, 2, 2, 3), -1, 1)
    yield op, signs, None, WinogradFold(lanes=2, outs=1, points=9)
    few = Type((2, 2, 1, 9, 3), -6, -1)
    yield (
        op,
        few,
        thresholds(rng, op, few, 3, mixed=True),
        WinogradFold(lanes=3, outs=2, points=3, parts=2),
    )


def _bytes(rng: Rng) -> Iterator[Case]:
    """F(2x2, 3x3) of 8-bit integers, in DSP blocks."""
    x, op = Type((2, 2, 1, 16, 4), -128, 127), _product(rng, 2, (4, 3, 3, 4), -127, 127)
    act = requant(rng, op, x)
    yield op, x, act, WinogradFold(1, 1, 16, 4, "bram", "dsp", "dsp", 6, 1)
    yield op, x, act, WinogradFold(2, 3, 4, 2, "lutrom", "dsp", "lut")
    yield op, x, act, WinogradFold(4, 1, 8, 1, "bram", "auto")
    leaky = Requant([act.multiplier.values[0] // 8], [0], act.shift, act.lo, act.hi)
    both = TwoSlope(act, leaky, (True, False, True, True))
    yield op, x, both, WinogradFold(2, 2, 2, 4, "bram", "dsp", "lut", 5)


def _large(rng: Rng) -> Iterator[Case]:
    """F(4x4, 3x3), F(2x2, 4x4) and F(3x3, 3x3): divisors that are no power of two."""
    x, op = Type((1, 2, 1, 36, 2), -128, 127), _product(rng, 4, (2, 3, 3, 2), -127, 127)
    yield op, x, requant(rng, op, x), WinogradFold(1, 1, 36, 2, "bram", "dsp", pixels=4)
    x, op = Type((1, 2, 1, 36, 2), 0, 3), _product(rng, 4, (2, 3, 3, 2), -1, 1)
    yield op, x, thresholds(rng, op, x, 3, mixed=True), WinogradFold(2, 1, 6, 4, "lutrom", "dsp")
    x, op = Type((2, 1, 25, 3), 0, 15), _product(rng, 2, (2, 4, 4, 3), -8, 7)
    yield op, x, thresholds(rng, op, x, 15, mixed=True), WinogradFold(2, 1, 25, 2)
    yield op, x, None, WinogradFold(3, 1, 5, pixels=1)
    x, op = Type((1, 1, 25, 2), -3, 3), _product(rng, 3, (2, 3, 3, 2), -4, 3)
    yield op, x, thresholds(rng, op, x, 1, mixed=True), WinogradFold(2, 2, 5, 3)
