"""Units that work element by element, or reduce: sums, pools, activations, tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import (
    Add,
    GlobalMaxPool,
    GlobalSumPool,
    MultiThreshold,
    Ratio,
    Requant,
    Table,
    Type,
    WindowReduce,
)
from hwc.hw.units.activation import Activation
from hwc.hw.units.add import AddUnit
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.ratio import RatioUnit
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.table import TableUnit

__all__ = ["activations", "adds", "pools", "ratios", "tables"]

U2, U4, U8 = (Type((1,), 0, 2**n - 1) for n in (2, 4, 8))
S4, S8, S12 = (Type((1,), -(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (4, 8, 12))
PM = Type((1,), -1, 1, bipolar=True)
RISING = MultiThreshold(np.sort(np.random.default_rng(0).permutation(96)[None, :15] - 32))


def adds() -> Iterator[AddUnit]:
    """Equal and unequal types, with and without multipliers."""
    for a, b in ((U4, U4), (S4, S4), (S8, S8), (S8, U8), (S4, U4)):
        for lanes in (1, 6, 24):
            shapes = (a.with_shape((4, 24)), b.with_shape((4, 24)))
            yield AddUnit(Add((1, 1)), shapes, (1, lanes))
    for factors, kinds, lanes in (
        ((3, 5), (S12, S12), 4),
        ((1, 4), (S8, S8), 8),
        ((1, -1), (U8, S8), 8),
        ((1, 1, 1), (U4, U4, U4), 8),
    ):
        shapes = tuple(k.with_shape((4, 24)) for k in kinds)
        yield AddUnit(Add(factors), shapes, (1, lanes))


def pools() -> Iterator[Reduce | GlobalPool]:
    """The taps of windows, and whole maps."""
    for kind in (U4, U8, PM):
        for tile in ((1, 4, 1), (3, 2, 1), (12, 4, 1)):
            shape = kind.with_shape((5, 5, 12, 4, 1))
            yield Reduce(WindowReduce("max"), shape, (1, 1, *tile))
    for tile in ((16, 4, 1), (16, 1, 1)):
        yield Reduce(WindowReduce("sum"), U4.with_shape((14, 14, 16, 4, 1)), (1, 1, *tile))
    for op in (GlobalSumPool(), GlobalMaxPool()):
        for kind in (U4, U8):
            for lanes in (2, 8, 32):
                yield GlobalPool(op, kind.with_shape((6, 6, 32)), lanes)


def activations() -> Iterator[Activation]:
    """The same for all channels."""
    for lanes in (1, 8):
        yield Activation(RISING, Type((6, 32), -32, 63), (1, lanes))
        yield Activation(Requant((1,), (0,), 0, 0, 255), Type((6, 32), -128, 382), (1, lanes))


def tables() -> Iterator[TableUnit]:
    """Functions of four to nine bits, or one per channel, in both forms."""
    rng = np.random.default_rng(1)
    for bits in (4, 5, 6, 7, 8, 9):
        half = 1 << bits - 1
        x = np.arange(-half, half) * 6 / half
        swish = np.round(x / (1 + np.exp(-x)) * half / 6).astype(int)
        op, kind = Table(swish, -half), Type((4, 8), -half, half - 1)
        yield TableUnit(op, kind, (1, 2), form="lut")
        yield TableUnit(op, kind, (2, 2), form="bram")
    for bits in (4, 5, 6):
        kind = Type((4, 8), 0, 2**bits - 1)
        yield TableUnit(Table(rng.permutation(2**bits), 0), kind, (1, 2), form="lut")
    x, slopes = np.arange(-8, 8), rng.uniform(-0.5, 0.9, (30, 1))
    rows = np.round(np.where(x < 0, slopes * x, x)).astype(int)
    for lanes in (1, 2, 8, 30):
        yield TableUnit(Table(rows, -8), Type((30,), -8, 7), (lanes,), form="lut")
    yield TableUnit(Table(rng.integers(0, 99, (30, 256)), 0), Type((30,), 0, 255), (5,))


def ratios() -> Iterator[RatioUnit]:
    """Dividers, up to that of a softmax over ten channels."""
    for bits, most, total, lanes in (
        (10, 2**16, 655_360, 2),
        (8, 255, 1020, 2),
        (12, 255, 2**24, 1),
    ):
        kinds = (Type((16,), 0, most), Type((16,), 0, total))
        yield RatioUnit(Ratio(bits), kinds, (lanes,))
