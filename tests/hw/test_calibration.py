"""Units whose cost is stated to a tenth: a sweep over operations, widths and folds, against yosys.

The other units are measured more coarsely, in test_moving_cost.py and test_dot_synth.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.back import verilog

from hwc.compiler.graph import (
    Add,
    GlobalMaxPool,
    GlobalSumPool,
    MultiThreshold,
    Requant,
    Table,
    Type,
    WindowReduce,
)
from hwc.hw.core import Core
from hwc.hw.unit import Unit
from hwc.hw.units.activation import Activation
from hwc.hw.units.add import AddUnit
from hwc.hw.units.gather import GatherFold, GatherUnit
from hwc.hw.units.gather_examples import depth_to_space, grid, moved, stretched, transposed
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.table import TableUnit
from hwc.sim.synth import synthesize

U2, U4, U8 = (Type((1,), 0, 2**n - 1) for n in (2, 4, 8))
S4, S8 = Type((1,), -8, 7), Type((1,), -128, 127)
PM = Type((1,), -1, 1, bipolar=True)
RISING = MultiThreshold(np.sort(np.random.default_rng(0).permutation(96)[None, :15] - 32))


def sweep() -> Iterator[Unit]:
    """Two to four folds of each operation."""
    for a, b in ((U4, U4), (S4, S4), (S8, S8), (S8, U8), (S4, U4)):
        for lanes in (1, 6, 24):
            shapes = (a.with_shape((4, 24)), b.with_shape((4, 24)))
            yield AddUnit(Add((1, 1)), shapes, (1, lanes))
    for kind in (U4, U8, PM):
        for tile in ((1, 4, 1), (3, 2, 1), (12, 4, 1)):
            shape = kind.with_shape((5, 5, 12, 4, 1))
            yield Reduce(WindowReduce("max"), shape, (1, 1, *tile))
    for op in (GlobalSumPool(), GlobalMaxPool()):
        for kind in (U4, U8):
            for lanes in (2, 8, 32):
                yield GlobalPool(op, kind.with_shape((6, 6, 32)), lanes)
    for lanes in (1, 8):
        yield Activation(RISING, Type((6, 32), -32, 63), (1, lanes))
        yield Activation(Requant((1,), (0,), 0, 0, 255), Type((6, 32), -128, 382), (1, lanes))
    yield from tables()
    yield from gathers()


def tables() -> Iterator[Unit]:
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


def gathers() -> Iterator[Unit]:
    """Passing, holding, and memories of all forms with places from loops, tables and a ROM."""
    rng = np.random.default_rng(2)
    small, mid, big = (Type(s, 0, 15) for s in ((8, 8, 4), (16, 16, 8), (32, 32, 16)))
    row, spread = Type((400,), 0, 15), np.full((32, 32, 8), -1)
    spread[::2, ::2] = grid(mid)
    for op, kind, *fold in (
        (moved(grid(mid)[2:9, 3:8]), mid, 8, 8),
        (moved(grid(mid)[:, :, 2:4]), mid, 8, 2),
        (moved(grid(mid)[:, :, 2:4]), mid, 2, 2),
        (moved(grid(mid).repeat(2, 1)), mid, 8, 8),
        (moved(spread), mid, 8, 8),
        (moved(np.pad(spread, ((1, 0), (1, 0), (0, 0)), constant_values=-1)), mid, 8, 8),
        (stretched(mid, 2), mid, 8, 8),
        (stretched(mid, 2), mid, 8, 16),
        (stretched(big, 2), big, 16, 16),
        (depth_to_space(mid, 2), mid, 2, 2),
        (transposed(small, 1, 0, 2), small, 4, 4),
        (transposed(mid, 2, 0, 1), mid, 1, 1),
        (transposed(big, 1, 0, 2), big, 16, 16),
        (transposed(big, 1, 0, 2), big, 4, 4, 8192),
        (moved(grid(small)[::-1, ::-1]), small, 4, 4),
        (moved(rng.permutation(90)), Type((90,), 0, 15), 1, 1),
        (moved(rng.permutation(400)), row, 1, 1),
    ):
        yield GatherUnit(op, kind, GatherFold(*fold))


@pytest.mark.slow
@pytest.mark.parametrize("unit", list(sweep()), ids=lambda u: f"{type(u).__name__}-{u.describe()}")
def test_a_tenth(unit: Unit) -> None:
    found = synthesize(verilog.convert(Core(unit), name="top", emit_src=False)).resources()
    said = unit.resources()
    assert abs(said.lut - found.lut) <= max(8, 0.1 * found.lut), (said, found)
    assert abs(said.ff - found.ff) <= max(8, 0.1 * found.ff), (said, found)
    assert (said.dsp, said.bram18) == (found.dsp, found.bram18), (said, found)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [7, 8])
def test_noise_in_tables(bits: int) -> None:
    """yosys does not find the multiplexers of random tables for certain: a third either way."""
    values = np.random.default_rng(bits).permutation(2**bits)
    unit = TableUnit(Table(values, 0), Type((8,), 0, 2**bits - 1), (2,), form="lut")
    found = synthesize(verilog.convert(Core(unit), name="top", emit_src=False)).resources()
    assert abs(unit.resources().lut - found.lut) <= found.lut / 3, found
    assert unit.resources().ff == found.ff
