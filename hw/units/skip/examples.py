"""Small products that skip zeros, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import Binary, Dense, GroupedMatMul, MatMul, Quantizer, Type
from hwc.hw.units.example_acts import requant, thresholds
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.skip.plan import Buffer

__all__ = ["skip_examples"]

Case = tuple[ProductOp, Type, Quantizer | None, MatVecFold, Buffer]


def _dense(rng: np.random.Generator, shape: tuple[int, ...], most: int) -> Dense:
    return Dense(rng.integers(-most, most + 1, shape))


def skip_examples() -> Iterator[Case]:
    """Serial to parallel, all kinds of memory and arithmetic, one block and many; with tails."""
    rng = np.random.default_rng(17)
    x = Type((3, 13), 0, 15)
    op = MatMul(_dense(rng, (7, 13), 7))
    act = thresholds(rng, op, x, 7, mixed=True)
    yield op, x, act, MatVecFold(lanes=2, outs=3), "lutram"
    yield op, x, None, MatVecFold(), "lutram"
    yield op, x, None, MatVecFold(lanes=5, outs=7, memory="bram"), "bram"
    yield op, x, act, MatVecFold(lanes=12, outs=2), "lutram"
    x = Type((16,), -128, 127)
    op = MatMul(_dense(rng, (6, 16), 127))
    yield op, x, requant(rng, op, x), MatVecFold(lanes=4, outs=2, style="dsp"), "bram"
    yield op, x, requant(rng, op, x), MatVecFold(lanes=1, outs=5, style="pair"), "lutram"
    yield op, x, None, MatVecFold(lanes=4, outs=6, style="lut", levels=4), "lutram"
    x = Type((2, 11), -3, 9)
    op = MatMul(Binary(rng.choice([-1, 1], (5, 11))))
    yield op, x, thresholds(rng, op, x, 1), MatVecFold(lanes=3, outs=2), "lutram"
    op = MatMul(Dense(rng.choice([-101, -7, 3, 64, 90], (4, 11))))
    yield op, x, None, MatVecFold(lanes=2, outs=2, memory="bram", coded=True), "lutram"
    x = Type((2, 3, 1, 9, 5), 0, 6)
    op = GroupedMatMul(_dense(rng, (1, 4, 9, 5), 7))
    yield op, x, thresholds(rng, op, x, 3), MatVecFold(taps=2, lanes=3, outs=3), "lutram"
    yield op, x, None, MatVecFold(taps=1, lanes=5, outs=4), "bram"
    long = Type((150,), -2, 0)
    yield MatMul(_dense(rng, (3, 150), 3)), long, None, MatVecFold(outs=2, memory="bram"), "bram"
