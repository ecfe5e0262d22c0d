"""Products by tables: pieces, folds, cycles, what is saved, errors and candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Requant, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.lookups.folds import lookup_folds
from hwc.hw.units.lookups.unit import LookupFold, LookupMatVec
from hwc.hw.units.subvectors import pieces_of

from .solo import check, firings, interval

RNG = np.random.default_rng


def pieced(
    shape: tuple[int, int, int], size: int, count: int, most: int = 99, seed: int = 0
) -> Dense:
    """(1, rows, taps, channels) of ``count`` pieces a block, all of which occur."""
    rng, (rows, taps, channels) = RNG(seed), shape
    blocks = -(-channels // size)
    book = rng.integers(-most, most + 1, (taps, blocks, count, size))
    book[..., 0] = np.arange(count) - count // 2
    pick = rng.permuted(np.resize(np.arange(count), (taps, blocks, rows)), axis=-1)
    pick = pick.transpose(2, 0, 1)
    found = book[np.arange(taps)[:, None], np.arange(blocks), pick].reshape(rows, taps, -1)
    return Dense(found[None, :, :, :channels])


def matmul(rows: int, channels: int, size: int, count: int, most: int = 99) -> MatMul:
    return MatMul(Dense(pieced((rows, 1, channels), size, count, most).dense()[0, :, 0]))


def unit(op: MatMul | GroupedMatMul, x: Type, **fold: Any) -> LookupMatVec:
    return LookupMatVec(op, x, None, LookupFold(**fold))


# Pieces.


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_pieces_are_the_weights(size: int) -> None:
    weight = pieced((12, 3, 7), size, 4)
    found = pieces_of(weight, size)
    assert found is not None
    assert found.count == 4
    taps, blocks = np.ogrid[:3, : -(-7 // size)]
    again = found.book[taps, blocks, found.codes].reshape(12, 3, -1)
    assert np.array_equal(again[:, :, :7], weight.dense()[0])
    assert not again[:, :, 7:].any()


def test_pieces_of_few_values() -> None:
    """Any weights of few values have few pieces; of many values, too many."""
    rng = RNG(0)
    found = pieces_of(Dense(rng.integers(-1, 2, (500, 12))), 2)
    assert found is not None
    assert found.count == 9
    assert pieces_of(Dense(rng.integers(-127, 128, (500, 12))), 2) is None
    assert pieces_of(Dense(rng.integers(-1, 2, (500, 12))), 6) is None
    far = Dense(np.resize([[1 << 40, -5, 3, 1], [0, 1 << 50, 7, -(1 << 45)]], (6, 4)))
    found = pieces_of(far, 4)
    assert found is not None
    assert found.count == 2


# Folds.


@pytest.mark.parametrize("x", [(0, 1), (-128, 127), (3, 9), (-9, -3), (-1, 1)])
@pytest.mark.parametrize("most", [0, 1, 7, 99])
def test_operands(x: tuple[int, int], most: int) -> None:
    """Inputs of every sign; small weights, whose products are not made as others are."""
    op = matmul(9, 10, 3, 3, most)
    check(unit(op, Type((2, 10), *x), size=3, lanes=2, outs=2, style="lut"), batch=2)


@pytest.mark.parametrize("lanes", [1, 2, 3, 6])
@pytest.mark.parametrize("outs", [1, 3, 5, 10])
@pytest.mark.parametrize("fills", [1, 2, 4])
def test_folds(lanes: int, outs: int, fills: int) -> None:
    """Blocks, outputs and pieces that do not divide; one beat, one step of outputs."""
    op, x = matmul(10, 17, 3, 5), Type((2, 17), -8, 7)
    check(unit(op, x, size=3, lanes=lanes, outs=outs, fills=fills, style="lut"), batch=2)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_taps_and_pixels(size: int) -> None:
    """Each tap has a tail of its own."""
    op, x = GroupedMatMul(pieced((6, 3, 5), size, 2)), Type((2, 3, 1, 3, 5), 0, 12)
    lanes = -(-5 // size)
    for n in {1, lanes, min(2, lanes)}:
        check(unit(op, x, size=size, lanes=n, outs=4), batch=2)
    check(unit(op, Type((1, 3, 5), 3, 12), size=size, outs=6), batch=2)


def test_memories() -> None:
    """Codes and pieces in block RAM, partial sums as well."""
    op, x = matmul(300, 8, 2, 4), Type((8,), -128, 127)
    deep = unit(op, x, size=2, outs=2, memory="bram")
    assert deep.plan.partial == "bram"
    check(deep, batch=2)
    check(unit(matmul(70, 8, 2, 60), x, size=2, lanes=2, outs=4, fills=2), batch=2)


@pytest.mark.parametrize("kind", ["thresholds", "requant"])
def test_activations_know_their_channel(kind: str) -> None:
    op, x = matmul(7, 12, 3, 3), Type((12,), 0, 15)
    t = op.infer(x)
    table = np.sort(RNG(2).integers(t.lo // 2, t.hi // 2, (7, 3)), 1)
    act = {
        "thresholds": MultiThreshold(table, (False, True, False, True, True, False, False)),
        "requant": Requant(RNG(1).integers(20, 90, 7), RNG(3).integers(0, 999, 7), 10, -99, 99),
    }[kind]
    for fold in (LookupFold(3), LookupFold(3, 2, 4), LookupFold(3, 4, 3), LookupFold(3, 2, 7)):
        check(LookupMatVec(op, x, act, fold), batch=3)


# Time.


@pytest.mark.parametrize(
    ("outs", "fills", "each"), [(1, 1, 12), (2, 1, 6), (4, 1, 5), (4, 2, 3), (12, 4, 2)]
)
def test_cycles(outs: int, fills: int, each: int) -> None:
    """Of a beat, the more of filling and looking up; one beat's tables are filled meanwhile."""
    op, x = matmul(12, 24, 4, 5), Type((2, 24), -8, 7)
    made = unit(op, x, size=4, lanes=2, outs=outs, fills=fills)
    assert firings(made) == 2 * 3 * each
    assert interval(made) == firings(made)


def test_latency() -> None:
    op, x = matmul(12, 24, 4, 5), Type((2, 24), 0, 15)
    act = Requant([9] * 12, [3], 12, -7, 7)
    made = LookupMatVec(op, x, act, LookupFold(4, 2, 2))
    plan = made.plan
    assert plan.spec is not None
    want = 1 + plan.dot.latency + 1 + plan.lanes_sum.latency + 1 + plan.spec.latency
    assert made.schedule().latency["y"] == want
    whole = unit(op, x, size=4, lanes=6, outs=2)
    assert not whole.plan.registered


# What is saved.


def test_tables_are_as_wide_as_the_pieces_make_them() -> None:
    weight = np.zeros((6, 4), int)
    weight[2, :2], weight[4, 2:] = (3, -5), (7, 1)
    plan = unit(MatMul(Dense(weight)), Type((4,), 0, 15), size=2).plan
    assert (plan.entry.lo, plan.entry.hi) == (-75, 120)
    plan = unit(MatMul(Dense(weight)), Type((4,), -8, 7), size=2).plan
    assert (plan.entry.lo, plan.entry.hi) == (-64, 61), "of one piece all signs at once"


def test_a_product_for_each_piece_instead_of_each_output() -> None:
    op, x = matmul(128, 64, 4, 16), Type((64,), -128, 127)
    made = unit(op, x, size=4, outs=8, style="dsp", memory="bram")
    assert firings(made) == 16 * 16
    assert made.resources().dsp == 4, "of 32 products a cycle"
    codes, pieces = 128 * 16 * 4, 16 * 16 * 4 * 8
    assert made.stored_bits() == codes + pieces
    assert replace(made, fold=replace(made.fold, fills=2)).resources().dsp == 8


# Errors and candidates.


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"size": 7}, "size must be 1 to 6, not 7"),
        ({"size": 2, "lanes": 4}, "lanes must be 1 to 3, not 4"),
        ({"size": 2, "outs": 0}, "outs must be 1 to 9, not 0"),
        ({"size": 2, "fills": 3}, "fills must be a power of two up to 4, not 3"),
        ({"size": 2, "fills": 8}, "fills must be a power of two up to 4, not 8"),
        ({"size": 2, "memory": "wired"}, "memory must be 'bram' or 'lutrom', not 'wired'"),
        ({"size": 2, "style": "pair"}, "style must be 'auto' or 'lut' or 'dsp', not 'pair'"),
        ({"size": 2, "levels": 3}, "levels must be at least 4, not 3"),
    ],
)
def test_errors(fold: dict, message: str) -> None:
    with pytest.raises(UnitError, match=f"^LookupMatVec 9x1x6.*{message}"):
        unit(matmul(9, 6, 2, 4), Type((6,), 0, 15), **fold)


def test_errors_of_operands() -> None:
    op = matmul(9, 6, 2, 4)
    with pytest.raises(UnitError, match="numbers as inputs are needed"):
        unit(op, Type((6,), -1, 1, True))
    with pytest.raises(UnitError, match="one group and numbers"):
        unit(GroupedMatMul(Dense(np.ones((2, 3, 4, 5)).astype(int))), Type((2, 4, 5), 0, 1))
    with pytest.raises(UnitError, match="act is a Quantizer or None, not MatMul"):
        LookupMatVec(op, Type((6,), 0, 1), op, LookupFold())  # pyright: ignore
    many = MatMul(Dense(RNG(0).integers(-127, 128, (200, 6))))
    with pytest.raises(UnitError, match="a block of 2 inputs has more than 64 different pieces"):
        unit(many, Type((6,), 0, 1))


def test_candidates() -> None:
    """Legal, slowest first, all different, the size of the pieces found."""
    op, x = matmul(128, 64, 4, 16), Type((64,), -128, 127)
    found = list(LookupMatVec.candidates(op, x))
    assert 10 < len(found) <= 30
    assert len(set(found)) == len(found)
    cycles = [firings(u) for u in found]
    assert cycles == sorted(cycles, reverse=True)
    assert {4} <= {u.fold.size for u in found} <= {2, 3, 4}
    assert {u.variant for u in found} == {"tables"}
    assert cycles[-1] * 50 < cycles[0]
    close = [firings(u) for u in LookupMatVec.candidates(op, x, near=200)]
    assert len(close) > 5
    assert all(50 <= c <= 250 for c in close if c != close[0])


@pytest.mark.parametrize(
    ("weight", "x"),
    [
        (matmul(30, 64, 4, 16).weight, Type((64,), 0, 9)),  # too few outputs share a piece
        (matmul(128, 64, 4, 16).weight, Type((64,), -1, 1, True)),
        (Dense(RNG(0).integers(-127, 128, (200, 12))), Type((12,), 0, 9)),
    ],
)
def test_no_candidates(weight: Dense, x: Type) -> None:
    assert lookup_folds(MatMul(weight), x, None) == []
