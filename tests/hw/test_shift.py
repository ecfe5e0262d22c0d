"""Products with powers of two: fetched codes, tails, what is saved, errors and candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Requant, Ternary, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.unit import MatVec, MatVecFold
from hwc.hw.units.shift.plan import powers
from hwc.hw.units.shift.unit import ShiftMatVec

from .solo import check, firings, interval

RNG = np.random.default_rng
SEVEN = tuple(s << e for s in (-1, 1) for e in range(7))


def octaves(shape: tuple[int, ...], values: tuple[int, ...] = (0, *SEVEN), seed: int = 0) -> Dense:
    """Every value, in random places."""
    size = int(np.prod(shape))
    return Dense(RNG(seed).permutation(np.resize(values, size)).reshape(shape))


BYTES = Type((2, 19), -128, 127)


@pytest.mark.parametrize("order", ["output", "input"])
@pytest.mark.parametrize("memory", ["lutrom", "bram"])
@pytest.mark.parametrize("lanes", [1, 4, 19])
def test_folds(order: str, memory: str, lanes: int) -> None:
    fold = MatVecFold(lanes=lanes, outs=2, order=order, memory=memory)  # pyright: ignore
    check(ShiftMatVec(MatMul(octaves((5, 19))), BYTES, None, fold), batch=2)


@pytest.mark.parametrize(
    "values", [(1, 2), (0, 2), (-8, -4, 2), (0, -128, *SEVEN), (0, 1, 256), (16, -16)]
)
@pytest.mark.parametrize("x", [(0, 1), (3, 9), (-9, -3), (-1, 1)])
def test_values_and_tails(values: tuple[int, ...], x: tuple[int, int]) -> None:
    """Nothing is cleared past the end: the code of 0 stands there."""
    op = MatMul(octaves((3, 16), values))
    act = MultiThreshold(np.tile([[-30, 0, 50]], (3, 1)), (False, True, False))
    unit = ShiftMatVec(op, Type((16,), *x), act, MatVecFold(lanes=5, outs=2))
    assert unit.plan.cleared == unit.plan.masked == 0
    check(unit, batch=2)


def test_taps_groups_and_pixels() -> None:
    op, x = GroupedMatMul(octaves((2, 4, 3, 5))), Type((2, 3, 2, 3, 5), 0, 12)
    check(ShiftMatVec(op, x, None, MatVecFold(pixels=2, taps=2, lanes=3, outs=2)), batch=2)
    check(ShiftMatVec(op, x, None, MatVecFold(groups=2, lanes=4, outs=4)), batch=2)


def test_the_cycles_of_products() -> None:
    """Firings and interval of the dense unit, no DSP block, half of the memory, fewer LUTs."""
    op, x = MatMul(octaves((32, 64))), Type((64,), -128, 127)
    fold = MatVecFold(lanes=8, outs=4, style="lut", memory="bram")
    dense, shift = MatVec(op, x, None, fold), ShiftMatVec(op, x, None, fold)
    assert firings(shift) == firings(dense) == interval(shift) == 64
    assert shift.stored_bits() * 2 == dense.stored_bits() == 32 * 64 * 8
    assert shift.resources().dsp == 0
    assert shift.resources().lut < 0.75 * dense.resources().lut


@pytest.mark.parametrize("x", [Type((64,), 0, 15), Type((64,), -128, 127)], ids=str)
def test_cheaper_than_nibbles(x: Type) -> None:
    """0, +-1, +-2, +-4 against any weights of 4 bits."""
    fold = MatVecFold(lanes=8, outs=4, style="lut", memory="bram")
    nibbles = MatMul(Dense(RNG(0).integers(-8, 8, (32, 64))))
    shift = ShiftMatVec(MatMul(octaves((32, 64), (0, *SEVEN[:3], *SEVEN[7:10]))), x, None, fold)
    dense = MatVec(nibbles, x, None, fold)
    assert shift.plan.stored.width == 3
    assert shift.resources().lut < dense.resources().lut
    assert shift.resources().ff <= dense.resources().ff


def test_latency() -> None:
    op, x = MatMul(octaves((6, 19))), Type((2, 19), 0, 15)
    act = Requant([9] * 6, [3], 8, -7, 7)
    unit = ShiftMatVec(op, x, act, MatVecFold(lanes=4, outs=2))
    assert unit.plan.spec is not None
    want = 1 + unit.plan.dot.latency + 1 + unit.plan.spec.latency
    assert unit.schedule().latency["y"] == want


def test_which_weights_are_powers() -> None:
    assert powers(octaves((4, 20))) == tuple(sorted({0, *SEVEN}))
    assert powers(Dense([[0, 2]])) == (0, 2)
    assert powers(Dense([[1, 1 << 13]])) == (1, 1 << 13)
    for other in (Dense([[2, 3]]), Dense([[2, 2]]), Ternary([[0, 1, -1]])):
        assert powers(other) is None
    assert powers(Dense([[1 << e for e in range(20)]])) is None, "no shifter reaches so far"


def test_candidates_are_the_dense_folds() -> None:
    op, x = MatMul(octaves((64, 128))), Type((128,), -128, 127)
    folds = [u.fold for u in MatVec.candidates(op, x)]
    found = list(ShiftMatVec.candidates(op, x, None, folds))
    assert len(found) > 10
    assert len(set(found)) == len(found)
    assert {u.fold.memory for u in found} == {"bram", "lutrom"}
    assert {(u.fold.style, u.fold.coded) for u in found} == {("lut", False)}
    assert {u.variant for u in found} == {"shift"}
    full = MatMul(Dense(RNG(0).integers(1, 9, (64, 128))))
    assert not list(ShiftMatVec.candidates(full, x, None, folds))
    signs = Type((128,), -1, 1, True)
    assert not list(ShiftMatVec.candidates(op, signs, None, folds))
    low = [replace(fold, levels=4) for fold in folds]
    assert not list(ShiftMatVec.candidates(op, x, None, low))


@pytest.mark.parametrize(
    ("weight", "fold", "message"),
    [
        (Dense([[3, 2, 1], [0, 0, 0]]), {}, r"weights must be several of 0 and \+-2\*\*e"),
        (Dense([[2, 2, 2], [2, 2, 2]]), {}, r"weights must be several of 0 and \+-2\*\*e"),
        (None, {"style": "dsp"}, "style must be 'auto' or 'lut' and coded False, not 'dsp'"),
        (None, {"coded": True}, "and coded False, not 'auto' and True"),
        (None, {"levels": 4}, "levels must be at least 5, not 4"),
        (None, {"lanes": 3, "outs": 2}, "use MatVec with memory='wired'"),
        (None, {"memory": "wired"}, "memory must be 'bram' or 'lutrom'"),
        (None, {"lanes": 4}, "lanes must be an integer from 1 to 3"),
    ],
)
def test_errors(weight: Dense | None, fold: dict, message: str) -> None:
    op = MatMul(weight or Dense([[4, 2, 1], [0, 0, -8]]))
    with pytest.raises(UnitError, match=message):
        ShiftMatVec(op, Type((3,), 0, 15), None, MatVecFold(**fold))


def test_errors_of_operands() -> None:
    op = MatMul(Dense([[4, 2, 1], [0, 0, -8]]))
    with pytest.raises(UnitError, match="x must be numbers, not signs"):
        ShiftMatVec(op, Type((3,), -1, 1, True), None, MatVecFold())
    with pytest.raises(UnitError, match="act is a Quantizer or None, not MatMul"):
        ShiftMatVec(op, Type((3,), 0, 1), op, MatVecFold())  # pyright: ignore
