"""Tables: every input in every channel, both forms, tails and inputs that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import Add, GraphError, Table, Type
from hwc.hw.layout import LayoutError
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit, UnitError
from hwc.hw.units.table import TableUnit
from hwc.hw.units.truth import padded, truth_bits, truth_luts

from .solo import check, firings, interval

Ints = np.ndarray


class Sweep(TableUnit):
    """A unit whose frames show every input in every channel, in another order in each."""

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        values = np.arange(self.x.lo, self.x.hi + 1, 2 if self.x.bipolar else 1)
        pixels, channels = self.x.shape
        assert pixels * batch >= len(values)
        x = [np.resize(rng.permutation(values), batch * pixels) for _ in range(channels)]
        return {"x": np.stack(x, -1).reshape(batch, pixels, channels)}


def sweep(values: Ints, lo: int, hi: int, tile: tuple[int, int], channels: int = 5, **kw) -> Sweep:
    """A unit that sees [lo, hi] in two frames; the table begins two below lo."""
    kind = Type(((hi - lo + 2) // 2, channels), lo, hi)
    return Sweep(Table(values, lo - 2), kind, tile, **kw)


def random(rows: int, count: int, lo: int, hi: int, seed: int = 0) -> Ints:
    return np.random.default_rng(seed).integers(lo, hi + 1, (rows, count + 4))


@pytest.mark.parametrize("form", ["lut", "bram"])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("ends", [(-16, 15), (0, 31), (-5, 17), (-40, -3), (9, 44), (7, 7)])
@pytest.mark.parametrize("tile", [(1, 1), (1, 3), (1, 5)])
def test_every_input(form: str, rows: int, ends: tuple[int, int], tile: tuple[int, int]) -> None:
    values = random(rows, ends[1] - ends[0] + 1, -100, 90)
    check(sweep(values, *ends, tile, form=form), 1, batch=2, stall=0.3)


@pytest.mark.parametrize("span", [(0, 1), (-1, 0), (0, 300), (-300, -1), (5, 5), (-(2**40), 2**40)])
@pytest.mark.parametrize("form", ["lut", "bram"])
def test_every_width_of_the_output(span: tuple[int, int], form: str) -> None:
    check(sweep(random(5, 24, *span), -12, 11, (2, 2), form=form), 2, batch=2, stall=0)


@pytest.mark.parametrize("form", ["lut", "bram"])
def test_bipolar_both_ways(form: str) -> None:
    kind = Type((4, 3), -1, 1, bipolar=True)
    wide = Table([[7, 99, -3], [1, -99, 2], [0, 5, 0]], -1)
    for op in (wide, Table([1, 0, -1], -1), Table([[-1, 0, 1], [1, 5, -1], [1, 0, 1]], -1)):
        for tile in ((1, 1), (2, 2), (4, 3)):
            check(Sweep(op, kind, tile, form=form), 3, batch=4, stall=0)  # pyright: ignore
    sign = Sweep(Table([1, 1, -1, 1], 0), Type((2, 3), 0, 3), (1, 2), form=form)  # pyright: ignore
    assert sign.outputs()["y"].width == 2
    check(sign, 3, batch=4, stall=0)


def test_ten_bits() -> None:
    x = np.arange(-512, 512) / 64
    op = Table(np.round(255 / (1 + np.exp(-x))).astype(int), -512)
    for form in ("lut", "bram"):
        kind = Type((128, 4), -512, 511)
        check(Sweep(op, kind, (2, 4), form=form), 4, batch=8, stall=0)


def test_a_beat_each_cycle() -> None:
    for tile in ((1, 2), (3, 5)):
        unit = sweep(random(5, 16, 0, 9), 0, 15, tile)
        assert unit.schedule().latency == {"y": 1}
        assert interval(unit) == firings(unit) == unit.inputs()["x"].beats


def test_the_cheaper_form_is_taken() -> None:
    """A few LUTs against a block RAM; a channel step adds to the address."""

    def chosen(bits: int, rows: int, tile: tuple[int], **kw) -> tuple[str, int]:
        half = 1 << bits - 1
        values = np.random.default_rng(bits).integers(0, 256, (rows, 2 * half))
        unit = TableUnit(Table(values, -half), Type((64,), -half, half - 1), tile, **kw)
        return unit.chosen, unit.address_bits

    assert chosen(6, 1, (4,)) == ("lut", 6)
    assert chosen(8, 1, (4,)) == ("lut", 8)
    assert chosen(10, 1, (4,)) == ("bram", 10)
    assert chosen(6, 64, (64,)) == ("lut", 6)
    assert chosen(6, 64, (8,)) == ("lut", 9)
    assert chosen(6, 64, (1,)) == ("bram", 12)
    assert chosen(8, 1, (4,), max_levels=2) == ("bram", 8)
    alike = TableUnit(Table([[1, 0]] * 64, 0), Type((64,), 0, 1), (8,))
    assert (alike.steps, alike.address_bits) == (1, 1)


def test_truth_tables_cost_what_their_contents_need() -> None:
    index = np.arange(256)
    assert truth_luts(index, 8) == 0, "wires"
    assert truth_bits(index, 8) == 8
    assert truth_luts(index & 7, 8) == 0
    assert truth_bits(index & 7, 8) == 3
    assert truth_luts(index * 0 + 5, 8) == truth_bits(index * 0 + 5, 8) == 0
    assert truth_luts(255 - index, 8) == 0, "inverters"
    assert truth_luts(index[:4] == 3, 1) == 0, "one input resets a register of the other"
    assert truth_luts(index[:8] == 7, 1) == 1
    noise = np.random.default_rng(0).integers(0, 16, 256)
    assert truth_luts(noise[:64], 4) == 4
    assert truth_luts(noise[:128], 4) == 12
    assert truth_luts(noise * 17, 8) == truth_luts(noise, 4), "equal bits are one"
    assert truth_luts(padded(noise[:160], 256), 4) < truth_luts(noise, 4)
    assert (padded(noise[:160], 256)[:160] == noise[:160]).all()


def test_resources_grow_with_copies() -> None:
    values = random(1, 32, 0, 255)
    one, four = (sweep(values, 0, 31, (n, 5), form="bram") for n in (1, 4))
    assert four.resources().bram18 == 4 * one.resources().bram18 == 20
    assert one.resources() == Resources(1, 1, 0, 5)


def build(op: object, **kw) -> Unit:
    return TableUnit(op, Type((4, 8), -8, 7), (1, 2), **kw)  # pyright: ignore


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: build(Add()), UnitError, "the op is Table, not Add"),
        (lambda: build(Table(range(15), -8)), GraphError, r"take inputs in \[-8, 6\]"),
        (
            lambda: build(Table(range(16), -8), form="rom"),
            UnitError,
            "form must be auto, lut or bram, got 'rom'",
        ),
        (
            lambda: TableUnit(Table(range(2**13), 0), Type((4,), 0, 2**13 - 1), (2,), form="lut"),
            UnitError,
            "form lut takes addresses of up to 12 bits, this one has 13; legal: auto, bram",
        ),
        (
            lambda: TableUnit(Table([1, 0], 0), Type((4,), 0, 1), (5,)),
            LayoutError,
            r"takes 1\.\.4, not 5",
        ),
    ],
)
def test_errors(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
