"""Products that skip zero activations: cycles, values, chains, errors, candidates and costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, MultiThreshold, Requant, Type, run
from hwc.hw.design import Design, Edge
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.fold import MatVecFold
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.skip.folds import NARROW
from hwc.hw.units.skip.stimulus import KINDS
from hwc.hw.units.skip.unit import SkipMatVec
from hwc.sim import python
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer

from .solo import check, firings, interval, solo

RNG = np.random.default_rng


def weights(shape: tuple[int, ...], most: int = 7, seed: int = 0) -> Dense:
    return Dense(RNG(seed).integers(-most, most + 1, shape))


def product(outputs: int, inputs: int, lanes: int, outs: int, pixels: int = 1) -> SkipMatVec:
    """A plain one."""
    x = Type((pixels, inputs), 0, 15)
    return SkipMatVec(MatMul(weights((outputs, inputs))), x, None, MatVecFold(1, 1, 1, lanes, outs))


def beats_kept(unit: SkipMatVec, x: np.ndarray) -> np.ndarray:
    """Beats of each vector with a bit that is 1, from how the input is packed."""
    layout = unit.inputs()["x"]
    beats = np.array([bool(beat) for beat in layout.pack(x)])
    return beats.reshape(-1, unit.plan.beats).sum(axis=1)


# Cycles.


def in_closed_form(unit: SkipMatVec, kept: np.ndarray) -> list[int]:
    """Cycles in which beats of y move when nothing outside is in the way: a vector is loaded after
    the one before and once the one before that has been walked."""
    taken, blocks, late = unit.plan.beats, unit.plan.blocks, unit.schedule().latency["y"]
    loaded, walked, out = 0, [0, 0], list[int]()
    for count in np.maximum(kept, 1).tolist():
        loaded = max(loaded, walked[-2]) + taken
        begin = max(walked[-1], loaded)
        out += [begin + (block + 1) * count + late + 1 for block in range(blocks)]
        walked.append(begin + blocks * count)
    return out


@pytest.mark.parametrize(
    ("outputs", "inputs", "lanes", "outs", "pixels"),
    [(6, 12, 1, 2, 3), (5, 11, 2, 5, 1), (7, 13, 4, 3, 4), (1, 9, 2, 1, 2), (12, 6, 3, 1, 1)],
)
def test_cycles_in_closed_form(
    outputs: int, inputs: int, lanes: int, outs: int, pixels: int
) -> None:
    unit = product(outputs, inputs, lanes, outs, pixels)
    frames = unit.stimulus(RNG(inputs), 40)
    timing = Timer(solo(unit), 40, {"unit": unit.conditions(frames)}).run()
    kept = beats_kept(unit, frames["x"])
    assert 0 in kept
    assert kept.max() == unit.plan.beats
    assert timing.cycles["y"].tolist() == in_closed_form(unit, kept)


@pytest.mark.parametrize("kept", [0, 1, 3, 8])
def test_interval_of_like_vectors(kept: int) -> None:
    """The beats of a vector, or blocks times those kept if that is more."""
    unit = product(6, 16, 2, 2, 5)
    x = np.zeros((30, 5, 16), int)
    x[:, :, : 2 * kept] = 3
    found = Timer(solo(unit, 4), 30, {"unit": unit.conditions({"x": x})}).run().last_out
    assert np.diff(found)[5:].tolist() == [5 * max(8, 3 * max(1, kept))] * 24


def test_without_data_it_promises_what_dense_vectors_take() -> None:
    unit = product(6, 16, 2, 2, 5)
    assert interval(unit) == firings(unit) == 5 * 3 * 8
    dense = MatVec(unit.op, unit.x, None, unit.fold)
    assert interval(dense) == interval(unit)


def test_conditions_are_those_of_the_packed_beats() -> None:
    for unit in SkipMatVec.examples():
        x = unit.stimulus(RNG(5), 20)
        plan = unit.plan
        ends = unit.conditions(x)["ends"].reshape(-1, plan.blocks, plan.beats)
        assert (ends.sum(axis=2) == 1).all()
        want = np.maximum(1, beats_kept(unit, x["x"]))
        assert (ends.argmax(axis=2) + 1 == want[:, None]).all()


# Values.


@pytest.mark.parametrize("x", [Type((2, 9), 0, 1), Type((2, 9), -4, 3), Type((2, 9), -9, 0)])
@pytest.mark.parametrize("buffer", ["lutram", "bram"])
def test_kinds_of_operands(x: Type, buffer: str) -> None:
    act = MultiThreshold(np.tile([[-3, 0, 5]], (5, 1)), (False, True, False, True, False))
    for weight in (weights((5, 9)), Dense(np.abs(weights((5, 9)).dense()) + 1)):
        for fold in (MatVecFold(lanes=2, outs=3), MatVecFold(lanes=4, outs=5, memory="bram")):
            check(SkipMatVec(MatMul(weight), x, act, fold, buffer), batch=6)  # pyright: ignore


def test_convolution() -> None:
    op, x = GroupedMatMul(weights((1, 4, 9, 5))), Type((2, 3, 1, 9, 5), 0, 12)
    for fold in (MatVecFold(taps=2, lanes=3, outs=3), MatVecFold(taps=9, lanes=1, outs=1)):
        unit = SkipMatVec(op, x, None, fold)
        assert unit.inputs()["x"].tile == (1, 1, 1, fold.taps, fold.lanes)
        check(unit, batch=4)


def test_two_in_a_row() -> None:
    """The second sees the zeros that the first makes; every transfer is where the engine says."""
    first = MatMul(weights((10, 12), seed=1))
    x = Type((3, 12), 0, 15)
    relu = Requant([40], [0], 8, 0, 15)
    a = SkipMatVec(first, x, relu, MatVecFold(lanes=2, outs=2))
    b = SkipMatVec(MatMul(weights((4, 10), seed=2)), a.plan.y, None, MatVecFold(lanes=2, outs=3))
    edges = (
        Edge(("", "x"), ("a", "x"), 2),
        Edge(("a", "y"), ("b", "x"), 3),
        Edge(("b", "y"), ("", "y"), 2),
    )
    design = Design("two", {"a": a, "b": b}, edges)
    frames = a.stimulus(RNG(3), 10)
    middle = run(a.graph(), frames)["y"]
    assert 0.2 < (middle == 0).mean() < 0.9
    want = run(b.graph(), {"x": middle})["y"]
    data = {"a": a.conditions(frames), "b": b.conditions({"x": middle})}
    timer, bound = Timer(design, 10, data), Timer(design, 10)
    for stalls in (Stalls(), Stalls("random", 4, 0.4, 0.4), Stalls("bursts", 5, 0.5, 0.5)):
        got = python.run(design, frames, stalls=stalls, seed=1, limit=20_000)
        assert np.array_equal(got.outputs["y"], want)
        timing, latest = timer.run(stalls=stalls), bound.run(stalls=stalls)
        for name, cycles in timing.cycles.items():
            assert np.array_equal(got.cycles[name], cycles), (name, stalls)
            assert (cycles <= latest.cycles[name]).all()
        assert timing.last_out[-1] < latest.last_out[-1]


def test_stimulus_has_zeros_of_all_kinds() -> None:
    unit = product(3, 12, 2, 1, 4)
    vectors = unit.stimulus(RNG(0), 24)["x"].reshape(-1, 12) != 0
    count = vectors.sum(axis=1)
    assert (count == 0).sum() > 4
    assert (count == 12).sum() > 4
    alone = vectors[count == 1]
    assert alone[:, 0].any()
    assert alone[:, -1].any()
    assert len({tuple(v) for v in vectors.tolist()}) > 2 * KINDS
    pairs = vectors.reshape(-1, 6, 2)
    assert (pairs[..., 0] & ~pairs[..., 1]).any()
    assert (~pairs[..., 0] & pairs[..., 1]).any()


# Errors and candidates.


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"pixels": 2}, "pixels must be 1, not 2"),
        ({"groups": 2}, "groups must be 1, not 2"),
        ({"order": "input"}, "order must be 'output', not 'input'"),
        ({"memory": "wired"}, "memory must be 'bram' or 'lutrom' with 90 weight words"),
        ({"taps": 4}, "taps must be an integer from 1 to 3"),
        ({"taps": 3, "lanes": 5}, r"taps \* lanes = 15 makes one beat of a vector"),
        ({"levels": 2}, "levels must be at least 3"),
    ],
)
def test_illegal_folds_name_the_legal_ones(fold: dict, message: str) -> None:
    op = GroupedMatMul(weights((1, 6, 3, 5)))
    with pytest.raises(UnitError, match=message):
        SkipMatVec(op, Type((4, 1, 3, 5), 0, 15), None, MatVecFold(**fold))


@pytest.mark.parametrize("x", [Type((4,), -1, 1, True), Type((4,), 1, 9), Type((4,), -9, -1)])
def test_there_has_to_be_a_zero(x: Type) -> None:
    with pytest.raises(UnitError, match=r"SkipMatVec 1x3x1x4 .* x must have a 0 to skip, it is"):
        SkipMatVec(MatMul(weights((3, 4))), x, None, MatVecFold())
    assert not list(SkipMatVec.candidates(MatMul(weights((3, 4))), x))


def test_other_errors() -> None:
    grouped, x = GroupedMatMul(weights((2, 6, 3, 5))), Type((4, 2, 3, 5), 0, 15)
    with pytest.raises(UnitError, match="a product of one group is needed"):
        SkipMatVec(grouped, x, None, MatVecFold())
    assert not list(SkipMatVec.candidates(grouped, x))
    op = MatMul(weights((3, 4)))
    with pytest.raises(UnitError, match="buffer must be 'lutram' or 'bram', not 'ff'"):
        SkipMatVec(op, Type((4,), 0, 15), None, MatVecFold(), "ff")  # pyright: ignore


@pytest.mark.parametrize(
    ("op", "x"),
    [
        (MatMul(weights((40, 60), 127)), Type((60,), -128, 127)),
        (GroupedMatMul(weights((1, 8, 9, 4))), Type((6, 6, 1, 9, 4), 0, 15)),
    ],
)
def test_candidates(op: MatMul | GroupedMatMul, x: Type) -> None:
    """Legal, all different, slowest first, of narrow beats, from serial to many outputs."""
    found = list(SkipMatVec.candidates(op, x))
    assert 4 < len(found) <= 26
    assert len(set(found)) == len(found)
    assert all(u.fold.taps * u.fold.lanes <= NARROW for u in found)
    cycles = [firings(u) for u in found]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] == op.weight.size * found[0].plan.pixels
    assert cycles[0] > 30 * cycles[-1]
    near = cycles[0] // 10
    close = [firings(u) for u in SkipMatVec.candidates(op, x, near=near)]
    assert all(near / 4 <= c <= near * 1.25 for c in close if c != cycles[0])
    assert len(set(close)) > 2


# Costs.


def test_costs_grow_with_what_is_there() -> None:
    op, x = MatMul(weights((32, 64), 127)), Type((64,), -128, 127)
    one = SkipMatVec(op, x, None, MatVecFold(lanes=4, outs=2, memory="bram", style="dsp"))
    base = one.resources()
    assert base.dsp == 8
    block = replace(one, buffer="bram").resources()
    assert block.bram18 == base.bram18 + 1
    assert block.lut < base.lut
    dense = MatVec(op, x, None, one.fold).resources()
    assert (dense.dsp, dense.bram18) == (base.dsp, base.bram18)
