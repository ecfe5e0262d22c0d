"""Winograd products: folds, exactness of the division, latency, cost and the folds offered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Dense, MatMul, Requant, Type, WinogradProduct
from hwc.hw.unit import UnitError
from hwc.hw.units.winograd.folds import folds
from hwc.hw.units.winograd.plan import transformed
from hwc.hw.units.winograd.unit import Winograd, WinogradFold

from .solo import check, firings, interval

RNG = np.random.default_rng


def product(
    m: int, r: int, inputs: int, outputs: int, lo: int = -7, hi: int = 7
) -> WinogradProduct:
    return WinogradProduct(Dense(RNG(m + r).integers(lo, hi + 1, (outputs, r, r, inputs))), m)


def kind(op: WinogradProduct, lo: int = 0, hi: int = 15, tiles: int = 2) -> Type:
    return Type((tiles, 1, op.n**2, op.weight.shape[3]), lo, hi)


def requant(op: WinogradProduct, x: Type) -> Requant:
    t, shift = op.infer(x), 16
    return Requant([(1 << 8 + shift) // (t.hi - t.lo)] * t.shape[-1], [9], shift, -127, 127)


@pytest.mark.parametrize(("m", "r"), [(2, 3), (2, 2), (3, 2)])
@pytest.mark.parametrize("constant", [-1, 0, 1])
def test_constant_weights(m: int, r: int, constant: int) -> None:
    """Zero weights in the domain of the products, and places where all weights are the same."""
    op = WinogradProduct(Dense(np.full((2, r, r, 3), constant)), m)
    x = kind(op, -4, 3)
    check(Winograd(op, x, None, WinogradFold(2, 1, op.n**2, style="lut")), batch=2)


def test_weights_are_what_the_filters_say() -> None:
    op = product(2, 3, 4, 3)
    g = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]])
    u = transformed(op)
    assert u.shape == (3, 16, 4)
    for k in range(3):
        for c in range(4):
            w = op.weight.dense()[k, :, :, c]
            assert np.array_equal(u[k, :, c].reshape(4, 4), g @ w @ g.T)


def test_operands_grow_as_lavin_and_gray_say() -> None:
    """8 bits: 10 x 12 for F(2x2, 3x3); 15 x 14 instead of 15 x 18 for F(4x4, 3x3), for the rest of
    the factor is left to the sums."""
    for m, wide in ((2, (10, 12)), (4, (15, 14))):
        op = WinogradProduct(Dense(np.repeat([127, -127], 9).reshape(2, 3, 3, 1)), m)
        plan = Winograd(op, kind(op, -128, 127), None, WinogradFold(points=op.n**2)).plan
        widths = [(x.width, w.width) for x, w in plan.slots]
        assert max(x for x, _ in widths) == wide[0]
        assert max(w for _, w in widths) == wide[1]


def test_sums_are_kept_no_wider_than_the_division_needs() -> None:
    for m, r, more in ((2, 3, 2), (4, 3, 6), (2, 4, 2), (2, 2, 0)):
        op = product(m, r, 3, 2)
        plan = Winograd(op, kind(op), None).plan
        assert plan.total.width == plan.sum.width + more


@pytest.mark.parametrize("fold", [(1, 1, 1, 1), (2, 1, 4, 4), (3, 2, 16, 1), (1, 2, 8, 2)])
@pytest.mark.parametrize("pixels", [0, 1, 2])
def test_full_rate(fold: tuple[int, int, int, int], pixels: int) -> None:
    """A firing a cycle, unless the beats that leave are more than those."""
    op = product(2, 3, 3, 2)
    x = kind(op, tiles=4)
    unit = Winograd(op, x, requant(op, x), WinogradFold(*fold, pixels=pixels))
    steps = unit.plan.steps
    assert interval(unit) == firings(unit)
    main = unit.schedule().process("main").firings
    assert main == 4 * steps["out"] * steps["point"] * steps["lane"]


def test_parts_share_pipelines_of_the_activation() -> None:
    op = product(2, 3, 8, 4, -127, 127)
    x = kind(op, -128, 127)
    one, four = (
        Winograd(op, x, requant(op, x), WinogradFold(1, 1, 16, n, act_style="dsp", style="dsp"))
        for n in (1, 4)
    )
    assert (one.resources().dsp, four.resources().dsp) == (16 + 4, 16 + 1)
    assert four.plan.latency == one.plan.latency + 4


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"lanes": 5}, r"F\(2x2, 3x3\), 4 -> 2 channels: lanes must be .* 1 to 4, not 5"),
        ({"outs": 3}, "outs must be an integer from 1 to 2, not 3"),
        ({"points": 3}, r"points must be one of \[1, 2, 4, 8, 16\], not 3"),
        ({"parts": 2}, r"parts must be one of \[1\] without an activation, not 2"),
        ({"pixels": 4}, r"pixels must be one of \[0, 1, 2\], not 4"),
        ({"memory": "wired"}, "memory must be 'bram' or 'lutrom'"),
        ({"style": "pair"}, "style must be 'auto', 'lut' or 'dsp'"),
        ({"levels": 2}, "levels must be at least 3"),
    ],
)
def test_refusals(fields: dict[str, Any], match: str) -> None:
    op = product(2, 3, 4, 2)
    with pytest.raises(UnitError, match=match):
        Winograd(op, kind(op), None, replace(WinogradFold(), **fields))


def test_refusals_of_other_kinds() -> None:
    op = product(2, 3, 4, 2)
    x = kind(op)
    with pytest.raises(UnitError, match=r"parts must be one of \[1, 2\] in 2 firings an output"):
        Winograd(op, x, requant(op, x), WinogradFold(2, 1, 16, 4))
    with pytest.raises(UnitError, match="the op is WinogradProduct, not MatMul"):
        Winograd(MatMul(Dense([[1]])), x)  # pyright: ignore[reportArgumentType]


def test_folds_reach_from_serial_to_parallel() -> None:
    op = product(2, 3, 8, 8)
    x = kind(op)
    found = folds(op, x, requant(op, x))
    assert len(set(found)) == len(found)
    units = [Winograd(op, x, requant(op, x), fold) for fold in found]
    cycles = [firings(unit) for unit in units]
    assert cycles == sorted(cycles, reverse=True)
    assert max(cycles) == 2 * 8 * 8 * 16
    assert min(cycles) <= 2 * 8
    assert all(op.weight.shape[0] % fold.outs == 0 and fold.pixels > 0 for fold in found)
    close = folds(op, x, requant(op, x), near=128)
    assert {firings(Winograd(op, x, requant(op, x), f)) for f in close[2:]} <= set(range(32, 161))
