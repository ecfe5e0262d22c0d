"""Folded products: signs and integers, in LUTs and DSP blocks, memories of all forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import (
    Binary,
    Dense,
    GroupedMatMul,
    MatMul,
    MultiThreshold,
    Requant,
    Ternary,
    Type,
    Weights,
)
from hwc.hw.units.matvec.fold import MatVecFold as Fold
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.unit import MatVec

__all__ = ["products"]

PM = Type((1,), -1, 1, bipolar=True)
U4, U8, S8 = Type((1,), 0, 15), Type((1,), 0, 255), Type((1,), -128, 127)


def bell(rng: np.random.Generator, shape: tuple[int, ...], most: int) -> Dense:
    """Weights as training leaves them: a normal distribution, three deviations wide."""
    return Dense(np.clip(np.rint(rng.normal(0, most / 3, shape)), -most, most).astype(np.int64))


def thresholds(rng: np.random.Generator, op: ProductOp, x: Type, levels: int) -> MultiThreshold:
    """Rising thresholds about the middle of the sums; one of them gives signs."""
    t = op.infer(x)
    spread = (t.hi - t.lo) // 8
    table = np.sort(rng.integers(-spread, spread + 1, (t.shape[-1], levels)), axis=1)
    return MultiThreshold(table, (False,), *((-1, 2) if levels == 1 else (0, 1)))


def requant(rng: np.random.Generator, op: ProductOp, x: Type) -> Requant:
    """Codes of 8 bits with 16-bit multipliers."""
    t, shift = op.infer(x), 16
    slope = max(2, (1 << 8 + shift + 2) // (t.hi - t.lo))
    m = rng.integers(slope // 2, slope, t.shape[-1])
    return Requant(m, rng.integers(-(1 << 18), 1 << 18, t.shape[-1]), shift, -127, 127)


def products() -> Iterator[MatVec]:
    """Serial to parallel, with and without an activation."""
    rng = np.random.default_rng(7)
    yield from _signs(rng)
    yield from _integers(rng)
    yield from _convolutions(rng)
    yield from _deep(rng)


def _signs(rng: np.random.Generator) -> Iterator[MatVec]:
    x = PM.with_shape((128,))
    op = MatMul(Binary(rng.choice([-1, 1], (64, 128))))
    sign = thresholds(rng, op, x, 1)
    yield MatVec(op, x, sign, Fold(lanes=64, outs=4))
    yield MatVec(op, x, sign, Fold(lanes=32, outs=8, memory="bram"))
    yield MatVec(op, x, sign, Fold(lanes=8, outs=1))
    yield MatVec(op, x, sign, Fold(lanes=50, outs=3))
    yield MatVec(op, x, None, Fold(lanes=16, outs=8, order="input"))
    image = U8.with_shape((64,))
    op = MatMul(Binary(rng.choice([-1, 1], (32, 64))))
    yield MatVec(op, image, thresholds(rng, op, image, 1), Fold(lanes=16, outs=2))
    wired = MatMul(Binary(rng.choice([-1, 1], (12, 40))))
    x = PM.with_shape((40,))
    yield MatVec(wired, x, thresholds(rng, wired, x, 1), Fold(lanes=40, outs=12, memory="wired"))


def _integers(rng: np.random.Generator) -> Iterator[MatVec]:
    x = U4.with_shape((64,))
    op = MatMul(bell(rng, (32, 64), 7))
    fifteen = thresholds(rng, op, x, 15)
    yield MatVec(op, x, fifteen, Fold(lanes=16, outs=2))
    yield MatVec(op, x, fifteen, Fold(lanes=4, outs=4, memory="bram"))
    yield MatVec(op, x, fifteen, Fold(lanes=1, outs=1))
    yield MatVec(op, x, None, Fold(lanes=8, outs=4, order="input"))
    ternary: Weights = Ternary(rng.integers(-1, 2, (32, 64)))
    t = MatMul(ternary)
    yield MatVec(t, x, thresholds(rng, t, x, 3), Fold(lanes=16, outs=4))
    small = MatMul(bell(rng, (10, 24), 7))
    yield MatVec(small, x.with_shape((24,)), None, Fold(lanes=24, outs=10, memory="wired"))
    x = S8.with_shape((96,))
    op = MatMul(bell(rng, (40, 96), 127))
    eight = requant(rng, op, x)
    yield MatVec(op, x, eight, Fold(lanes=8, outs=2, memory="bram", style="dsp"))
    yield MatVec(op, x, eight, Fold(lanes=4, outs=4, style="pair"))
    yield MatVec(op, x, eight, Fold(lanes=2, outs=2, style="lut"))
    yield MatVec(op, x, eight, Fold(lanes=4, outs=1, style="dsp", act_style="lut"))
    yield MatVec(op, x, None, Fold(lanes=1, outs=1, style="dsp", memory="bram"))
    yield MatVec(op, x, None, Fold(lanes=7, outs=3, memory="bram"))


def _convolutions(rng: np.random.Generator) -> Iterator[MatVec]:
    x = U4.with_shape((14, 14, 1, 9, 16))
    op = GroupedMatMul(bell(rng, (1, 16, 9, 16), 7))
    act = thresholds(rng, op, x, 15)
    yield MatVec(op, x, act, Fold(taps=3, lanes=8, outs=2))
    yield MatVec(op, x, act, Fold(pixels=2, taps=1, lanes=16, outs=1))
    yield MatVec(op, x, act, Fold(taps=9, lanes=4, outs=1, memory="bram"))
    depthwise = GroupedMatMul(bell(rng, (24, 1, 9, 1), 7))
    x = U4.with_shape((14, 14, 24, 9, 1))
    yield MatVec(depthwise, x, thresholds(rng, depthwise, x, 15), Fold(groups=4, taps=9))
    yield MatVec(depthwise, x, thresholds(rng, depthwise, x, 15), Fold(groups=1, taps=3))
    x = S8.with_shape((8, 8, 1, 9, 8))
    op = GroupedMatMul(bell(rng, (1, 16, 9, 8), 127))
    yield MatVec(op, x, requant(rng, op, x), Fold(taps=9, lanes=1, outs=2, style="dsp"))
    yield MatVec(op, x, requant(rng, op, x), Fold(taps=1, lanes=4, outs=4, order="input"))


def _deep(rng: np.random.Generator) -> Iterator[MatVec]:
    """Inputs and partial sums in block RAM; both orders; weights of few and of many words."""
    x = U4.with_shape((600,))
    op = MatMul(bell(rng, (24, 600), 7))
    yield MatVec(op, x, thresholds(rng, op, x, 3), Fold(lanes=2, outs=1, memory="bram"))
    x = U4.with_shape((12,))
    op = MatMul(bell(rng, (300, 12), 7))
    yield MatVec(op, x, None, Fold(lanes=4, outs=1, memory="bram", order="input"))
    yield MatVec(op, x, None, Fold(lanes=4, outs=20))
    x = S8.with_shape((20, 24))
    op = MatMul(bell(rng, (18, 24), 31))
    eight = requant(rng, op, x)
    yield MatVec(op, x, eight, Fold(pixels=2, lanes=3, outs=2, style="dsp"))
    yield MatVec(op, x, eight, Fold(lanes=6, outs=6, style="pair", memory="bram"))
    yield MatVec(op, x, eight, Fold(lanes=6, outs=2, style="lut", act_style="dsp"))
    x, few = U4.with_shape((20,)), MatMul(Dense(rng.integers(-8, 8, (6, 20))))
    yield MatVec(few, x, None, Fold(lanes=20, outs=2, memory="bram"))
    small = U4.with_shape((6, 6, 10))
    op = MatMul(bell(rng, (12, 10), 3))
    yield MatVec(op, small, thresholds(rng, op, small, 3), Fold(pixels=3, lanes=5, outs=3))
    yield MatVec(op, small, thresholds(rng, op, small, 7), Fold(lanes=10, outs=12, memory="wired"))
