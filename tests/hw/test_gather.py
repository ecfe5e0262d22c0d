"""Rearrangements: every form, depth and word on maps of odd sizes, and at the full rate."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hwc.compiler.graph import Add, Gather, GraphError, Type
from hwc.hw.unit import UnitError
from hwc.hw.units.gather.examples import depth_to_space, grid, moved, stretched, transposed
from hwc.hw.units.gather.plan import GatherPlan, Words, run_tile, word_sizes
from hwc.hw.units.gather.unit import GatherFold, GatherUnit
from hwc.sim.timing import simulate

from .solo import check, firings, interval, solo

U3 = Type((5, 4, 6), 0, 7)
PM = Type((4, 4, 8), -1, 1, bipolar=True)


def unit(op: Gather, x: Type, taken: int, given: int, depth: int = 0) -> GatherUnit:
    return GatherUnit(op, x, GatherFold(taken, given, depth))


OPS = {
    "transpose": transposed(U3, 1, 0, 2),
    "channels first": transposed(U3, 2, 0, 1),
    "upsample": stretched(U3, 2),
    "upsample 3": stretched(U3, 3),
    "reverse": moved(grid(U3)[::-1, :, ::-1]),
    "crop": moved(grid(U3)[1:4, 1:]),
    "repeat and crop": moved(grid(U3)[:4].repeat(2, 1)),
    "every other": moved(grid(U3)[::2, ::2, ::2]),
    "shuffle": moved(grid(U3).reshape(5, 4, 2, 3).swapaxes(2, 3).reshape(5, 4, 6)),
    "flatten": moved(grid(U3).transpose(2, 0, 1).ravel()),
    "pad": moved(np.pad(grid(U3), ((1, 2), (0, 3), (0, 0)), constant_values=-1), 8),
    "zeros below": moved(np.pad(grid(U3), ((0, 2), (0, 0), (0, 2)), constant_values=-1), -3),
    "roll": moved(np.roll(grid(U3), 7)),
    "last only": moved(grid(U3)[4, 3:, 5:]),
    "anything": moved(np.random.default_rng(1).integers(0, 120, 200)),
    "anything and fill": moved(np.random.default_rng(2).integers(-40, 120, 190).clip(-1), 9),
    "one many times": moved(np.full((3, 50), 77)),
}


@pytest.mark.parametrize("name", OPS)
def test_all_folds_are_exact_and_keep_the_rate(name: str) -> None:
    units = list(GatherUnit.candidates(OPS[name], U3))
    assert len({u.fold for u in units}) == len(units) >= 1
    for k, u in enumerate(units[:: max(1, len(units) // 6)]):
        check(u, k, batch=4, stall=0.4 * (k % 2))
        assert interval(u) == firings(u) == max(u.plan.taken, u.plan.given), u.describe()


@pytest.mark.parametrize("name", OPS)
def test_every_depth_is_exact(name: str) -> None:
    """The shallowest memory that does not deadlock and all others: no word is lost or stale."""
    u = next(u for u in GatherUnit.candidates(OPS[name], U3))
    legal = u.plan.ring.legal
    assert u.plan.ring.depth in legal
    for depth in legal:
        check(unit(u.op, u.x, u.fold.taken, u.fold.given, depth), depth, batch=4, stall=0.3)
    with pytest.raises(UnitError, match=r"depth must be 0 \(automatic\) or one of \["):
        unit(u.op, u.x, u.fold.taken, u.fold.given, legal[0] - 1)


def test_depths_that_deadlock_are_not_legal() -> None:
    """A block of five words waits for its last one, which goes where the first one lies."""
    x = Type((64, 5), 0, 3)
    u = unit(moved(grid(x)), x, 1, 1, 8)
    assert (u.form, u.plan.ring.blocks, u.plan.ring.legal[0]) == ("store", 64, 8)
    check(u, 0, batch=2, stall=0.3)
    with pytest.raises(UnitError, match=r"one of \[8, 16, .*got 4"):
        unit(moved(grid(x)), x, 1, 1, 4)


def random_op(rng: np.random.Generator) -> tuple[Gather, Type]:
    """Anything: permutations, picks, fill, in words of one to six elements."""
    word, count, given = int(rng.integers(1, 7)), int(rng.integers(1, 41)), int(rng.integers(1, 61))
    x = Type((count, word), int(rng.integers(-9, 1)), int(rng.integers(1, 9)))
    words = rng.integers(0, count, given)
    match rng.integers(0, 3):
        case 0:
            words = np.sort(words)
        case 1:
            words = np.arange(given) % count
        case _:
            pass
    some = rng.random(given) < 0.2 * rng.integers(0, 2)
    some[rng.integers(0, given)] = False
    index = np.where(some[:, None], -1, words[:, None] * word + rng.permutation(word))
    return moved(index, int(rng.integers(-12, 12))), x


@pytest.mark.parametrize("seed", range(40))
def test_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op, x = random_op(rng)
    units = list(GatherUnit.candidates(op, x))
    assert units, (op, x)
    u = units[int(rng.integers(len(units)))]
    check(u, seed, batch=4, stall=0.4 * (seed % 2))
    assert interval(u) == firings(u), u.describe()


def test_forms() -> None:
    """What needs no memory has none."""
    channels = moved(grid(U3)[:, :, [4, 1, 1]])
    assert [u.form for u in (unit(channels, U3, 6, 3), unit(channels, U3, 24, 12))] == ["pass"] * 2
    assert unit(moved(grid(U3)[1:3, :, 2:4]), U3, 2, 2).form == "pass"
    assert unit(moved(grid(U3).repeat(2, 1)), U3, 6, 6).form == "hold"
    assert unit(moved(grid(U3).repeat(2, 1)), U3, 6, 12).form == "pass"
    spread = np.full((10, 8, 6), -1)
    spread[::2, ::2] = grid(U3)
    assert unit(moved(spread), U3, 6, 6).form == "hold"
    assert unit(stretched(U3, 2), U3, 6, 6).form == "store"


def test_nothing_leaves_before_its_frame_is_there() -> None:
    """Fill in front waits for the first word."""
    front = moved(np.pad(grid(U3), ((1, 0), (0, 0), (0, 0)), constant_values=-1))
    assert unit(front, U3, 6, 6).form == "store"
    assert int(unit(front, U3, 6, 6).plan.ring.needs.min()) == 1


def test_local_moves_keep_rows_and_no_frame() -> None:
    tall = Type((64, 16, 8), 0, 15)
    up, down = unit(stretched(tall, 2), tall, 8, 8), unit(depth_to_space(tall, 2), tall, 4, 4)
    assert up.plan.ring.depth <= 64
    assert down.plan.ring.depth <= 128
    turned = unit(transposed(tall, 1, 0, 2), tall, 8, 8)
    assert turned.plan.ring.depth == 2 * 64 * 16


def test_nests_are_found_and_the_rest_has_a_rom() -> None:
    tall = Type((64, 16, 8), 0, 15)
    nest = unit(transposed(tall, 2, 1, 0), tall, 1, 1).plan.nest
    assert nest is not None
    assert nest.loops == (("l0", 8), ("l1", 16), ("l2", 64))
    assert (nest.place.over(nest.loops) == transposed(tall, 2, 1, 0).index.values).all()
    odd = moved(np.random.default_rng(0).permutation(997))
    assert unit(odd, Type((997,), 0, 3), 1, 1).plan.nest is None


def test_first_beat_leaves_as_soon_as_its_words_are_there() -> None:

    def first(op: Gather) -> int:
        u = unit(op, U3, 6, 6)
        return int(simulate(solo(u), 1).cycles["y"][0]) - u.latency

    early, late = first(stretched(U3, 2)), first(moved(grid(U3)[::-1]))
    assert early == 3, "transfer of x, its firing, the firing of y, its transfer"
    assert late - early == 4 * 4, "the last row comes after all others"


def test_tiles_of_neighbours() -> None:
    assert [run_tile((5, 4, 6), n) for n in (1, 3, 6, 12, 24, 120)] == [
        (1, 1, 1),
        (1, 1, 3),
        (1, 1, 6),
        (1, 2, 6),
        (1, 4, 6),
        (5, 4, 6),
    ]
    assert [run_tile((5, 4, 6), n) for n in (0, 4, 9, 18, 48)] == [None] * 5
    sizes = word_sizes((5, 4, 6))
    assert sizes == [n for n in range(1, 121) if run_tile((5, 4, 6), n)]


def test_words_of_an_index() -> None:
    words = Words.of(np.array([4, 5, -1, 2, 3, -1, -1, -1, -1]), 2, 3)
    assert words is not None
    assert words.place.tolist() == [2, 1, -1]
    assert words.pattern == (0, 1, -1)
    assert Words.of(np.array([0, 1, 3, 2]), 2, 2) is None, "in another order"
    assert Words.of(np.array([0, 2, 1, 3]), 2, 2) is None, "of two words"
    assert Words.of(np.array([0, 1, 2, -1]), 2, 2) is None, "partly fill"
    assert GatherPlan(words, 3, 4, 0).used == (0, 1)


def test_large_maps_are_planned_quickly() -> None:
    x = Type((112, 112, 64), 0, 15)
    start = time.perf_counter()
    count = len([u.resources() for u in GatherUnit.candidates(stretched(x, 2), x)])
    assert count > 4
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unit(Add(), U3, 1, 1), "the op is Gather, not Add"),  # pyright: ignore
        (
            lambda: unit(OPS["crop"], U3, 4, 4),
            r"taken must be .* in \(5, 4, 6\): .* got 4",
        ),
        (
            lambda: unit(OPS["crop"], U3, 6, 9),
            r"given must be .* in \(3, 3, 6\): .* got 9",
        ),
        (
            lambda: unit(OPS["channels first"], U3, 2, 2),
            r"output beats of 2 elements are not all made alike .* of 2; legal .*\[\(1, 1\)",
        ),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        make()
    with pytest.raises(GraphError, match="index must be in"):
        unit(OPS["crop"], Type((2, 2, 2), 0, 1), 1, 1)
