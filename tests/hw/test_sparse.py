"""Sparse products: entries, balance, memories, pixels, timing, errors and candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Requant, Sparse, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.sparse.rows import gaps_of, rows_of
from hwc.hw.units.sparse.unit import SparseFold, SparseMatVec

from .solo import check, firings, interval

RNG = np.random.default_rng


def few(shape: tuple[int, ...], density: float, most: int = 7, seed: int = 0) -> Dense:
    rng = RNG(seed)
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return Dense(np.where(rng.random(shape) < density, full, 0))


# Entries.


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("tile", [(1, 1), (1, 4), (2, 2), (4, 1)])
def test_entries_give_the_weights_back(gap: int, tile: tuple[int, int]) -> None:
    """Whatever the tile and the index; rows of zeros and of long runs included."""
    weight = few((1, 6, 3, 7), 0.15).dense().copy()
    weight[0, 2] = 0
    weight[0, 3, :2] = 0
    grid = tuple(-(-n // t) * t for n, t in zip((3, 7), tile, strict=True))
    rows = rows_of(Dense(weight), grid, tile, gap)  # pyright: ignore[reportArgumentType]
    found = np.zeros((6, *grid), int)
    at = 0
    for k, (r, index, value) in enumerate(zip(rows.row, rows.index, rows.value, strict=True)):
        first = k == 0 or rows.row[k - 1] != r
        at = index if not gap else index + (0 if first else at + 1)
        beat, inside = divmod(int(at), tile[0] * tile[1])
        taps, channels = divmod(beat, grid[1] // tile[1])
        t, c = divmod(inside, tile[1])
        found[r, taps * tile[0] + t, channels * tile[1] + c] += value
    assert np.array_equal(found[:, :3, :7], weight[0])
    assert not found[:, 3:].any()
    assert not found[:, :, 7:].any()
    assert rows.lengths.min() >= 1
    assert rows.index.max() < 1 << rows.index_bits


def test_fewest_stored_bits() -> None:
    """As the compact form counts them; places where rows are nearly empty."""
    weight = few((300, 784), 0.1, 127)
    gap = gaps_of(weight, (1, 784), (1, 1), 8)
    assert gap == 5
    totals = {g: len(rows_of(weight, (1, 784), (1, 1), g).row) * (9 + (g or 10)) for g in range(9)}
    assert min(totals, key=lambda g: totals[g]) == gap
    assert len(rows_of(weight, (1, 784), (1, 1), gap).row) == Sparse(weight.dense()).entries
    lonely = np.zeros((4, 64), int)
    lonely[:, 63] = 1
    assert gaps_of(Dense(lonely), (1, 64), (1, 1), 2) == 0


def test_elements_are_balanced() -> None:
    """Within a few hundredths where elements may choose rows; all rows there, in rising order."""
    rows = rows_of(few((300, 784), 0.1), (1, 784), (1, 1), 0)
    for pes, outs, slack in ((1, 1, 1.0), (16, 1, 1.02), (16, 2, 1.02), (50, 1, 1.05)):
        mine = rows.assign(pes, outs)
        assert sorted(r for pe in mine for r in pe) == list(range(300))
        assert all(list(pe) == sorted(pe) for pe in mine)
        for pe, some in enumerate(mine):
            assert {r % outs for r in some} <= {pe // (pes // outs)}
        busiest = max(rows.lengths[list(pe)].sum() for pe in mine)
        assert busiest <= slack * math.ceil(len(rows.row) / pes)


# Values.


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize(
    "x",
    [Type((2, 11), -1, 1, True), Type((2, 11), -3, 5), Type((2, 11), 3, 9), Type((2, 11), -9, -3)],
)
def test_kinds_of_operands(x: Type, gap: int) -> None:
    """Fillers meet what lies past the end, where any bits may be."""
    for weight in (few((5, 11), 0.3), few((5, 11), 0.3, most=1)):
        for sign in (weight, Dense(np.abs(weight.dense())), Dense(-np.abs(weight.dense()))):
            fold = SparseFold(pes=4, outs=2, lanes=4, gap=gap, style="lut")
            act = MultiThreshold(np.tile([[-3, 0, 5]], (5, 1)), (False, True, False, True, False))
            check(SparseMatVec(MatMul(sign), x, act, fold), batch=2)


@pytest.mark.parametrize("pes", [1, 2, 3, 6])
@pytest.mark.parametrize("buffer", ["lutram", "bram"])
@pytest.mark.parametrize("gap", [0, 2])
def test_elements_and_memories(pes: int, buffer: str, gap: int) -> None:
    op, x = MatMul(few((7, 20), 0.2)), Type((3, 20), -8, 7)
    act = Requant(RNG(1).integers(200, 400, 7), [9], 12, -7, 7)
    for outs in {1, pes}:
        memory = "bram" if pes == 2 else "lutrom"
        fold = SparseFold(pes, outs, 2, gap=gap, memory=memory, buffer=buffer)  # pyright: ignore
        check(SparseMatVec(op, x, act, fold), batch=3)


def test_a_beat_that_holds_the_vector_and_one_entry() -> None:
    """Nothing but the ends of every loop; a single row, a single weight."""
    op = MatMul(Dense([[0, 3], [0, 0], [-2, 0]]))
    for fold in (SparseFold(3, 3, 2, gap=1), SparseFold(3, 1, 2), SparseFold(1, 1, 1, gap=1)):
        check(SparseMatVec(op, Type((2, 2), -8, 7), None, fold), batch=4)
    check(SparseMatVec(MatMul(Dense([[5]])), Type((1,), -8, 7), None, SparseFold()), batch=4)
    check(SparseMatVec(MatMul(Dense([[0]])), Type((1,), -8, 7), None, SparseFold(gap=1)), batch=4)


def test_sums_in_block_ram() -> None:
    op, x = MatMul(few((200, 9), 0.2, 100)), Type((2, 9), -128, 127)
    unit = SparseMatVec(op, x, None, SparseFold(2, lanes=2, gap=2, pixels=2))
    assert unit.plan.sums_form == "bram"
    check(unit, batch=2)


def test_convolution_with_pixels_and_taps() -> None:
    op, x = GroupedMatMul(few((1, 6, 9, 5), 0.2)), Type((2, 5, 1, 9, 5), 0, 12)
    for fold in (
        SparseFold(3, lanes=4, pixels=2, gap=3),
        SparseFold(4, 2, 2, 4, gap=2),
        SparseFold(2, lanes=1, taps=8, pixels=3, buffer="bram"),
    ):
        unit = SparseMatVec(op, x, None, fold)
        assert unit.inputs()["x"].tile == (1, fold.pixels, 1, fold.taps, fold.lanes)
        check(unit, batch=2)


# Time.


def test_cycles_are_those_of_the_busiest_element() -> None:
    """1.25 times ceil(nonzeros / elements) at a tenth; loading and leaving take no time beside."""
    weight = few((60, 200), 0.1, 127)
    op, x = MatMul(weight), Type((3, 200), -128, 127)
    nonzeros = int((weight.dense() != 0).sum())
    for pes in (1, 2, 4, 6):
        unit = SparseMatVec(op, x, None, SparseFold(pes, gap=5))
        walk = unit.plan.firings
        assert walk <= 1.25 * math.ceil(nonzeros / pes)
        assert firings(unit) == 3 * max(walk, 200) == interval(unit)
    fast = SparseMatVec(op, x, None, SparseFold(20, 4, 8))
    assert interval(fast) == firings(fast) == 3 * fast.plan.firings


def test_latency() -> None:
    """Place, fetch, select, product, sum, memory; a relative index takes an addition more."""
    op, x = MatMul(few((8, 16), 0.3, 127)), Type((16,), -128, 127)
    for fold, want in (
        (SparseFold(2, style="dsp"), 1 + 1 + 3 + 1 + 1),
        (SparseFold(2, gap=3, style="dsp"), 2 + 1 + 3 + 1 + 1),
        (SparseFold(2, lanes=2, style="dsp"), 1 + 1 + 3 + 1 + 1),
    ):
        unit = SparseMatVec(op, x, None, fold)
        assert unit.plan.dot.latency == 3
        assert unit.schedule().latency["y"] == want
    lut = SparseMatVec(op, x, None, SparseFold(2, lanes=2, style="lut"))
    assert lut.schedule().latency["y"] == 1 + 1 + 1 + lut.plan.dot.latency + 1 + 1


# Errors and candidates.


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"pes": 7}, "pes must be an integer from 1 to 6, not 7"),
        ({"pes": 4, "outs": 3}, "outs must be a divisor of pes=4, not 3"),
        ({"lanes": 3}, r"taps \* lanes must be a power of two, not 3"),
        ({"taps": 4}, "taps must be an integer from 1 to 3, not 4"),
        ({"pixels": 5}, "pixels must be an integer from 1 to 4, not 5"),
        ({"gap": 17}, "gap must be 0 to 16 bits, not 17"),
        ({"memory": "wired"}, "memory must be 'bram' or 'lutrom', not 'wired'"),
        ({"buffer": "ff"}, "buffer must be 'lutram' or 'bram', not 'ff'"),
        ({"levels": 2}, "levels must be at least 3, not 2"),
    ],
)
def test_illegal_folds_name_the_legal_ones(fold: dict, message: str) -> None:
    op = GroupedMatMul(few((1, 6, 3, 5), 0.3))
    with pytest.raises(UnitError, match=r"^SparseMatVec 6x3x5 \(outputs.*" + message):
        SparseMatVec(op, Type((4, 1, 3, 5), 0, 15), None, SparseFold(**fold))


def test_other_errors() -> None:
    grouped = GroupedMatMul(few((2, 6, 3, 5), 0.3))
    with pytest.raises(UnitError, match="op must be a product of one group, not '2 groups'"):
        SparseMatVec(grouped, Type((4, 2, 3, 5), 0, 15), None, SparseFold())
    op = MatMul(few((3, 4), 0.5))
    with pytest.raises(UnitError, match="act is a Quantizer or None, not MatMul"):
        SparseMatVec(op, Type((4,), 0, 15), op, SparseFold())  # pyright: ignore


def test_costs_grow_with_what_is_there() -> None:
    op, x = MatMul(few((32, 256), 0.1, 127)), Type((256,), -128, 127)
    one = SparseMatVec(op, x, None, SparseFold(4, gap=5, style="dsp", memory="bram", buffer="bram"))
    base = one.resources()
    assert base.dsp == 4
    eight = replace(one, fold=replace(one.fold, pes=8)).resources()
    assert eight.dsp == 8
    assert eight.lut > base.lut
    logic = replace(one, fold=replace(one.fold, buffer="lutram")).resources()
    assert logic.bram18 == base.bram18 - 4
    assert logic.lut > base.lut + 4 * 8 * 8


@pytest.mark.parametrize(
    ("op", "x"),
    [
        (MatMul(few((64, 200), 0.1, 127)), Type((200,), -128, 127)),
        (GroupedMatMul(few((1, 24, 9, 16), 0.1, 127)), Type((14, 14, 1, 9, 16), 0, 255)),
        (MatMul(few((30, 40), 0.2, 1)), Type((6, 40), -1, 1, True)),
        (MatMul(Dense([[0, 0, 3, 0]])), Type((4,), 0, 15)),
    ],
)
def test_candidates(op: MatMul | GroupedMatMul, x: Type) -> None:
    """Legal, all different, slowest first, from one element on; neither end of a pixel waits."""
    found = list(SparseMatVec.candidates(op, x))
    assert 1 <= len(found) <= 30
    assert len(set(found)) == len(found)
    cycles = [firings(u) for u in found]
    assert cycles == sorted(cycles, reverse=True)
    assert found[0].fold.pes == 1
    for unit in found:
        plan = unit.plan
        assert plan.firings >= 0.9 * max(plan.beats, plan.given) or plan.shape[0] == 1
        assert plan.fold.gap == gaps_of(op.weight, plan.grid, plan.tile, plan.w.width)
    if op.weight.size > 1000:
        assert cycles[0] > 10 * cycles[-1]
        near = cycles[0] // 5
        close = [firings(u) for u in SparseMatVec.candidates(op, x, near=near)]
        assert all(near / 4 <= c <= near * 1.25 for c in close[3:])
        assert len({c for c in close if abs(c - near) < near / 2}) >= 2


def test_no_candidates_without_zeros_or_with_groups() -> None:
    x = Type((16,), 0, 15)
    assert not list(SparseMatVec.candidates(MatMul(few((8, 16), 0.8)), x))
    assert not list(SparseMatVec.candidates(MatMul(Dense(np.zeros((8, 16), int))), x))
    grouped = GroupedMatMul(few((2, 6, 3, 5), 0.1))
    assert not list(SparseMatVec.candidates(grouped, Type((4, 2, 3, 5), 0, 15)))
