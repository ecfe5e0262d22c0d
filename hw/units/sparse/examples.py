"""Small sparse products, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import (
    Dense,
    GroupedMatMul,
    MatMul,
    Quantizer,
    Type,
)
from hwc.hw.units.example_acts import requant, thresholds
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.sparse.fold import SparseFold

__all__ = ["nm_examples", "sparse_examples"]

Act = Quantizer | None
SparseCase = tuple[ProductOp, Type, Act, SparseFold]
NMCase = tuple[ProductOp, Type, Act, MatVecFold, tuple[int, int]]


def _nm(rng: np.random.Generator, shape: tuple[int, ...], most: int, n: int, m: int) -> Dense:
    """Weights up to ``most`` in size, up to ``n`` of them in each group of ``m``, mostly all."""
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    rank = np.argsort(rng.random((full.size // m, m)), axis=1)
    count = np.minimum(n, rng.integers(0, 2 * n + 2, (len(rank), 1)))
    return Dense(np.where(rank < count, full.reshape(-1, m), 0).reshape(shape))


def nm_examples() -> Iterator[NMCase]:
    """Patterns, both orders, memories and kinds of multiplier; with tails, taps, groups."""
    rng = np.random.default_rng(12)
    bytes_, nibbles = Type((3, 16), -128, 127), Type((2, 12), 0, 15)
    op = MatMul(_nm(rng, (6, 16), 127, 2, 4))
    act = requant(rng, op, bytes_)
    two = 2, 4
    yield op, bytes_, act, MatVecFold(lanes=4, outs=2, style="lut"), two
    yield op, bytes_, act, MatVecFold(lanes=8, outs=4, style="dsp", memory="bram"), two
    yield op, bytes_, None, MatVecFold(pixels=2, lanes=16, outs=3, order="input"), two
    op = MatMul(_nm(rng, (5, 12), 7, 2, 4))
    yield (
        op,
        nibbles,
        thresholds(rng, op, nibbles, 15, mixed=True),
        MatVecFold(lanes=8, outs=2),
        two,
    )
    few = Type((12,), -2, 9)
    yield op, few, None, MatVecFold(lanes=8, outs=3, order="input", memory="bram"), two
    signs = Type((12,), -1, 1, True)
    yield op, signs, thresholds(rng, op, signs, 1, mixed=True), MatVecFold(lanes=8), two
    op = MatMul(_nm(rng, (4, 12), 7, 1, 2))
    yield op, nibbles, None, MatVecFold(lanes=6, outs=3), (1, 2)
    op = MatMul(_nm(rng, (4, 12), 1, 1, 4))
    yield op, nibbles, None, MatVecFold(lanes=4, outs=4), (1, 4)
    op = MatMul(_nm(rng, (3, 16), 100, 4, 8))
    yield op, bytes_, requant(rng, op, bytes_), MatVecFold(lanes=8, outs=3), (4, 8)
    x = Type((2, 3, 1, 9, 8), 0, 12)
    op = GroupedMatMul(_nm(rng, (1, 5, 9, 8), 7, 2, 4))
    yield (
        op,
        x,
        thresholds(rng, op, x, 3, mixed=True),
        MatVecFold(pixels=2, taps=2, lanes=8, outs=2),
        two,
    )
    yield op, x, None, MatVecFold(taps=9, lanes=4, outs=5), two
    x = Type((2, 3, 3, 4, 4), -8, 7)
    op = GroupedMatMul(_nm(rng, (3, 2, 4, 4), 7, 1, 4))
    yield (
        op,
        x,
        thresholds(rng, op, x, 3, mixed=True),
        MatVecFold(groups=2, taps=3, lanes=4, outs=2),
        (1, 4),
    )


def _few(rng: np.random.Generator, shape: tuple[int, ...], most: int, density: float) -> Dense:
    """Weights up to ``most`` in size in random places, and a row of zeros."""
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    few = np.where(rng.random(shape) < density, full, 0)
    few[..., -2 if len(shape) == 2 else 1, *[slice(None)] * (1 if len(shape) == 2 else 2)] = 0
    return Dense(few)


def sparse_examples() -> Iterator[SparseCase]:
    """One element to one a row, both kinds of index and memory, pixels, taps, tails."""
    rng = np.random.default_rng(13)
    bytes_ = Type((3, 40), -128, 127)
    op = MatMul(_few(rng, (9, 40), 127, 0.15))
    act = requant(rng, op, bytes_)
    yield op, bytes_, act, SparseFold(pes=2, lanes=2, gap=3, style="dsp")
    yield op, bytes_, act, SparseFold(pes=1)
    yield op, bytes_, None, SparseFold(pes=4, outs=2, lanes=4, gap=2, memory="bram", buffer="bram")
    yield op, bytes_, None, SparseFold(pes=6, outs=3, lanes=8, pixels=2, style="lut")
    yield op, bytes_, act, SparseFold(pes=9, outs=9, lanes=2, gap=1, pixels=3, style="dsp")
    nibbles = Type((50,), 0, 15)
    op = MatMul(_few(rng, (11, 50), 7, 0.1))
    yield (
        op,
        nibbles,
        thresholds(rng, op, nibbles, 15, mixed=True),
        SparseFold(pes=3, gap=4, buffer="bram"),
    )
    signs = Type((2, 50), -1, 1, True)
    yield (
        op,
        signs,
        thresholds(rng, op, signs, 1, mixed=True),
        SparseFold(pes=4, outs=4, lanes=4, gap=3),
    )
    op = MatMul(_few(rng, (70, 30), 7, 0.2))
    wide = Type((30,), -128, 127)
    yield op, wide, None, SparseFold(pes=1, gap=3, lanes=2)
    x = Type((2, 3, 1, 9, 5), 2, 12)
    op = GroupedMatMul(_few(rng, (1, 6, 9, 5), 7, 0.2))
    yield op, x, thresholds(rng, op, x, 3, mixed=True), SparseFold(pes=3, lanes=2, pixels=2, gap=2)
    yield op, x, None, SparseFold(pes=4, outs=2, lanes=2, taps=4, gap=3)
    yield op, x, None, SparseFold(pes=2, lanes=1, taps=2, buffer="bram")
    negative = MatMul(Dense([[0, -1, 3, 0, 0, 2], [0, 0, 0, 0, 1, 0]]))
    yield negative, Type((6,), 3, 9), None, SparseFold(pes=2, gap=2)
