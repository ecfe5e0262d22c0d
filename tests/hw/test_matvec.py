"""Folded products: arithmetic, tails, orders, latency, cost and the folds that are offered."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Binary,
    Conv2d,
    Dense,
    GroupedMatMul,
    MatMul,
    MultiThreshold,
    Op,
    Requant,
    Ternary,
    Type,
    run,
)
from hwc.compiler.graph.errors import HwcError
from hwc.hw.dot import DotError, DotSpec, Number
from hwc.hw.memory import bram18
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.folds import folds
from hwc.hw.units.matvec.unit import MatVec, MatVecFold

from .solo import check, firings, interval

Ints = NDArray[np.int64]
RNG = np.random.default_rng


def dense(shape: tuple[int, ...], lo: int = -8, hi: int = 7, seed: int = 0) -> Dense:
    return Dense(RNG(seed).integers(lo, hi + 1, shape))


def signs(shape: tuple[int, ...], seed: int = 0) -> Binary:
    return Binary(RNG(seed).choice([-1, 1], shape))


def thresholds(op: MatMul | GroupedMatMul, x: Type, levels: int, seed: int = 0) -> MultiThreshold:
    t, rng = op.infer(x), RNG(seed)
    table = np.sort(rng.integers(t.lo // 2, t.hi // 2 + 1, (t.shape[-1], levels)), axis=1)
    down = tuple(bool(b) for b in rng.integers(0, 2, t.shape[-1]))
    return MultiThreshold(table, down, *((-1, 2) if levels == 1 else (0, 1)))


SIGNS = Type((2, 11), -1, 1, True)
NIBBLES = Type((2, 11), 0, 15)


# Arithmetic: each kind of operand at a fold with tails everywhere, in both orders.

KINDS = {
    "signs x signs": (SIGNS, signs((5, 11))),
    "signs x integers": (SIGNS, dense((5, 11))),
    "signs x ternary": (SIGNS, Ternary(RNG(0).integers(-1, 2, (5, 11)))),
    "unsigned x signs": (Type((2, 11), 0, 6), signs((5, 11))),
    "signed x signs": (Type((2, 11), -5, 4), signs((5, 11))),
    "ternary x signs": (Type((2, 11), -1, 1), signs((5, 11))),
    "ternary x integers": (Type((2, 11), -1, 1), dense((5, 11), -5, 7)),
    "ternary x ternary": (Type((2, 11), -1, 1), Ternary(RNG(1).integers(-1, 2, (5, 11)))),
    "unsigned x signed": (NIBBLES, dense((5, 11))),
    "signed x signed": (Type((2, 11), -3, 5), dense((5, 11), -5, 3)),
    "unsigned x positive": (Type((2, 11), 3, 9), dense((5, 11), 2, 5)),
    "negative x negative": (Type((2, 11), -9, -3), dense((5, 11), -5, -2)),
    "one weight": (NIBBLES, dense((5, 11), 3, 3)),
}


@pytest.mark.parametrize("order", ["output", "input"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_operands(kind: str, order: str) -> None:
    x, weight = KINDS[kind]
    fold = MatVecFold(pixels=1, lanes=4, outs=2, order=order, style="lut")  # pyright: ignore
    check(MatVec(MatMul(weight), x, None, fold), batch=3)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_operands_wired(kind: str) -> None:
    x, weight = KINDS[kind]
    fold = MatVecFold(pixels=2, lanes=11, outs=5, memory="wired")
    op = MatMul(weight)
    check(MatVec(op, x, thresholds(op, x, 1), fold), batch=3)


@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_masks_of_signs_in_every_tail(taps: int, lanes: int) -> None:
    """Signs cannot be 0: positions past the end of taps or channels, or both, are masked."""
    op = GroupedMatMul(signs((2, 2, 3, 3)))
    for x in (Type((3, 2, 3, 3), -1, 1, True), Type((3, 2, 3, 3), -1, 1)):
        unit = MatVec(op, x, thresholds(op, x, 1), MatVecFold(taps=taps, lanes=lanes, outs=2))
        tail = 3 % taps > 0 or 3 % lanes > 0
        assert (unit.plan.masked > 0) == tail
        check(unit, batch=3)


def test_padding_never_counts() -> None:
    """Padding has arbitrary bits. If all codes are legal, weight 0 makes them vanish; if not, the
    product may be anything, so they are cleared first.
    """
    rng = RNG(2)
    for x in (Number(0, 3), Number(-2, 1), Number(0, 15), Number(-8, 7)):
        for w in (Number(-1, 1), Number(-5, 7), Number(0, 3), Number(-5, 0), Number(-100, 99)):
            spec = DotSpec(x, w, 3, "lut")
            noise = rng.integers(0, 1 << x.width, (16, 3))
            assert _dot(spec, noise, np.zeros((16, 3), np.int64)) == [0] * 16, (x, w)
    op = MatMul(dense((2, 5)))
    for lo, hi, cleared in ((0, 15, 0), (-8, 7, 0), (0, 9, 1), (-1, 1, 1), (3, 7, 1)):
        plan = MatVec(op, Type((5,), lo, hi), None, MatVecFold(lanes=2)).plan
        assert plan.cleared == cleared, (lo, hi)
        assert plan.dot.x.lo <= 0 <= plan.dot.x.hi
        assert MatVec(op, Type((5,), lo, hi), None, MatVecFold(lanes=5)).plan.cleared == 0


def _dot(spec: DotSpec, x: Ints, w: Ints) -> list[int]:
    """Sums of rows of codes."""
    m = Module()
    xs = [Signal(spec.x.width) for _ in range(spec.lanes)]
    ws = [Signal(spec.w.width) for _ in range(spec.lanes)]
    out = spec.build(m, xs, ws)
    got: list[int] = []

    async def bench(ctx: Any) -> None:
        for row in range(len(x)):
            ctx.set(Cat(*xs), sum(int(v) << i * spec.x.width for i, v in enumerate(x[row])))
            ctx.set(Cat(*ws), sum(int(v) << i * spec.w.width for i, v in enumerate(w[row])))
            for _ in range(spec.latency):
                await ctx.tick()
            got.append(ctx.get(out))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return got


@pytest.mark.parametrize("outs", [2, 3, 5])
@pytest.mark.parametrize("order", ["output", "input"])
def test_two_outputs_in_a_block(outs: int, order: str) -> None:
    """An odd last output goes alone, and all arrive together."""
    op, x = GroupedMatMul(dense((1, 5, 2, 7), -127, 127)), Type((3, 1, 2, 7), 0, 255)
    fold = MatVecFold(taps=2, lanes=3, outs=outs, style="pair", order=order)  # pyright: ignore
    unit = MatVec(op, x, None, fold)
    assert unit.resources().dsp == 2 * 3 * (outs // 2 + outs % 2)
    check(unit, batch=3)


# Signs: thresholds on the count of agreeing signs, everything else on the sum.


@pytest.mark.parametrize("inputs", [1, 2, 5, 6])
@pytest.mark.parametrize("kind", ["none", "thresholds", "requant"])
def test_sums_of_signs(inputs: int, kind: str) -> None:
    """Odd and even numbers of signs, every combination of inputs."""
    x, op = Type((2**inputs, inputs), -1, 1, True), MatMul(signs((3, inputs)))
    table = [[-inputs - 1, 0, 1], [-1, 0, inputs], [-2, 1, inputs + 1]]
    act = {
        "none": None,
        "thresholds": MultiThreshold(table, (False, True, False)),
        "requant": Requant([3, 5, -3], [1, 0, 2], 2, -4, 4),
    }[kind]
    every = 2 * (np.arange(2**inputs)[:, None] >> np.arange(inputs) & 1) - 1

    class Every(MatVec):
        def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
            del rng
            return {"x": np.stack([every] * batch)}

    for lanes in {1, inputs}:
        unit = Every(op, x, act, MatVecFold(lanes=lanes))
        assert unit.plan.popcount
        assert unit.plan.counts == (kind == "thresholds")
        check(unit, batch=1)


# Shapes, memories, orders.


@pytest.mark.parametrize("order", ["output", "input"])
@pytest.mark.parametrize("memory", ["lutrom", "bram"])
def test_memories_and_orders(memory: str, order: str) -> None:
    op, x = MatMul(dense((6, 10))), Type((3, 10), -8, 7)
    act = Requant(RNG(1).integers(200, 400, 6), [9], 12, -7, 7)
    fold = MatVecFold(2, lanes=3, outs=2, memory=memory, order=order)  # pyright: ignore
    check(MatVec(op, x, act, fold))


def test_replay_and_partial_sums_in_block_ram() -> None:
    x = Type((2, 160), -128, 127)
    deep = MatVec(MatMul(dense((2, 160))), x, None, MatVecFold(lanes=2, memory="bram"))
    assert (deep.plan.replay, deep.plan.fetch) == ("lutram", 1)
    wide = replace(deep, fold=replace(deep.fold, pixels=2))
    assert (wide.plan.replay, wide.plan.fetch) == ("bram", 2)
    check(wide, batch=2)
    fold = MatVecFold(lanes=2, outs=2, memory="bram", order="input")
    many = MatVec(MatMul(dense((300, 4))), Type((4,), -128, 127), None, fold)
    assert many.plan.partial == "bram"
    check(many, batch=2)


def test_pixels_that_do_not_divide_the_row() -> None:
    op, x = MatMul(dense((3, 4))), Type((2, 5, 4), 0, 3)
    unit = MatVec(op, x, None, MatVecFold(pixels=3, lanes=2, outs=2))
    assert unit.inputs()["x"].tile == (1, 3, 2)
    assert firings(unit) == 2 * 2 * 2 * 2
    check(unit)


def test_convolution_after_its_window() -> None:
    """The integers of Conv2d: window and product are two units."""
    conv = Conv2d(dense((4, 3, 3, 2)), (1, 1), (1, 1, 1, 1), groups=2)
    image = Type((3, 4, 4), 0, 15)
    window = conv.window.infer(image)
    unit = MatVec(conv.product, window, None, MatVecFold(taps=4, lanes=2, outs=2))
    assert unit.inputs()["x"].tile == (1, 1, 1, 4, 2)
    assert unit.outputs()["y"].tile == (1, 1, 2)
    x = RNG(0).integers(0, 16, (2, 3, 4, 4))
    y = run(unit.graph(), {"x": conv.window.reference(x)})["y"]
    assert np.array_equal(y, conv.reference(x))
    check(unit, batch=2)


def test_vector_without_pixels() -> None:
    op = GroupedMatMul(dense((3, 2, 2, 2)))
    unit = MatVec(op, Type((3, 2, 2), -8, 7), None, MatVecFold(groups=2, taps=2, outs=2))
    assert unit.inputs()["x"].tile == (2, 2, 1)
    assert unit.outputs()["y"].type.shape == (6,)
    check(unit)


# Time.


def test_latency_formula() -> None:
    """Fetch, product, accumulator, activation."""
    op = MatMul(dense((6, 10)))
    act = thresholds(op, NIBBLES.with_shape((3, 10)), 3)
    unit = MatVec(op, Type((3, 10), 0, 15), act, MatVecFold(lanes=4, outs=2))
    plan = unit.plan
    assert plan.spec is not None
    want = 1 + plan.dot.latency + 1 + plan.spec.latency
    assert unit.schedule().latency["y"] == want
    whole = replace(unit, fold=replace(unit.fold, lanes=10))
    assert not whole.plan.registered, "one firing a sum: nothing to accumulate"
    assert replace(whole, act=None).schedule().latency["y"] == 1 + whole.plan.dot.latency
    wired = replace(unit, act=None, fold=MatVecFold(lanes=10, outs=6, memory="wired"))
    slowest = max(dot.latency for dot in wired.plan.wired)
    assert wired.schedule().latency["y"] == 1 + slowest


@pytest.mark.parametrize("order", ["output", "input"])
def test_interval_is_the_number_of_firings(order: str) -> None:
    op, x = GroupedMatMul(dense((2, 4, 3, 5))), Type((2, 3, 2, 3, 5), 0, 15)
    unit = MatVec(op, x, None, MatVecFold(pixels=2, taps=2, lanes=2, outs=2, order=order))  # pyright: ignore
    assert firings(unit) == (2 * 2) * 2 * 2 * 2 * 3
    assert interval(unit) == firings(unit)


def test_fully_parallel_takes_a_pixel_a_cycle() -> None:
    op, x = MatMul(signs((4, 9))), Type((5, 9), -1, 1, True)
    unit = MatVec(op, x, thresholds(op, x, 1), MatVecFold(lanes=9, outs=4, memory="wired"))
    assert interval(unit) == 5


# Errors.


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"lanes": 6}, r"lanes must be an integer from 1 to 5, not 6"),
        ({"taps": 0}, r"taps must be an integer from 1 to 3, not 0"),
        ({"pixels": 5}, r"pixels must be an integer from 1 to 4, not 5"),
        ({"groups": 2, "outs": 2}, r"outs must be 4, all outputs of a group, when groups=2"),
        ({"outs": 3}, r"outs must be one of \[1, 2, 4\]: with 2 groups"),
        ({"memory": "wired"}, r"memory must be 'bram' or 'lutrom' with 120 weight words"),
        (
            {"groups": 2, "taps": 3, "lanes": 5, "outs": 4},
            r"memory must be 'wired' with 1 weight words per pixel, not 'lutrom'",
        ),
        (
            {"groups": 2, "taps": 3, "lanes": 5, "outs": 4, "memory": "wired", "style": "dsp"},
            r"style must be 'auto' or 'lut' with memory='wired'",
        ),
        ({"order": "weights"}, r"order must be 'output' or 'input'"),
        ({"levels": 1}, r"levels must be at least 3"),
        ({"style": "pair"}, r"style must be 'auto', 'lut' or 'dsp' with outs=1"),
    ],
)
def test_illegal_folds_name_the_legal_ones(fold: dict, message: str) -> None:
    op, x = GroupedMatMul(dense((2, 4, 3, 5))), Type((4, 2, 3, 5), 0, 15)
    with pytest.raises(UnitError, match=r"^MatVec 2x4x3x5 \(groups.*" + message):
        MatVec(op, x, None, MatVecFold(**fold))


def test_other_errors() -> None:
    op, x = MatMul(signs((2, 4))), Type((4,), -1, 1, True)
    with pytest.raises(DotError, match="style 'dsp' is for operands of 2 bits or more"):
        MatVec(op, x, None, MatVecFold(style="dsp"))
    with pytest.raises(HwcError, match="K=4"):
        MatVec(op, Type((5,), 0, 1))
    conv: Op = Conv2d(dense((4, 3, 3, 2)))
    with pytest.raises(UnitError, match="not Conv2d; expand"):
        MatVec(conv, Type((3, 4, 2), 0, 1))  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        UnitError, match="act is MultiThreshold, Requant, TwoSlope or None, not MatMul"
    ):
        MatVec(op, x, op)  # pyright: ignore[reportArgumentType]


# Cost.


def test_costs_grow_with_what_is_there() -> None:
    op, x = MatMul(dense((8, 64))), Type((4, 64), 0, 15)
    one = MatVec(op, x, None, MatVecFold(lanes=4, outs=2, style="lut"))
    base = one.resources()
    two = replace(one, fold=replace(one.fold, pixels=2)).resources()
    dots = one.plan.dot.resources().lut * 2
    assert two.lut >= base.lut + dots
    block = replace(one, fold=replace(one.fold, memory="bram")).resources()
    assert block.bram18 == bram18(2 * 4 * 4, 64)
    assert block.lut < base.lut
    dsp = MatVec(
        MatMul(dense((8, 64), -99, 99)),
        Type((64,), -99, 99),
        None,
        MatVecFold(lanes=4, outs=2, style="dsp"),
    )
    assert dsp.resources().dsp == 8


def test_popcount_is_cheaper_than_sums() -> None:
    op = MatMul(signs((8, 64)))
    fold = MatVecFold(lanes=16, outs=4)
    cost = [
        MatVec(op, Type((64,), -1, 1, bipolar), None, fold).resources().lut
        for bipolar in (True, False)
    ]
    assert cost[0] < cost[1]


# Folds that are offered.

LAYERS = [
    (MatMul(signs((64, 100))), Type((100,), -1, 1, True)),
    (MatMul(dense((10, 64))), Type((7, 7, 64), 0, 15)),
    (GroupedMatMul(dense((1, 16, 9, 12), -127, 127)), Type((14, 14, 1, 9, 12), 0, 255)),
    (GroupedMatMul(dense((24, 1, 9, 1))), Type((14, 14, 24, 9, 1), 0, 15)),
    (MatMul(dense((1, 1))), Type((1,), 0, 1)),
]


@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_candidates(layer: int) -> None:
    """Legal by construction, from one product a cycle to all of a pixel, all different."""
    op, x = LAYERS[layer]
    found = list(MatVec.candidates(op, x, limit=40))
    assert 1 <= len(found) <= 40
    assert len(set(found)) == len(found)
    cycles = [math.prod(unit.plan.steps.values()) for unit in found]
    assert cycles == sorted(cycles, reverse=True)
    products = op.weight.size * math.prod(found[0].plan.leading)
    assert cycles[0] == products
    if op.weight.size > 1:
        assert {u.fold.memory for u in found} >= {"bram", "lutrom"}
        assert len(set(cycles)) >= 10
    if op.weight.size <= 1000:
        assert "wired" in {u.fold.memory for u in found}
        assert cycles[-1] <= math.prod(found[0].plan.leading)


def test_candidates_respect_the_limits() -> None:
    op, x = LAYERS[2]
    assert len(folds(op, x, None, limit=10)) == 10
    assert {fold.levels for fold in folds(op, x, None, levels=4)} == {4}
    prime = folds(MatMul(dense((7, 11))), Type((11,), 0, 15), None, limit=400)
    assert {fold.lanes for fold in prime} == {1, 2, 3, 4, 6, 11}
    assert {fold.outs for fold in prime} == {1, 2, 3, 4, 7}


# Stimulus.


def test_stimulus_aims_at_thresholds() -> None:
    """A good part of all sums is the last below a threshold or the first at it."""
    op, x = MatMul(dense((1, 40), -127, 127)), Type((50, 40), 0, 255)
    t = op.infer(x)
    act = MultiThreshold([[t.lo // 3, 0, t.hi // 2]])
    unit = MatVec(op, x, act, MatVecFold())
    stimulus = unit.stimulus(RNG(0), 8)["x"]
    assert stimulus.min() == x.lo
    assert stimulus.max() == x.hi
    sums = op.reference(stimulus)[::2]
    off = np.abs(sums - act.thresholds.values[0]).min(-1)
    assert (off <= 1).mean() > 0.5
    ends = MatVec(op, x).stimulus(RNG(0), 8)["x"]
    assert {t.lo, t.hi} <= set(op.reference(ends).ravel().tolist())
