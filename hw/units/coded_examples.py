"""Small products of weights with few values or few patterns, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, Quantizer, Type
from hwc.hw.units.centroids.plan import CentroidFold
from hwc.hw.units.example_acts import requant, thresholds
from hwc.hw.units.lookups.plan import LookupFold
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp

__all__ = ["centroid_examples", "lookup_examples", "shift_examples"]

ShiftCase = tuple[ProductOp, Type, Quantizer | None, MatVecFold]
CentroidCase = tuple[ProductOp, Type, Quantizer | None, CentroidFold]
LookupCase = tuple[ProductOp, Type, Quantizer | None, LookupFold]


def _any(rng: np.random.Generator, shape: tuple[int, ...], values: tuple[int, ...]) -> Dense:
    """Every value, in random places."""
    size = int(np.prod(shape))
    return Dense(rng.permutation(np.resize(values, size)).reshape(shape))


def _octaves(low: int, high: int) -> tuple[int, ...]:
    """0 and both signs of the powers of two from ``2**low`` to ``2**high``."""
    sizes = [1 << e for e in range(low, high + 1)]
    return (0, *sizes, *(-s for s in sizes))


def shift_examples() -> Iterator[ShiftCase]:
    """One to three wirings, with and without a fine shift, zero and signs; orders, tails, taps."""
    rng = np.random.default_rng(14)
    x = Type((3, 22), -128, 127)
    op = MatMul(_any(rng, (6, 22), _octaves(0, 6)))
    act = requant(rng, op, x)
    yield op, x, act, MatVecFold(lanes=4, outs=2)
    yield op, x, None, MatVecFold(pixels=2, lanes=5, outs=4, order="input", memory="bram")
    nibbles = Type((2, 22), 0, 15)
    op = MatMul(_any(rng, (5, 22), _octaves(0, 2)))
    act = thresholds(rng, op, nibbles, 15, mixed=True)
    yield op, nibbles, act, MatVecFold(lanes=8, outs=3, style="lut")
    yield op, Type((22,), 3, 9), None, MatVecFold()
    op = MatMul(_any(rng, (5, 22), (*_octaves(0, 6), -128)))
    yield op, nibbles, None, MatVecFold(lanes=22, outs=2)
    op = MatMul(_any(rng, (4, 22), (1, 2, 4, 8, 16)))
    yield op, Type((22,), -9, -2), None, MatVecFold(lanes=6, outs=2, levels=5)
    op = MatMul(_any(rng, (4, 22), (-4, -64, 4, 64)))
    yield op, Type((22,), -1, 1), None, MatVecFold(lanes=11, outs=3)
    op = MatMul(_any(rng, (4, 22), _octaves(1, 12)))
    yield op, Type((22,), -3, 0), None, MatVecFold(lanes=4, outs=3)
    x = Type((2, 3, 1, 9, 5), 2, 12)
    op = GroupedMatMul(_any(rng, (1, 5, 9, 5), _octaves(0, 4)))
    act = thresholds(rng, op, x, 3, mixed=True)
    yield op, x, act, MatVecFold(pixels=2, taps=2, lanes=3, outs=2)
    x = Type((2, 3, 3, 4, 4), -8, 7)
    op = GroupedMatMul(_any(rng, (3, 2, 4, 4), (*_octaves(0, 0), 8)))
    yield op, x, None, MatVecFold(groups=2, taps=3, lanes=4, outs=2)


def centroid_examples() -> Iterator[CentroidCase]:
    """One sum to many, one product to one for each output; 0 or not, tails, taps, rounds."""
    rng = np.random.default_rng(15)
    x, five = Type((3, 22), -128, 127), (-101, -7, 3, 64, 90)
    op = MatMul(_any(rng, (6, 22), five))
    act = requant(rng, op, x)
    yield op, x, act, CentroidFold(outs=2)
    yield op, x, act, CentroidFold(lanes=4, outs=4, macs=2, style="lut")
    yield op, x, None, CentroidFold(lanes=5, outs=6, macs=1, style="dsp", memory="bram")
    nibbles = Type((2, 30), 0, 15)
    op = MatMul(_any(rng, (7, 30), (0, -9, 2, 77)))
    act = thresholds(rng, op, nibbles, 15, mixed=True)
    yield op, nibbles, act, CentroidFold(lanes=30, outs=4, macs=4)
    yield op, Type((30,), 3, 9), None, CentroidFold(lanes=8, outs=3, macs=1)
    yield op, Type((30,), -9, -2), None, CentroidFold(lanes=1, outs=7, macs=7)
    op = MatMul(_any(rng, (3, 300), (0, 3)))
    yield op, Type((2, 300), -2, 1), None, CentroidFold(lanes=2, outs=2, macs=2, levels=5)
    sixteen = (-96, -85, -75, -60, -49, -37, -24, -12, 4, 17, 29, 41, 55, 67, 77, 87)
    op = MatMul(_any(rng, (4, 64), sixteen))
    yield op, Type((2, 64), 0, 255), None, CentroidFold(lanes=2, outs=4, macs=2)
    x = Type((2, 3, 1, 9, 5), 2, 12)
    op = GroupedMatMul(_any(rng, (1, 5, 9, 5), (0, -5, 6, 100)))
    yield op, x, thresholds(rng, op, x, 3, mixed=True), CentroidFold(lanes=3, outs=2)
    yield op, x, None, CentroidFold(lanes=2, outs=3, macs=3)


def _pieces(
    rng: np.random.Generator, shape: tuple[int, ...], size: int, count: int, most: int = 99
) -> Dense:
    """Each block of ``size`` inputs of a tap from a codebook of ``count`` pieces of its own."""
    rows, taps, channels = shape[0], int(np.prod(shape[1:-1])), shape[-1]
    blocks = -(-channels // size)
    book = rng.integers(-most, most + 1, (taps, blocks, count, size))
    pick = rng.integers(0, count, (rows, taps, blocks))
    found = book[np.arange(taps)[:, None], np.arange(blocks), pick].reshape(rows, taps, -1)
    return Dense(found[:, :, :channels].reshape(shape))


def lookup_examples() -> Iterator[LookupCase]:
    """Small and large pieces, one output to all, one table or several filled; tails, taps."""
    rng = np.random.default_rng(16)
    x = Type((3, 22), -128, 127)
    op = MatMul(_pieces(rng, (11, 22), 4, 5))
    act = requant(rng, op, x)
    yield op, x, act, LookupFold(4, outs=2)
    yield op, x, act, LookupFold(4, lanes=2, outs=3, fills=2, style="lut", memory="bram")
    yield op, x, None, LookupFold(4, lanes=6, outs=11, fills=4, style="dsp")
    yield op, x, None, LookupFold(2, lanes=3, outs=6)
    nibbles = Type((2, 20), 0, 15)
    op = MatMul(_pieces(rng, (9, 20), 5, 3, 7))
    act = thresholds(rng, op, nibbles, 15, mixed=True)
    yield op, nibbles, act, LookupFold(5, lanes=2, outs=4)
    yield op, Type((20,), 3, 9), None, LookupFold(5, lanes=3, outs=9)
    op = MatMul(Dense(rng.integers(-1, 2, (30, 10))))
    yield op, Type((10,), -3, 2), None, LookupFold(3, lanes=2, outs=2)
    op = MatMul(Dense(rng.integers(1, 3, (300, 6))))
    yield op, Type((6,), 0, 255), None, LookupFold(2, outs=2, memory="bram")
    x = Type((2, 3, 1, 9, 5), 2, 12)
    weight = _pieces(rng, (6, 9, 5), 2, 3).dense()[None]
    op = GroupedMatMul(Dense(weight))
    yield op, x, thresholds(rng, op, x, 3, mixed=True), LookupFold(2, lanes=2, outs=4)
    yield op, x, None, LookupFold(2, lanes=1, outs=1, fills=2)
