"""Products by centroids: sums, rounds, cycles, what is saved, errors and candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import (
    Dense,
    GroupedMatMul,
    MatMul,
    MultiThreshold,
    Requant,
    Ternary,
    Type,
)
from hwc.hw.unit import UnitError
from hwc.hw.units.centroids.folds import centroid_folds
from hwc.hw.units.centroids.unit import CentroidFold, CentroidMatVec

from .solo import check, firings, interval

RNG = np.random.default_rng
FIVE = (-101, -7, 3, 64, 90)
SIXTEEN = (-96, -85, -75, -60, -49, -37, -24, -12, 4, 17, 29, 41, 55, 67, 77, 87)


def few(shape: tuple[int, ...], values: tuple[int, ...] = FIVE, seed: int = 0) -> Dense:
    """Every value, in random places."""
    size = int(np.prod(shape))
    return Dense(RNG(seed).permutation(np.resize(values, size)).reshape(shape))


def unit(op: MatMul | GroupedMatMul, x: Type, **fold: Any) -> CentroidMatVec:
    return CentroidMatVec(op, x, None, CentroidFold(**fold))


@pytest.mark.parametrize("values", [(3, 9), (0, 5), (0, *FIVE), FIVE, SIXTEEN, (0, *SIXTEEN)])
@pytest.mark.parametrize("x", [(0, 1), (-128, 127), (3, 9), (-9, -3), (-1, 1)])
def test_values(values: tuple[int, ...], x: tuple[int, int]) -> None:
    """0 among the values or not; inputs of every sign."""
    kind = Type((2, 19), *x)
    check(unit(MatMul(few((3, 19), values)), kind, lanes=4, outs=2, macs=2), batch=2)


@pytest.mark.parametrize("lanes", [1, 2, 5, 19])
@pytest.mark.parametrize(("outs", "macs"), [(1, 1), (2, 1), (4, 2), (5, 5), (6, 1), (6, 3)])
def test_folds(lanes: int, outs: int, macs: int) -> None:
    """Groups, rounds and lanes that do not divide; rounds without an output give nothing."""
    op, x = MatMul(few((7, 19))), Type((2, 19), -8, 7)
    check(unit(op, x, lanes=lanes, outs=outs, macs=macs, style="lut"), batch=2)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_taps_and_pixels(lanes: int) -> None:
    """Each tap has a tail of its own."""
    op, x = GroupedMatMul(few((1, 4, 3, 5))), Type((2, 3, 1, 3, 5), 0, 12)
    check(unit(op, x, lanes=lanes, outs=2), batch=2)
    check(unit(op, Type((1, 3, 5), 0, 12), lanes=lanes, outs=4, macs=2), batch=2)


def test_replay_in_block_ram() -> None:
    x = Type((320,), -128, 127)
    deep = unit(MatMul(few((3, 320))), x, outs=2, memory="bram")
    assert (deep.plan.operands.form, deep.plan.fetch) == ("bram", 2)
    check(deep, batch=2)


@pytest.mark.parametrize("kind", ["thresholds", "requant"])
def test_activations_know_their_channel(kind: str) -> None:
    """Channels of several groups and rounds have constants of their own."""
    op, x = MatMul(few((7, 19))), Type((19,), 0, 15)
    t = op.infer(x)
    table = np.sort(RNG(2).integers(t.lo // 2, t.hi // 2, (7, 3)), 1)
    act = {
        "thresholds": MultiThreshold(table, (False, True, False, True, True, False, False)),
        "requant": Requant(RNG(1).integers(20, 90, 7), RNG(3).integers(0, 999, 7), 10, -99, 99),
    }[kind]
    for fold in (CentroidFold(outs=4, macs=2), CentroidFold(2, 6, 1), CentroidFold(4, 7, 7)):
        check(CentroidMatVec(op, x, act, fold), batch=3)


# Time.


def test_cycles() -> None:
    """Beats of x, then the values for each round, in whole blocks; all cleared for each frame."""
    op, x = MatMul(few((12, 160), SIXTEEN)), Type((2, 160), -128, 127)
    one = unit(op, x, lanes=2, outs=4, macs=1)
    assert (one.plan.beats, one.plan.minor, one.plan.walked, one.plan.rounds) == (80, 16, 5, 4)
    assert firings(one) == 16 + 2 * 3 * (80 + 4 * 16) == interval(one)
    assert firings(replace(one, fold=replace(one.fold, macs=4))) == 16 + 2 * 3 * (80 + 16)


@pytest.mark.parametrize("beats", range(5, 60, 3))
@pytest.mark.parametrize("rounds", [1, 3])
def test_blocks_waste_little(beats: int, rounds: int) -> None:
    """At most as many cycles as one output has values."""
    plan = unit(MatMul(few((3, beats))), Type((beats,), 0, 1), outs=rounds).plan
    values = len(plan.centroids)
    spent = (plan.walked + plan.rounds) * plan.minor
    assert 0 <= spent - (beats + rounds * values) < values
    assert values <= plan.minor < 2 * values
    assert plan.walked * plan.minor >= beats


def test_latency() -> None:
    op, x = MatMul(few((6, 40))), Type((2, 40), 0, 15)
    act = Requant([9] * 6, [3], 12, -7, 7)
    made = CentroidMatVec(op, x, act, CentroidFold(4, 2, 2))
    plan = made.plan
    assert plan.spec is not None
    want = 1 + 1 + plan.lanes_sum.latency + plan.dot.latency + 1 + plan.spec.latency
    assert made.schedule().latency["y"] == want
    assert unit(op, x).plan.lanes_sum.latency == 0


# What is saved.


def test_sums_are_as_wide_as_the_fullest() -> None:
    """The most inputs that share a weight other than 0 in one output and lane."""
    weight = np.zeros((3, 12), int)
    weight[1, :7] = 5
    weight[2, ::2] = -9
    plan = unit(MatMul(Dense(weight)), Type((12,), 0, 15)).plan
    assert (plan.bin.lo, plan.bin.hi) == (0, 7 * 15)
    plan = unit(MatMul(Dense(weight)), Type((12,), -8, 15), lanes=2).plan
    assert (plan.bin.lo, plan.bin.hi) == (6 * -8, 6 * 15), "even channels are all in one lane"
    assert plan.centroids == (-9, 5)


def test_a_product_for_each_value_instead_of_each_input() -> None:
    op, x = MatMul(few((32, 256), SIXTEEN)), Type((256,), -128, 127)
    made = unit(op, x, lanes=4, outs=16, macs=2, style="dsp")
    assert made.resources().dsp == 2
    assert made.stored_bits() == 32 * 256 * 4
    products = made.plan.groups * made.plan.rounds * 2 * 16
    assert products == 32 * 16


# Errors and candidates.


@pytest.mark.parametrize(
    ("weight", "fold", "message"),
    [
        (Dense([[5, 5], [5, 5]]), {}, "2 different weights or more, up to 32 beside 0"),
        (Dense(np.arange(40).reshape(2, 20)), {}, "are needed, got 40; use MatVec"),
        (None, {"lanes": 4}, "lanes must be 1 to 3, not 4"),
        (None, {"outs": 0}, "outs must be 1 to 2, not 0"),
        (None, {"outs": 2, "macs": 3}, "macs must be a divisor of outs=2, not 3"),
        (None, {"memory": "wired"}, "memory must be 'bram' or 'lutrom', not 'wired'"),
        (None, {"style": "pair"}, "style must be 'auto' or 'lut' or 'dsp', not 'pair'"),
        (None, {"levels": 4}, "levels must be at least 5, not 4"),
    ],
)
def test_errors(weight: Dense | None, fold: dict, message: str) -> None:
    op = MatMul(weight or Dense([[4, 2, 7], [2, 7, 4]]))
    with pytest.raises(UnitError, match=f"^CentroidMatVec 2x1x.*{message}"):
        CentroidMatVec(op, Type((op.weight.shape[1],), 0, 15), None, CentroidFold(**fold))


def test_errors_of_operands() -> None:
    op = MatMul(few((2, 3)))
    with pytest.raises(UnitError, match="numbers as inputs are needed"):
        unit(op, Type((3,), -1, 1, True))
    with pytest.raises(UnitError, match="one group and numbers"):
        unit(GroupedMatMul(few((2, 3, 4, 5))), Type((2, 4, 5), 0, 1))
    with pytest.raises(UnitError, match="act is a Quantizer or None, not MatMul"):
        CentroidMatVec(op, Type((3,), 0, 1), op, CentroidFold())  # pyright: ignore


def test_candidates() -> None:
    """Legal, slowest first, all different; one output and lane is the slowest."""
    op, x = MatMul(few((64, 256), SIXTEEN)), Type((256,), -128, 127)
    found = list(CentroidMatVec.candidates(op, x))
    assert 10 < len(found) <= 30
    assert len(set(found)) == len(found)
    cycles = [firings(u) for u in found]
    assert cycles == sorted(cycles, reverse=True)
    assert found[0].fold.outs == found[0].fold.lanes == 1
    assert cycles[-1] * 100 < cycles[0]
    assert {u.fold.style for u in found} == {"dsp", "lut"}
    assert {u.variant for u in found} == {"centroids"}
    close = [firings(u) for u in CentroidMatVec.candidates(op, x, near=1000)]
    assert all(250 <= c <= 1250 for c in close if c != cycles[0])
    assert len(close) > 5


@pytest.mark.parametrize(
    ("weight", "x"),
    [
        (few((4, 12)), Type((12,), 0, 1)),  # as many products as before, nearly
        (Ternary(few((4, 300), (0, 1, -1)).dense()), Type((300,), 0, 9)),
        (few((4, 300)), Type((300,), -1, 1, True)),
        (Dense(RNG(0).integers(-127, 128, (4, 3000))), Type((3000,), 0, 9)),
    ],
)
def test_no_candidates(weight: Dense, x: Type) -> None:
    assert centroid_folds(MatMul(weight), x, None) == []
