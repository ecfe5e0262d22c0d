"""Products with n of m weights: patterns, selectors, what is saved, errors and candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.unit import MatVec, MatVecFold
from hwc.hw.units.nm.unit import NMMatVec, pattern

from .solo import check, firings, interval

RNG = np.random.default_rng


def pruned(shape: tuple[int, ...], n: int, m: int, most: int = 7, seed: int = 0) -> Dense:
    """Exactly n weights other than 0 in each group, in random places."""
    rng = RNG(seed)
    full = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    rank = np.argsort(rng.random((full.size // m, m)), axis=1)
    return Dense(np.where(rank < n, full.reshape(-1, m), 0).reshape(shape))


@pytest.mark.parametrize("order", ["output", "input"])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (4, 8), (2, 8), (1, 8), (3, 4)])
def test_patterns(n: int, m: int, order: str) -> None:
    op = MatMul(pruned((5, 24), n, m))
    fold = MatVecFold(lanes=2 * m, outs=2, order=order)  # pyright: ignore
    check(NMMatVec(op, Type((2, 24), -5, 7), None, fold, n, m), batch=2)


@pytest.mark.parametrize(
    "x", [Type((12,), -1, 1, True), Type((12,), -1, 1), Type((12,), 3, 9), Type((12,), -9, -3)]
)
def test_kinds_of_operands(x: Type) -> None:
    """Positions past the end are cleared; weights may be of one sign."""
    for weight in (pruned((3, 12), 2, 4), pruned((3, 12), 2, 4, most=1)):
        for sign in (weight, Dense(np.abs(weight.dense()))):
            op = MatMul(sign)
            act = MultiThreshold(np.tile([[-3, 0, 5]], (3, 1)), (False, True, False))
            check(NMMatVec(op, x, act, MatVecFold(lanes=8, outs=2), 2, 4), batch=2)


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (0,), (3,), ()])
def test_every_place_of_a_group(places: tuple[int, ...]) -> None:
    """Slot s counts from input s; what is left over is weight 0."""
    weight = np.zeros((2, 8), int)
    for k, at in enumerate(places):
        weight[:, at] = 3 + k
    weight[1, 4:] = weight[1, :4]
    unit = NMMatVec(MatMul(Dense(weight)), Type((8,), 0, 15), None, MatVecFold(lanes=4), 2, 4)
    values, selectors = unit.plan.chosen
    assert set(selectors.ravel().tolist()) <= {0, 1, 2}
    found = np.zeros((2, 8), int)
    for i, g, s in np.ndindex(2, 2, 2):
        found[i, 4 * g + s + selectors[0, i, 0, 2 * g + s]] += values[0, i, 0, 2 * g + s]
    assert np.array_equal(found, weight)
    check(unit, batch=2)


def test_taps_groups_and_pixels() -> None:
    op, x = GroupedMatMul(pruned((2, 4, 3, 8), 2, 4)), Type((2, 3, 2, 3, 8), 0, 12)
    check(NMMatVec(op, x, None, MatVecFold(pixels=2, taps=2, lanes=4, outs=2), 2, 4), batch=2)
    check(NMMatVec(op, x, None, MatVecFold(groups=2, lanes=8, outs=4), 2, 4), batch=2)


def test_half_the_multipliers_in_the_same_cycles() -> None:
    op, x = MatMul(pruned((32, 64), 2, 4, 127)), Type((64,), -128, 127)
    fold = MatVecFold(lanes=8, outs=4, style="dsp", memory="bram")
    dense, half = MatVec(op, x, None, fold), NMMatVec(op, x, None, fold, 2, 4)
    assert firings(half) == firings(dense) == interval(half) == 64
    assert half.resources().dsp * 2 == dense.resources().dsp == 32
    logic = replace(fold, style="lut")
    assert (
        NMMatVec(op, x, None, logic, 2, 4).resources().lut
        < MatVec(op, x, None, logic).resources().lut
    )
    assert half.plan.rom.width == 16 * (8 + 2)


def test_latency() -> None:
    """One cycle to select in front of products in LUTs, none in front of DSP blocks."""
    op, x = MatMul(pruned((4, 8), 2, 4, 127)), Type((8,), -128, 127)
    for style, extra in (("lut", 1), ("dsp", 0)):
        unit = NMMatVec(op, x, None, MatVecFold(lanes=4, style=style), 2, 4)  # pyright: ignore
        assert unit.schedule().latency["y"] == 1 + extra + unit.plan.dot.latency + 1


def test_patterns_are_found() -> None:
    """The fewest products, then the narrowest groups; None without a pattern."""
    assert pattern(pruned((4, 16), 2, 4)) == (2, 4)
    assert pattern(pruned((4, 16), 1, 8)) == (1, 8)
    assert pattern(Dense([[1, 0, 0, 0, 0, 1, 0, 0]])) == (1, 4)
    assert pattern(Dense([[1, 0, 0, 0, 1, 0]])) == (1, 2)
    assert pattern(Dense([[1, 1, 1, 0]])) is None
    assert pattern(Dense([[0, 0, 1]])) is None
    wide = np.zeros((2, 3, 4), int)
    wide[:, :, 1] = 1
    assert pattern(Dense(wide)) == (1, 4)


def test_candidates() -> None:
    op, x = MatMul(pruned((60, 140), 2, 4, 127)), Type((140,), -128, 127)
    found = list(NMMatVec.candidates(op, x))
    assert len(found) > 10
    assert len(set(found)) == len(found)
    assert {u.fold.lanes % 4 for u in found} == {0}
    assert {u.fold.memory for u in found} == {"bram", "lutrom"}
    full = MatMul(Dense(RNG(0).integers(1, 9, (60, 140))))
    assert not list(NMMatVec.candidates(full, x))


def test_candidates_have_half_the_multipliers() -> None:
    op, x = MatMul(pruned((300, 784), 2, 4, 127)), Type((784,), -128, 127)
    quick = [
        unit.plan.outputs * unit.plan.slots
        for unit in NMMatVec.candidates(op, x, near=4000)
        if firings(unit) <= 4000
    ]
    assert min(quick) == 30


@pytest.mark.parametrize(
    ("fold", "nm", "message"),
    [
        ({"lanes": 6}, (2, 4), "lanes must be a multiple of 4, not 6"),
        ({"lanes": 4, "outs": 2, "style": "pair"}, (2, 4), "'lut' or 'dsp', not 'pair'"),
        ({"lanes": 4}, (1, 4), "a group has 2 weights other than 0; use MatVec"),
        ({"lanes": 4}, (4, 4), "0 < n < m is needed"),
        ({"lanes": 5}, (2, 5), "m must divide the channels"),
        ({"lanes": 8, "outs": 3}, (2, 4), "use MatVec with memory='wired'"),
        ({"lanes": 4, "memory": "wired"}, (2, 4), "memory must be 'bram' or 'lutrom'"),
    ],
)
def test_errors(fold: dict, nm: tuple[int, int], message: str) -> None:
    op = MatMul(pruned((3, 8), 2, 4))
    with pytest.raises(UnitError, match=message):
        NMMatVec(op, Type((8,), 0, 15), None, MatVecFold(**fold), *nm)
