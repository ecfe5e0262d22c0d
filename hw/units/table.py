"""Any function of an element, looked up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, TypeVar

import numpy as np
from amaranth.hdl import Cat, Const, Module

from hwc.compiler.graph import Graph, Node, Table, Type
from hwc.hw.layout import Layout
from hwc.hw.memory import bram18
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Ints, Resources, Unit, UnitError, extremes
from hwc.hw.units.control import control_resources
from hwc.hw.units.parts import step_bits
from hwc.hw.units.rom import LUTS_A_BRAM, Rom
from hwc.hw.units.truth import padded, truth_bits, truth_levels, truth_luts

__all__ = ["TableUnit"]

Form = Literal["auto", "lut", "bram"]
Made = TypeVar("Made", bound="TableUnit")

LUT_ADDRESS = 12
"""Bits of the widest address that is looked up in LUTs."""


@dataclass(frozen=True)
class TableUnit(Unit):
    """Graph op ``Table`` on each beat of ``x``, beat by beat.

    Ports ``x`` and ``y`` have the same tile: ``tile[-1]`` channels side by side, the rest pixels.
    The bits of an element, and the channel step where a lane serves several channels that differ,
    address a table: truth tables in LUTs with a register behind, or block RAM. Latency: 1 cycle.
    ``form`` auto takes the cheaper of the two among those within ``max_levels``.
    """

    op: Table
    x: Type
    tile: tuple[int, ...]
    form: Form = "auto"
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, Table):
            raise UnitError(f"TableUnit: the op is Table, not {type(self.op).__name__}")
        _ = self.op.infer(self.x), self.inputs()
        if self.form not in ("auto", "lut", "bram"):
            raise UnitError(f"TableUnit: form must be auto, lut or bram, got {self.form!r}")
        if self.form == "lut" and self.address_bits > LUT_ADDRESS:
            raise UnitError(
                f"TableUnit: form lut takes addresses of up to {LUT_ADDRESS} bits, this one has "
                f"{self.address_bits}; legal: auto, bram"
            )

    @cached_property
    def y(self) -> Type:
        """Type of the result."""
        return self.op.infer(self.x)

    @cached_property
    def codes(self) -> Ints:
        """``[row, wire bits of x]``: wire bits of y; rows as in the op, inputs that cannot be
        repeat the nearest that can."""
        x, layout = self.x, self.inputs()["x"]
        found = self.op.reached(x)
        values = layout.decode(np.arange(1 << x.width))
        near = np.clip(values, x.lo, x.hi) - x.lo
        return self.outputs()["y"].encode(found[:, near // 2 if x.bipolar else near])

    @cached_property
    def steps(self) -> int:
        """Channels that a lane serves in turn, as far as they differ; else 1."""
        lanes, channels = self.tile[-1], self.x.shape[-1]
        if len(self.codes) == 1 or bool((self.codes == self.codes[0]).all()):
            return 1
        return -(-channels // lanes)

    @property
    def address_bits(self) -> int:
        """Of each element's table."""
        return self.x.width + step_bits(self.steps)

    def words(self, lane: int) -> Ints:
        """``[address]``: the table of a lane, channel step in the upper bits.

        Past the last channel, that one is repeated.
        """
        last = len(self.codes) - 1
        rows = [min(step * self.tile[-1] + lane, last) for step in range(self.steps)]
        return self.codes[rows].ravel()

    @cached_property
    def chosen(self) -> Literal["lut", "bram"]:
        """The form that it has."""
        if self.form != "auto":
            return self.form
        if self.address_bits > LUT_ADDRESS or truth_levels(self.address_bits) > self.max_levels:
            return "bram"
        depth = self.steps << self.x.width
        limit = LUTS_A_BRAM * self.tile[-1] * bram18(self.y.width, depth)
        return "lut" if sum(self._luts) <= limit else "bram"

    @cached_property
    def _luts(self) -> list[int]:
        """LUTs of a table of each lane."""
        size = 1 << self.address_bits
        tables = [padded(self.words(n), size) for n in range(self._different)]
        return [truth_luts(t, self.y.width) for t in tables] * (self.tile[-1] // self._different)

    @property
    def _different(self) -> int:
        """Lanes that may have tables of their own."""
        return 1 if self.steps == 1 and len(set(map(bytes, self.codes))) == 1 else self.tile[-1]

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, self.tile)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.y, self.tile)}

    def schedule(self) -> Schedule:
        *outer, channel = self.inputs()["x"].steps
        nest = Nest(
            loops=(("pixel", math.prod(outer)), ("channel", channel)),
            takes={"x": Mask.always()},
            gives={"y": Mask.always()},
        )
        return Schedule.single(nest, 1)

    def resources(self) -> Resources:
        lanes, copies = self.tile[-1], math.prod(self.tile[:-1])
        control = control_resources(self.schedule(), ("channel",) if self.steps > 1 else ())
        if self.chosen == "bram":
            rom = Rom(self.y.width, self.steps << self.x.width, "bram")
            return control + rom.resources() * (lanes * copies)
        bits = sum(truth_bits(self.words(n), self.y.width) for n in range(self._different))
        bits *= lanes // self._different
        return control + Resources(sum(self._luts), bits, 0, 0) * copies

    def levels(self) -> int:
        return 1 if self.chosen == "bram" else math.ceil(truth_levels(self.address_bits))

    def component(self) -> Datapath:
        return _Path(self)

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        """Every other frame runs through all inputs, which extremes and chance would not."""
        x = extremes(self.x, rng, batch)
        if not self.x.bipolar:
            run = np.arange(batch * self.x.size).reshape(x.shape) % (self.x.hi - self.x.lo + 1)
            x[::2] = (run + self.x.lo)[::2]
        return {"x": x}

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield from _examples(cls)


class _Path(Datapath):
    def __init__(self, unit: TableUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, u = Module(), self.unit
        step = self.ctl["main"].index["channel"] if u.steps > 1 else Const(0, 0)
        rom = Rom(u.y.width, u.steps << u.x.width, "bram" if u.chosen == "bram" else "lutrom")
        words = [u.words(lane).tolist() for lane in range(u.tile[-1])]
        parts = []
        for i in range(math.prod(u.tile)):
            code = self.x["x"].word_select(i, u.x.width)
            parts.append(rom.build(m, words[i % len(words)], Cat(code, step), f"table_{i}"))
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m


def _examples(make: type[Made]) -> Iterator[Made]:
    rng = np.random.default_rng(3)

    def table(rows: int, ends: tuple[int, int], span: tuple[int, int]) -> Table:
        return Table(rng.integers(*span, (rows, ends[1] - ends[0] + 1)), ends[0])

    s5, u6, s9, odd = (-16, 15), (0, 63), (-256, 255), (-5, 17)
    pm = Type((3, 7), -1, 1, bipolar=True)
    for ends, rows, span, shape, tile in (
        (s5, 1, (-100, 100), (3, 4, 7), (1, 1, 3)),
        (s5, 7, (0, 9), (3, 4, 7), (1, 2, 7)),
        (s5, 7, (-3, 3), (3, 4, 7), (1, 3, 2)),
        (odd, 5, (-40, 0), (9, 5), (2, 1)),
        (odd, 5, (3, 300), (9, 5), (2, 3)),
        (u6, 1, (0, 2), (50,), (8,)),
        (u6, 70, (0, 9), (70,), (1,)),
        ((7, 7), 3, (-3, 9), (4, 3), (1, 2)),
    ):
        yield make(table(rows, ends, span), Type(shape, *ends), tile)
    yield make(table(1, s9, (-128, 128)), Type((11, 30), *s9), (2, 3))
    yield make(table(30, s9, (-128, 128)), Type((4, 30), *s9), (1, 7), form="bram")
    yield make(Table([[5, 99, 5], [6, 0, -7], [1, 0, 2]] * 2 + [[0, 0, 9]], -1), pm, (1, 4))
    yield make(Table([1, 0, -1], -1), pm, (3, 4))
    yield make(Table(np.where(rng.random(32) < 0.5, -1, 1), -16), Type((6, 5), *s5), (1, 5))
