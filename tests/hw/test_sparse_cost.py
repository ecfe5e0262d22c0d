"""What sparse products say they cost, against yosys: within 15 %, and 10 % of flip-flops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Requant, Type
from hwc.hw.core import Core
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.unit import MatVecFold
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.sparse.unit import SparseFold, SparseMatVec
from hwc.sim.synth import synthesize

BYTES, NIBBLES = Type((256,), -128, 127), Type((64,), 0, 15)
MAP = Type((14, 14, 1, 9, 64), 0, 15)


def few(shape: tuple[int, ...], density: float, most: int) -> Dense:
    rng = np.random.default_rng(0)
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return Dense(np.where(rng.random(shape) < density, full, 0))


def pruned(shape: tuple[int, ...], n: int, m: int, most: int) -> Dense:
    rng = np.random.default_rng(1)
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    rank = np.argsort(rng.random((full.size // m, m)), axis=1)
    return Dense(np.where(rank < n, full.reshape(-1, m), 0).reshape(shape))


def patterns() -> Iterator[Unit]:
    op, x = MatMul(pruned((32, 64), 2, 4, 127)), BYTES.with_shape((64,))
    for fold in (
        MatVecFold(lanes=8, outs=4, style="lut", memory="bram"),
        MatVecFold(lanes=8, outs=4, style="dsp", memory="bram"),
        MatVecFold(lanes=16, outs=2, style="lut"),
    ):
        yield NMMatVec(op, x, None, fold, 2, 4)
    for n, m, fold in (
        (1, 4, MatVecFold(lanes=32, outs=4, pixels=2, memory="bram")),
        (4, 8, MatVecFold(lanes=16, outs=4, memory="bram")),
    ):
        yield NMMatVec(GroupedMatMul(pruned((1, 32, 9, 64), n, m, 7)), MAP, None, fold, n, m)


def rows() -> Iterator[Unit]:
    op = MatMul(few((40, 256), 0.1, 127))
    t = op.infer(BYTES)
    act = Requant([(1 << 25) // (t.hi - t.lo)] * 40, [9] * 40, 16, -127, 127)
    yield SparseMatVec(op, BYTES, None, SparseFold(4, gap=5, memory="bram", buffer="bram"))
    yield SparseMatVec(op, BYTES, None, SparseFold(4, gap=5, style="lut", memory="bram"))
    fold = SparseFold(8, 4, 4, style="dsp", memory="bram", buffer="bram")
    yield SparseMatVec(op, BYTES, act, fold)
    op = MatMul(few((32, 64), 0.2, 7))
    t = op.infer(NIBBLES)
    act = MultiThreshold(np.sort(np.random.default_rng(2).integers(t.lo, t.hi, (32, 7)) // 2, 1))
    yield SparseMatVec(op, NIBBLES, act, SparseFold(8, 8, 2, gap=3))
    op, x = GroupedMatMul(few((1, 32, 9, 32), 0.15, 127)), Type((14, 14, 1, 9, 32), 0, 255)
    fold = SparseFold(4, 1, 4, pixels=2, gap=4, memory="bram", buffer="bram", style="dsp")
    yield SparseMatVec(op, x, None, fold)
    yield SparseMatVec(op, x, None, SparseFold(16, 2, 4, gap=4, memory="bram", style="lut"))


@pytest.mark.slow
@pytest.mark.parametrize("unit", [*patterns(), *rows()], ids=lambda u: u.describe())
def test_estimates(unit: Unit) -> None:
    found = synthesize(Core(unit))
    said, got = unit.resources(), found.resources()
    assert abs(said.lut - got.lut) <= 0.15 * got.lut, (said, got)
    assert abs(said.ff - got.ff) <= 0.1 * got.ff, (said, got)
    assert (said.dsp, said.bram18) == (got.dsp, got.bram18), (said, got)
    assert found.levels <= unit.levels(), found.path
