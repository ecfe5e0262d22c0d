"""Products that exploit their weights: patterns, rows, codes, tables, tiles; and zero inputs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from hwc.compiler.graph import (
    Dense,
    GroupedMatMul,
    MatMul,
    MultiThreshold,
    Requant,
    Type,
    WinogradProduct,
)
from hwc.hw.unit import Ints, Unit
from hwc.hw.units.centroids.unit import CentroidFold, CentroidMatVec
from hwc.hw.units.lookups.unit import LookupFold, LookupMatVec
from hwc.hw.units.matvec.fold import MatVecFold as Fold
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.shift.unit import ShiftMatVec
from hwc.hw.units.skip.unit import SkipMatVec
from hwc.hw.units.sparse.unit import SparseFold, SparseMatVec
from hwc.hw.units.winograd.unit import Winograd, WinogradFold

from .products import bell, requant

__all__ = ["compressed", "nonzero", "pruned"]

S8, U4 = Type((1,), -128, 127), Type((1,), 0, 15)


def compressed() -> Iterator[Unit]:
    """Of each kind serial and parallel ones, in LUTs and in DSP blocks."""
    return chain(_patterns(), _rows(), _shifts(), _centroids(), _lookups(), _skips(), _tiles())


def nonzero(rng: np.random.Generator, shape: tuple[int, ...], most: int) -> Ints:
    """Weights of both signs, none of them 0."""
    return rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)


def kept(rng: np.random.Generator, shape: tuple[int, ...], density: float, most: int) -> Dense:
    """So many weights other than 0, in random places."""
    full = nonzero(rng, shape, most)
    return Dense(np.where(rng.random(shape) < density, full, 0))


def pruned(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int, most: int) -> Dense:
    """n of each m neighbours."""
    full = nonzero(rng, shape, most)
    rank = np.argsort(rng.random((full.size // m, m)), axis=1)
    return Dense(np.where(rank < n, full.reshape(-1, m), 0).reshape(shape))


def spread(rng: np.random.Generator, shape: tuple[int, ...], values: tuple[int, ...]) -> Dense:
    """Every value equally often, in random places."""
    return Dense(rng.permutation(np.resize(values, int(np.prod(shape)))).reshape(shape))


def _patterns() -> Iterator[NMMatVec]:
    rng = np.random.default_rng(1)
    op, x = MatMul(pruned(rng, (32, 64), 2, 4, 127)), S8.with_shape((64,))
    for fold in (
        Fold(lanes=8, outs=4, style="lut", memory="bram"),
        Fold(lanes=8, outs=4, style="dsp", memory="bram"),
        Fold(lanes=16, outs=2, style="lut"),
    ):
        yield NMMatVec(op, x, None, fold, 2, 4)
    for n, m, fold in (
        (1, 4, Fold(lanes=32, outs=4, pixels=2, memory="bram")),
        (4, 8, Fold(lanes=16, outs=4, memory="bram")),
    ):
        op = GroupedMatMul(pruned(rng, (1, 32, 9, 64), n, m, 7))
        yield NMMatVec(op, U4.with_shape((14, 14, 1, 9, 64)), None, fold, n, m)


def _rows() -> Iterator[SparseMatVec]:
    rng = np.random.default_rng(2)
    op, x = MatMul(kept(rng, (40, 256), 0.1, 127)), S8.with_shape((256,))
    yield SparseMatVec(op, x, None, SparseFold(4, gap=5, memory="bram", buffer="bram"))
    yield SparseMatVec(op, x, None, SparseFold(4, gap=5, style="lut", memory="bram"))
    fold = SparseFold(8, 4, 4, style="dsp", memory="bram", buffer="bram")
    yield SparseMatVec(op, x, requant(rng, op, x), fold)
    op, x = MatMul(kept(rng, (32, 64), 0.2, 7)), U4.with_shape((64,))
    t = op.infer(x)
    act = MultiThreshold(np.sort(rng.integers(t.lo, t.hi, (32, 7)) // 2, axis=1))
    yield SparseMatVec(op, x, act, SparseFold(8, 8, 2, gap=3))
    op = GroupedMatMul(kept(rng, (1, 32, 9, 32), 0.15, 127))
    x = Type((14, 14, 1, 9, 32), 0, 255)
    fold = SparseFold(4, 1, 4, pixels=2, gap=4, memory="bram", buffer="bram", style="dsp")
    yield SparseMatVec(op, x, None, fold)
    yield SparseMatVec(op, x, None, SparseFold(16, 2, 4, gap=4, memory="bram", style="lut"))


def _shifts() -> Iterator[ShiftMatVec]:
    rng = np.random.default_rng(3)
    x = S8.with_shape((4, 64))
    for sizes in (3, 7):
        values = (0, *(s << e for s in (-1, 1) for e in range(sizes)))
        op = MatMul(spread(rng, (32, 64), values))
        yield ShiftMatVec(op, x, None, Fold(lanes=8, outs=4, memory="bram"))
        yield ShiftMatVec(op, x, None, Fold(lanes=16, outs=1))
        fold = Fold(lanes=4, outs=4, pixels=2, memory="bram", order="input")
        yield ShiftMatVec(op, x, None, fold)


def _centroids() -> Iterator[CentroidMatVec]:
    rng = np.random.default_rng(4)
    five = (-101, -7, 3, 64, 90)
    many = (0, -96, -85, -75, -60, -49, -37, -24, -12, 4, 17, 29, 41, 55, 67, 77, 87)
    for values in (five, many):
        op, x = MatMul(spread(rng, (32, 256), values)), S8.with_shape((4, 256))
        for fold in (
            CentroidFold(4, 8, 2, "bram", "dsp"),
            CentroidFold(2, 16, 1, "bram", "lut"),
            CentroidFold(16, 2, 2, "bram", "lut"),
            CentroidFold(1, 1, 1, "bram", "dsp"),
        ):
            yield CentroidMatVec(op, x, None, fold)


def _lookups() -> Iterator[LookupMatVec]:
    rng = np.random.default_rng(5)
    book = rng.integers(-127, 128, (16, 16, 4))
    pick = rng.permuted(np.resize(np.arange(16), (16, 96)), axis=1).T
    op = MatMul(Dense(book[np.arange(16), pick].reshape(96, 64)))
    for fold in (
        LookupFold(4, 1, 8, 1, "bram", "dsp"),
        LookupFold(4, 4, 8, 2, "bram", "lut"),
        LookupFold(2, 8, 4, 1, "bram", "lut"),
        LookupFold(4, 1, 1, 1, "bram", "lut"),
    ):
        yield LookupMatVec(op, S8.with_shape((4, 64)), None, fold)


def _skips() -> Iterator[SkipMatVec]:
    rng = np.random.default_rng(6)
    op, x = MatMul(bell(rng, (32, 64), 7)), U4.with_shape((64,))
    t = op.infer(x)
    act = MultiThreshold(np.sort(rng.integers(t.lo // 8, t.hi // 8, (32, 15)), axis=1))
    yield SkipMatVec(op, x, None, Fold(lanes=2, outs=4, memory="bram"))
    yield SkipMatVec(op, x, act, Fold(lanes=4, outs=4, memory="bram"))
    yield SkipMatVec(op, x, None, Fold(lanes=1, outs=8))
    op, x = MatMul(bell(rng, (40, 96), 127)), S8.with_shape((96,))
    fold = Fold(lanes=4, outs=2, memory="bram", style="dsp")
    yield SkipMatVec(op, x, requant(rng, op, x), fold)
    yield SkipMatVec(op, x, None, Fold(lanes=2, outs=4, memory="bram", style="dsp"), "bram")
    yield SkipMatVec(op, x, None, Fold(outs=4, memory="bram", style="pair"))
    op, x = GroupedMatMul(bell(rng, (1, 16, 9, 10), 127)), Type((14, 14, 1, 9, 10), 0, 255)
    yield SkipMatVec(op, x, None, Fold(lanes=4, outs=4, memory="bram", style="dsp"))
    yield SkipMatVec(op, x, None, Fold(taps=2, lanes=10, memory="bram", style="lut"), "bram")
    op, x = MatMul(bell(rng, (24, 600), 7)), U4.with_shape((600,))
    yield SkipMatVec(op, x, None, Fold(outs=4, memory="bram"), "bram")


def _tiles() -> Iterator[Winograd]:
    rng = np.random.default_rng(7)
    for m, bits, fold in (
        (2, 8, WinogradFold(1, 1, 16, 4, "bram", "dsp", "dsp")),
        (2, 8, WinogradFold(2, 1, 4, 4, "bram", "dsp", "dsp")),
        (2, 4, WinogradFold(2, 2, 16, 1, "lutrom", "lut")),
        (2, 4, WinogradFold(1, 1, 16, 2, "lutrom", "dsp", "lut", 6, 1)),
        (4, 8, WinogradFold(1, 1, 36, 16, "bram", "dsp", "dsp", 6, 1)),
        (4, 4, WinogradFold(1, 1, 12, 16, "bram", "lut")),
    ):
        half = 1 << bits - 1
        op = WinogradProduct(Dense(rng.integers(1 - half, half, (16, 3, 3, 16))), m)
        x = Type((4, 4, 1, op.n**2, 16), -half, half - 1)
        t, shift = op.infer(x), 16
        act = Requant([(1 << 8 + shift) // (t.hi - t.lo)] * 16, [9], shift, -127, 127)
        yield Winograd(op, x, act, fold)
