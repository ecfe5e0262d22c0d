"""Small folded products of every kind, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import (
    Binary,
    Dense,
    GroupedMatMul,
    MatMul,
    Quantizer,
    Requant,
    Ternary,
    TwoSlope,
    Type,
    Weights,
)
from hwc.hw.units.example_acts import requant, thresholds
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp

__all__ = ["examples"]

Act = Quantizer | None
Case = tuple[ProductOp, Type, Act, MatVecFold]


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Binary:
    return Binary(rng.choice([-1, 1], shape))


def _dense(rng: np.random.Generator, shape: tuple[int, ...], lo: int, hi: int) -> Dense:
    return Dense(rng.integers(lo, hi + 1, shape))


def examples() -> Iterator[Case]:
    """Every kind of arithmetic, memory and order; serial to parallel; with tails."""
    rng = np.random.default_rng(11)
    yield from _sign_cases(rng)
    yield from _integer_cases(rng)
    yield from _window_cases(rng)
    yield from _order_cases(rng)
    yield from _coded_cases(rng)


def _sign_cases(rng: np.random.Generator) -> Iterator[Case]:
    """XNOR and popcount, signs with integers."""
    x = Type((21,), -1, 1, True)
    op = MatMul(_signs(rng, (10, 21)))
    act = thresholds(rng, op, x, 1, mixed=True)
    yield op, x, act, MatVecFold(lanes=8, outs=4)
    yield op, x, act, MatVecFold(lanes=21, outs=10, memory="wired")
    yield op, x, act, MatVecFold(lanes=1, outs=1)
    yield op, x, None, MatVecFold(lanes=5, outs=3, memory="bram")
    yield op, x, None, MatVecFold(lanes=21, outs=10, memory="wired")
    yield op, x, None, MatVecFold(lanes=21, outs=3)
    yield op, x, requant(rng, op, x, 4), MatVecFold(lanes=4, outs=5)
    image = Type((3, 8), 0, 255)
    op = MatMul(_signs(rng, (5, 8)))
    yield op, image, thresholds(rng, op, image, 3), MatVecFold(pixels=2, lanes=3, outs=2)
    signed = Type((12,), -8, 7)
    op = MatMul(_signs(rng, (6, 12)))
    yield op, signed, None, MatVecFold(lanes=5, outs=4)
    op = MatMul(_dense(rng, (6, 12), -8, 7))
    signs = Type((12,), -1, 1, True)
    yield op, signs, thresholds(rng, op, signs, 1), MatVecFold(lanes=5, outs=2)
    yield (
        MatMul(Binary(np.ones((3, 4)).astype(int))),
        signs.with_shape((4,)),
        None,
        MatVecFold(lanes=4, outs=3, memory="wired"),
    )


def _integer_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Integers of all widths, in LUTs, DSP blocks and wires."""
    x = Type((4, 10), 0, 15)
    op = MatMul(_dense(rng, (7, 10), -7, 7))
    yield op, x, thresholds(rng, op, x, 15, mixed=True), MatVecFold(pixels=3, lanes=3, outs=1)
    yield op, x, None, MatVecFold(lanes=10, outs=7, memory="wired")
    x = Type((2, 9), -128, 127)
    op = MatMul(_dense(rng, (4, 9), -127, 127))
    act = requant(rng, op, x)
    yield op, x, act, MatVecFold(lanes=4, outs=2, style="dsp", memory="bram")
    yield op, x, act, MatVecFold(pixels=2, lanes=1, outs=3, style="lut", act_style="dsp")
    yield op, x, act, MatVecFold(lanes=5, outs=3, style="pair")
    yield op, x, act, MatVecFold(lanes=9, outs=4, memory="wired")
    yield op, x, None, MatVecFold(lanes=3, outs=3, style="lut", levels=4)
    leaky = Requant([act.multiplier.values[0] // 8], [0], act.shift, act.lo, act.hi)
    yield op, x, TwoSlope(act, leaky, (True, False, True, True)), MatVecFold(lanes=4, outs=2)
    ternary = MatMul(Ternary(rng.integers(-1, 2, (5, 14))))
    x = Type((14,), 0, 3)
    yield ternary, x, thresholds(rng, ternary, x, 3), MatVecFold(lanes=6, outs=3)
    yield ternary, x, None, MatVecFold(lanes=14, outs=5, memory="wired")
    positive = MatMul(_dense(rng, (4, 6), 1, 3))
    yield positive, Type((6,), 2, 9), None, MatVecFold(lanes=4, outs=3)
    yield positive, Type((6,), -9, -2), None, MatVecFold(lanes=4, outs=4)


def _window_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Convolutions: taps, groups, several pixels at once."""
    x = Type((2, 3, 1, 9, 10), 0, 15)
    op = GroupedMatMul(_dense(rng, (1, 5, 9, 10), -8, 7))
    act = thresholds(rng, op, x, 15)
    yield op, x, act, MatVecFold(pixels=2, taps=2, lanes=3, outs=2)
    depthwise = GroupedMatMul(_dense(rng, (7, 1, 9, 1), -7, 7))
    x = Type((2, 3, 7, 9, 1), 0, 15)
    act = thresholds(rng, depthwise, x, 15, mixed=True)
    yield depthwise, x, act, MatVecFold(groups=3, taps=4)
    depthwise = GroupedMatMul(_dense(rng, (3, 1, 9, 1), -7, 7))
    x = Type((2, 3, 3, 9, 1), 0, 15)
    act = thresholds(rng, depthwise, x, 15, mixed=True)
    yield depthwise, x, act, MatVecFold(pixels=2, groups=3, taps=9, memory="wired")
    grouped = GroupedMatMul(_signs(rng, (3, 4, 4, 5)))
    signs = Type((3, 2, 3, 4, 5), -1, 1, True)
    act = thresholds(rng, grouped, signs, 1, mixed=True)
    yield grouped, signs, act, MatVecFold(pixels=2, groups=2, taps=3, lanes=2, outs=4)
    yield grouped, signs, act, MatVecFold(taps=3, lanes=2, outs=2, order="input")
    padded = Type((3, 2, 3, 4, 5), -1, 1)
    yield grouped, padded, thresholds(rng, grouped, padded, 1), MatVecFold(taps=2, lanes=3, outs=4)
    yield grouped, padded.with_shape((3, 4, 5)), None, MatVecFold(taps=4, lanes=5, outs=2)


def _order_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Both orders, and memories deep enough for block RAM."""
    x = Type((3, 7), -8, 7)
    op = MatMul(_dense(rng, (9, 7), -8, 7))
    act = requant(rng, op, x, 5)
    for fold in (
        MatVecFold(pixels=2, lanes=3, outs=2, order="input"),
        MatVecFold(lanes=3, outs=4, order="input", memory="bram"),
        MatVecFold(lanes=7, outs=2, order="input"),
        MatVecFold(pixels=2, lanes=7, outs=2),
    ):
        yield op, x, act, fold
    deep = Type((288,), 0, 255)
    weights: Weights = _dense(rng, (3, 288), -2, 1)
    yield MatMul(weights), deep, None, MatVecFold(lanes=2, outs=2, memory="bram")
    wide = MatMul(_dense(rng, (280, 6), -2, 1))
    x = Type((6,), 0, 255)
    yield (
        wide,
        x,
        thresholds(rng, wide, x, 3),
        MatVecFold(lanes=4, outs=2, order="input", memory="bram"),
    )


def _coded_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Few values: the memory holds codes, 0 among the values or not, in every arithmetic."""
    x = Type((2, 9), -128, 127)
    op = MatMul(Dense(rng.choice([-101, -7, 3, 64, 90], (5, 9))))
    act = requant(rng, op, x)
    yield op, x, act, MatVecFold(lanes=4, outs=2, style="dsp", memory="bram", coded=True)
    yield op, x, act, MatVecFold(lanes=9, outs=2, style="pair", coded=True)
    yield op, x, None, MatVecFold(pixels=2, lanes=2, outs=3, style="lut", levels=4, coded=True)
    sixteen = [-96, -85, -75, -60, -49, -37, -24, -12, 4, 17, 29, 41, 55, 67, 77, 87]
    all_codes = Dense(rng.permutation(np.resize(sixteen, 40)).reshape(4, 10))
    yield MatMul(all_codes), Type((10,), 0, 15), None, MatVecFold(style="lut", coded=True)
    x = Type((14,), 0, 3)
    powers = MatMul(Dense(rng.choice([-64, -8, -1, 0, 2, 16, 32], (6, 14))))
    act = thresholds(rng, powers, x, 7, mixed=True)
    yield powers, x, act, MatVecFold(lanes=5, outs=4, order="input", coded=True)
    signs = Type((3, 14), -1, 1, True)
    yield powers, signs, None, MatVecFold(lanes=6, outs=1, memory="bram", coded=True)
    window = Type((2, 1, 4, 3), 0, 200)
    taps = GroupedMatMul(Dense(rng.choice([-100, 100, 17], (1, 3, 4, 3))))
    yield taps, window, None, MatVecFold(pixels=2, taps=3, lanes=2, outs=2, coded=True)
