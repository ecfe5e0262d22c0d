"""Thresholds and requantization: every value of an interval, every form, every rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hwc.compiler.graph import Graph, GraphError, MultiThreshold, Node, Requant, Type, run
from hwc.hw.layout import LayoutError
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit, UnitError
from hwc.hw.units.act import ActSpec, edges, popcount_thresholds
from hwc.hw.units.activation import Activation
from hwc.hw.units.multiply import DspProduct
from hwc.hw.units.requant import RequantPipe
from hwc.hw.units.rom import Rom, rom_form

from .solo import check, firings, interval

Ints = NDArray[np.int64]


class Sweep(Activation):
    """An activation whose stimulus is every value of the input's interval in every channel."""

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        del rng
        values = np.arange(self.x.lo, self.x.hi + 1)
        pixels, channels = self.x.shape
        assert pixels * batch >= len(values)
        values = np.resize(values, batch * pixels).reshape(batch, pixels, 1)
        return {"x": np.broadcast_to(values, (batch, pixels, channels)).copy()}


def sweep(op: MultiThreshold | Requant, lo: int, hi: int, channels: int, tile: int = 1, **kw):
    """A unit that sees [lo, hi] in two frames."""
    pixels = (hi - lo + 2) // 2
    return Sweep(op, Type((pixels, channels), lo, hi), (1, tile), **kw)


def thresholds(rng: np.random.Generator, shape: tuple[int, int], lo: int, hi: int) -> Ints:
    return np.sort(rng.integers(lo, hi + 1, shape), axis=1)


@pytest.mark.parametrize("form", ["parallel", "search"])
@pytest.mark.parametrize("levels", [1, 3, 6, 15])
def test_thresholds_everywhere(form: str, levels: int) -> None:
    """Both directions, thresholds never and always reached, equal ones, at every value."""
    table = thresholds(np.random.default_rng(levels), (3, levels), -35, 38)
    table[0, 0], table[1, -1] = -(2**40), 2**40
    table[2] = np.sort(np.where(np.arange(levels) % 2, table[2, 0], table[2]))
    op = MultiThreshold(table, (False, True, True), lo=-3, step=2)
    check(sweep(op, -32, 33, 3, 2, form=form), batch=2)


@pytest.mark.parametrize("x", [(0, 34), (-33, -1), (5, 9)])
@pytest.mark.parametrize("form", ["parallel", "search"])
def test_thresholds_at_the_ends_of_the_interval(form: str, x: tuple[int, int]) -> None:
    lo, hi = x
    op = MultiThreshold([[lo - 1, lo, hi], [lo, hi, hi + 1]], (False, True))
    check(sweep(op, lo, hi, 2, form=form), batch=2)


def test_many_levels_take_as_many_cycles_as_bits() -> None:
    table = thresholds(np.random.default_rng(0), (1, 255), 0, 2**20)
    spec = ActSpec(MultiThreshold(table), Type((4,), 0, 2**20), 1)
    assert spec.latency == 8
    assert spec.resources().lut < 1500, "255 comparators of 21 bits would be 1800 at least"


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize("ends", [(-15, 15), (-16, 15), (0, 14), (-7, 8), (3, 9), (-200, 200)])
def test_roundings_at_every_tie(rounding: str, ends: tuple[int, int]) -> None:
    """Odd and even limits: at an odd lower one a tie would round below it."""
    m, b = [4, 12, -4, 2], [0, 8, -4, 8]
    op = Requant(m, b, 4, *ends, rounding)  # pyright: ignore[reportArgumentType]
    check(sweep(op, -66, 67, 4, 2), batch=2)


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize(("lo", "hi"), [(-33, 34), (-36, 39), (-35, 36)])
def test_saturation_of_a_single_code(rounding: str, lo: int, hi: int) -> None:
    """One code beyond each limit is enough to need it."""
    wide = Requant([1], [0], 2, -100, 100, rounding)  # pyright: ignore[reportArgumentType]
    ends = wide.reference(np.array([[lo], [hi]]))
    low, high = int(ends.min()), int(ends.max())
    for limits in ((low + 1, high - 1), (low, high), (low - 1, high + 1), (high + 1, high + 9)):
        op = Requant([1], [0], 2, *limits, rounding)  # pyright: ignore[reportArgumentType]
        check(sweep(op, lo, hi, 1), batch=2, stall=0)


@pytest.mark.parametrize("form", ["parallel", "search"])
def test_constants_that_all_channels_share(form: str) -> None:
    check(sweep(MultiThreshold([[-20, 0, 3, 9]], (True,)), -30, 30, 3, 2, form=form), batch=2)
    signs = Activation(MultiThreshold([[1]]), Type((8,), -1, 1, True), (2,), form=form)  # pyright: ignore
    check(signs, batch=4)
    check(Activation(Requant([3], [1], 1, -2, 2), Type((8,), -1, 1, True), (2,)), batch=4)


@pytest.mark.parametrize("style", ["auto", "lut", "dsp"])
@pytest.mark.parametrize("tile", [1, 3])
def test_requantization_in_all_styles(style: str, tile: int) -> None:
    rng = np.random.default_rng(3)
    m, b = rng.integers(-(2**16), 2**16, 3), rng.integers(-(2**24), 2**24, 3)
    op = Requant(m, b, 15, -127, 127)
    check(sweep(op, -90, 90, 3, tile, style=style), batch=2)


def test_common_factors_of_two_cost_nothing() -> None:
    op = Requant([3 << 20, 5 << 20], [7 << 20, 0], 24, -127, 127)
    pipe = RequantPipe(op, ActSpec(op, Type((2,), 0, 9), 1).pipe.product.x, 2, 1)  # pyright: ignore
    assert pipe.shift == 4
    assert pipe.constants == ((3, 7 + 8), (5, 8))
    check(sweep(op, -60, 60, 2), batch=2)


@pytest.mark.parametrize(
    ("x", "m", "blocks"),
    [(18, 25, 1), (19, 25, 2), (25, 18, 1), (25, 19, 2), (26, 18, 2), (40, 24, 3)],
)
def test_wide_products_take_more_blocks(x: int, m: int, blocks: int) -> None:
    half = 1 << x - 1
    op = Requant([(1 << m - 1) - 1, -(1 << m - 1)], [0], 44, -128, 127)
    unit = Activation(op, Type((2,), -half, half - 1), (1,), "dsp")
    product = unit.spec.pipe.product  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(product, DspProduct)
    assert product.blocks == blocks == unit.resources().dsp
    check(unit, batch=20)


def test_popcount_thresholds_are_exact() -> None:
    """For every count p of n signs: reached in terms of 2p - n, and in terms of p."""
    rng = np.random.default_rng(5)
    for n in (1, 2, 7, 8):
        x = 2 * np.arange(n + 1)[:, None] - n
        for down in ((False,), (True,), (False, True, True)):
            channels = len(down)
            table = thresholds(rng, (channels, 4), -n - 3, n + 3)
            op = MultiThreshold(table, down)
            moved = popcount_thresholds(op, n)
            want = op.reference(np.broadcast_to(x, (n + 1, channels)))
            p = np.broadcast_to(np.arange(n + 1)[:, None], (n + 1, channels))
            assert np.array_equal(moved.reference(p), want), (n, down)
    shared = popcount_thresholds(MultiThreshold([[0]], (False, True)), 3)
    assert shared.thresholds.values.tolist() == [[2], [1]]


def test_stimulus_aims_at_the_edges_of_the_output() -> None:
    """One input in three is the last below a threshold or the first at it."""
    rng = np.random.default_rng(0)
    op = MultiThreshold(thresholds(rng, (5, 3), -(2**20), 2**20))
    unit = Activation(op, Type((40, 5), -(2**21), 2**21), (1, 1))
    x = unit.stimulus(rng, 4)["x"]
    t = op.thresholds.values
    near = np.abs(x[..., None] - t).min(-1)
    assert (near <= 1).mean() > 1 / 3
    requant = Requant([3], [1], 4, -20, 20)
    at = edges(requant, Type((1,), -5000, 5000), np.zeros(400, int), rng)
    (same,) = run(_graph(requant), {"x": np.clip(at - 1, -5000, 5000)[:, None]}).values()
    (code,) = run(_graph(requant), {"x": at[:, None]}).values()
    assert (same != code).mean() > 0.2
    assert {-20, 20} <= set(code.ravel().tolist())


def _graph(op: Requant) -> Graph:
    return Graph((("x", Type((1,), -5000, 5000)),), (Node("y", op, ("x",)),), ("y",))


def test_one_beat_a_cycle() -> None:
    for unit in (
        sweep(MultiThreshold([[0, 3, 9]]), -9, 9, 5, 2),
        sweep(Requant([5], [3], 3, -7, 7), -9, 9, 5, 2, style="dsp"),
    ):
        assert interval(unit) == firings(unit) == unit.inputs()["x"].beats
        process, *_ = unit.schedule().processes
        assert unit.schedule().latency["y"] == unit.spec.lead + unit.spec.latency
        assert process.firings == 10 * 3


def test_latency_formula() -> None:
    """As the docstrings say: a cycle per bit, three for a block, one to pick the code."""
    x = Type((6,), -1000, 1000)
    rng = np.random.default_rng(1)
    op = MultiThreshold(thresholds(rng, (6, 15), -900, 900))
    assert Activation(op, x, (2,), form="search").schedule().latency["y"] == 1 + 4
    assert Activation(op, x, (2,), form="parallel").schedule().latency["y"] == 1 + 1
    slow = Activation(op, x, (2,), form="parallel", max_levels=3)
    assert slow.schedule().latency["y"] == 1 + 2
    steep = Requant(rng.integers(2**15, 2**16, 6), [0], 20, 0, 255)
    assert Activation(steep, x, (2,), "dsp").schedule().latency["y"] == 3 + 1


def test_alike_channels_need_no_table() -> None:
    one = ActSpec(MultiThreshold([[1, 5, 9]]), Type((512,), 0, 20), 1)
    each = ActSpec(MultiThreshold(np.tile([1, 5, 9], (512, 1))), Type((512,), 0, 20), 1)
    assert one.resources() == each.resources()
    differ = np.tile([1, 5, 9], (512, 1))
    differ[3, 0] = 2
    other = ActSpec(MultiThreshold(differ), Type((512,), 0, 20), 1)
    assert other.resources().lut > one.resources().lut


def test_memory_is_counted_in_whole_blocks() -> None:
    assert Rom(36, 512, "bram").resources() == Resources(0, 0, 0, 1)
    assert Rom(37, 512, "bram").resources().bram18 == 2
    assert Rom(36, 513, "bram").resources().bram18 == 2
    assert Rom(8, 1).resources() == Resources.zero()
    assert Rom(16, 64).resources() == Resources(16, 16, 0, 0)
    assert Rom(16, 256).resources().lut == round(16 * 6.2), "as yosys maps it, not 64 bits a LUT"
    assert Rom(64, 2).resources().lut == 0, "a bit of two words is constant or the address"
    assert rom_form(16, 64) == "lutrom"
    assert rom_form(18, 1024) == "bram"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda t: t(tile=(1, 9)), LayoutError, r"takes 1\.\.5, not 9"),
        (
            lambda t: t(op=MultiThreshold([[1]] * 4)),
            GraphError,
            "thresholds must have 1 entry or 5",
        ),
        (lambda t: t(max_levels=1), UnitError, "at least 1 copy and 3 levels, not 3 and 1"),
        (
            lambda t: t(op=Requant([2**30 + 1], [0], 30, 0, 9), style="dsp"),
            UnitError,
            r"multipliers of 32 bits .* up to 25 .* 'lut' and 'auto' take any",
        ),
    ],
)
def test_errors_name_what_is_legal(make, error: type[Exception], message: str) -> None:
    unit = Activation(MultiThreshold([[1]]), Type((4, 5), 0, 9), (3, 5))
    with pytest.raises(error, match=message):
        make(lambda **kw: replace(unit, **kw))


def test_candidates_cover_serial_to_parallel() -> None:
    op, x = MultiThreshold([[1, 2, 3]]), Type((6, 5, 12), 0, 9)
    units: list[Unit] = list(Activation.candidates(op, x))
    beats = [unit.inputs()["x"].beats for unit in units]
    assert beats == sorted(set(beats), reverse=True)
    assert (beats[0], beats[-1]) == (360, 6)
    assert len(list(Activation.candidates(op, x, limit=3))) == 3
