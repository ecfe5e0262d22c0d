"""Pools: reductions over windows and whole maps."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import (
    GlobalMaxPool,
    GlobalSumPool,
    Graph,
    Node,
    SumPool2d,
    Type,
    WindowReduce,
    expand,
    run,
)
from hwc.hw.layout import LayoutError
from hwc.hw.unit import UnitError
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.reducer import Reducer

from .solo import check, firings, interval

KINDS = (
    Type((1,), 0, 15),
    Type((1,), -4, 3),
    Type((1,), -128, 127),
    Type((1,), 0, 1),
    Type((1,), -1, 1, bipolar=True),
    Type((1,), 3, 5),
)


@pytest.mark.parametrize("seed", range(16))
def test_random_reduce(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(
        int(n) for n in (*rng.integers(1, 4, 2), rng.integers(1, 6), rng.integers(1, 17), 1)
    )
    tile = (1, *(int(rng.integers(1, n + 1)) for n in shape[1:]))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    unit = Reduce(WindowReduce("max" if seed % 2 else "sum"), kind.with_shape(shape), tile)
    check(unit, seed, batch=6, stall=0.3 * (seed % 3))
    assert interval(unit) == firings(unit) == unit.inputs()["x"].beats


@pytest.mark.parametrize("seed", range(16))
def test_random_global(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(2, 4))))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    lanes, pixels = int(rng.integers(1, shape[-1] + 1)), int(rng.integers(1, shape[-2] + 1))
    op = GlobalMaxPool() if seed % 2 else GlobalSumPool()
    unit = GlobalPool(op, kind.with_shape(shape), lanes, pixels)
    check(unit, seed, batch=6, stall=0.3 * (seed % 3))
    assert interval(unit) == firings(unit) == unit.inputs()["x"].beats


@pytest.mark.parametrize("kind", KINDS)
def test_lowest_values_and_single_steps(kind: Type) -> None:
    """Masked lanes never win, not even over the lowest codes; and a tree without accumulator."""
    for op in (WindowReduce("max"), WindowReduce("sum")):
        check(Reduce(op, kind.with_shape((2, 2, 5, 1)), (1, 2, 3, 1)), 1, batch=6)
        check(Reduce(op, kind.with_shape((2, 2, 5, 1)), (1, 2, 5, 1)), 2, batch=6)


def test_accumulators_of_many_channels_lie_in_a_memory() -> None:
    unit = GlobalPool(GlobalSumPool(), Type((8, 8, 1024), 0, 255), 1)
    assert unit.resources().bram18 > 0
    assert unit.resources().ff < 100
    check(GlobalPool(GlobalSumPool(), Type((2, 2, 160), 0, 255), 1), 5, batch=2)


@pytest.mark.parametrize("lanes", [1, 2, 3, 7, 36, 100])
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_trees_keep_to_their_levels(kind: str, lanes: int) -> None:
    """More lanes cost cycles, never a longer path."""
    x = Type((1,), -128, 127)
    for most in (4, 6, 9):
        for total in (lanes, 2 * lanes + 1):
            y = WindowReduce("max").infer(x.with_shape((1, total, 1)))
            if kind == "sum":
                y = WindowReduce("sum").infer(x.with_shape((1, total, 1)))
            r = Reducer("sum" if kind == "sum" else "max", x, y, lanes, total, most)
            assert r.worst_levels <= max(most, 6)
            assert r.latency <= 2 * lanes.bit_length() + 2


def test_sum_of_pools_is_the_window_and_its_reduction() -> None:
    """The expanded graph of a pool is what the units compute."""
    x = Type((4, 4, 3), -4, 3)
    graph = Graph((("x", x),), (Node("y", SumPool2d((2, 2), (2, 2)), ("x",)),), ("y",))
    frames = {"x": np.random.default_rng(0).integers(-4, 4, (2, 4, 4, 3))}
    window, reduce = expand(graph).nodes
    values = run(expand(graph), frames, taps=(window.name,))
    unit = Reduce(reduce.op, expand(graph).types[window.name], (1, 1, 3, 4, 1))  # pyright: ignore
    got = run(unit.graph(), {"x": values[window.name]})["y"]
    assert np.array_equal(got, run(graph, frames)["y"])


def test_candidates_and_refusals() -> None:
    x = Type((4, 4, 6, 9, 1), 0, 15)
    tiles = {unit.tile for unit in Reduce.candidates(WindowReduce("max"), x)}
    assert {(1, 1, n, t, 1) for n in (1, 2, 3, 6) for t in (1, 3, 9)} <= tiles
    assert (1, 4, 6, 9, 1) in tiles
    pools = list(GlobalPool.candidates(GlobalSumPool(), Type((4, 4, 6), 0, 15)))
    assert {(u.lanes, u.pixels) for u in pools} == {(n, 1) for n in (1, 2, 3, 6)} | {(6, 2), (6, 4)}
    with pytest.raises(LayoutError, match="axis 2"):
        Reduce(WindowReduce("max"), x, (1, 1, 7, 1, 1))
    with pytest.raises(UnitError, match="not GlobalSumPool"):
        Reduce(GlobalSumPool(), x, (1, 1, 7, 1, 1))  # pyright: ignore[reportArgumentType]
