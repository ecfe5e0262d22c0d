"""Converter between two ways of cutting a tensor into beats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.compiler.graph import Graph, Node, Reshape, Type, Window
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Process, Schedule
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.mux import mux_levels, mux_luts, pick
from hwc.hw.units.parts import lookup, lookup_levels, lookup_luts, pipe, step_bits
from hwc.hw.units.repack.plan import RepackPlan, Routes, canonical
from hwc.hw.units.window.path import WindowPath
from hwc.hw.units.window.unit import LineBuffer, WindowFold

__all__ = ["Repack"]

BRAM_LUTS = 100
"""What half a block RAM counts when converters are compared."""

DIRECT_LEVELS = 4
"""Longest path through the converter for which it goes without a register of its own."""


@dataclass(frozen=True)
class Repack(Unit):
    """Beats of ``x`` in ``tile_in`` to beats of ``y`` in ``tile_out``: the same elements in
    row-major order, so ``y`` may be a reshaped ``x``; padding is dropped and put in.

    A static program of firings, each of which takes a beat, gives one, or both. Input beats go
    through a history of registers; each output element is picked from the places where the program
    ever needs it. The narrow side moves a beat in every firing, unless elements have to wait for
    each other (several pixels a beat on one side, not all their channels). Latency: 0, or 1 if
    the choice of the places is too deep for one cycle.

    Where only the number of pixels a beat changes and channels come in several chunks, a long
    history is dearer than a memory: then it is a line buffer of 1x1 windows, with its latency.
    """

    x: Type
    tile_in: tuple[int, ...]
    y: Type
    tile_out: tuple[int, ...]

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if x.size != y.size or x != y.with_shape(x.shape):
            raise UnitError(
                f"Repack: both sides carry the same integers, but x is {x} and y is {y}"
            )
        _ = self.inputs(), self.outputs()

    @staticmethod
    def free(x: Type, tile_in: tuple[int, ...], y: Type, tile_out: tuple[int, ...]) -> bool:
        """Whether the beats are the same, so that no converter is needed."""
        same = x.size == y.size and x == y.with_shape(x.shape)
        return same and canonical(x.shape, tile_in) == canonical(y.shape, tile_out)

    @cached_property
    def plan(self) -> RepackPlan:
        """Its programs."""
        return RepackPlan(self.x, self.tile_in, self.y, self.tile_out)

    @cached_property
    def buffer(self) -> LineBuffer | None:
        """The line buffer that does the work, if it is cheaper than a program."""
        channels = self.x.shape[-1]
        if self.x.shape != self.y.shape or len(self.x.shape) < 2:
            return None
        (*rows, pixels_in, lanes), (*others, pixels, lanes_out) = self.tile_in, self.tile_out
        moves = pixels != pixels_in and lanes == lanes_out < channels
        if not moves or set(rows + others) - {1}:
            return None
        shape = (self.x.size // channels // self.x.shape[-2], *self.x.shape[-2:])
        window, fold = Window((1, 1)), WindowFold(lanes, pixels_in, pixels)
        buffer = LineBuffer(window, self.x.with_shape(shape), fold)
        try:
            program = self._program_resources()
        except UnitError:
            return buffer
        cost = buffer.resources()
        dearer = program.lut + program.ff / 2 > cost.lut + cost.ff / 2 + BRAM_LUTS * cost.bram18
        return buffer if dearer else None

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", Reshape(self.y.shape), ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, self.tile_in)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.y, self.tile_out)}

    def schedule(self) -> Schedule:
        return self.buffer.schedule() if self.buffer else self._program_schedule()

    def _program_schedule(self) -> Schedule:
        sections = self.plan.sections
        nests = tuple(s.nest(str(k) if k else "") for k, s in enumerate(sections))
        return Schedule((Process("main", nests),), {"y": int(self.routes.late)})

    @cached_property
    def routes(self) -> Routes:
        """Where output elements come from: in the firing if that is quick enough."""
        direct = self.plan.routes(late=False)
        levels = 1 + self._select_levels(direct) + mux_levels(direct.most)
        return direct if levels <= DIRECT_LEVELS else self.plan.routes(late=True)

    def _select_levels(self, routes: Routes) -> float:
        """Levels to look up which way a step uses."""
        if routes.most == 1:
            return 0
        programs = self.plan.programs
        return lookup_levels(max(step_bits(p.steps) for p in programs)) + (len(programs) > 1)

    def levels(self) -> int:
        if self.buffer:
            return self.buffer.levels()
        routes = self.routes
        select, pick = self._select_levels(routes), mux_levels(routes.most)
        return math.ceil(max(select, pick, 1) if routes.late else 1 + select + pick)

    def resources(self) -> Resources:
        return self.buffer.resources() if self.buffer else self._program_resources()

    def _program_resources(self) -> Resources:
        routes, width = self.routes, self.x.width
        luts = sum(mux_luts(len(ways)) for ways in routes.ways) * width
        bits = sum(routes.registers()) * width
        for tables in routes.tables:
            size = step_bits(1 + max(map(max, tables)))
            luts += sum(lookup_luts(step_bits(len(table)), size) for table in tables)
            luts += size * (len(tables) > 1)
            bits += size * routes.late
        reads = () if routes.most <= 1 else ("step",)
        if any(len(tables) > 1 for tables in routes.tables):
            reads = ("block", "step")
        return control_resources(self._program_schedule(), reads) + Resources(luts, bits, 0, 0)

    def component(self) -> Datapath:
        return WindowPath(self, self.buffer.plan) if self.buffer else _Path(self)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u3, s2, pm = Type((1,), 0, 7), Type((1,), -2, 1), Type((1,), -1, 1, bipolar=True)
        for kind, a_shape, a, b_shape, b in (
            (u3, (12,), (3,), (12,), (4,)),  # each period of 12
            (s2, (35,), (8,), (35,), (3,)),  # a period, then a rest
            (pm, (49,), (8,), (49,), (10,)),
            (u3, (24,), (8,), (24,), (2,)),  # whole ratios down and up
            (s2, (24,), (1,), (24,), (6,)),
            (u3, (3, 4, 6), (1, 1, 4), (72,), (5,)),  # padding of each pixel dropped
            (u3, (60,), (7,), (3, 4, 5), (1, 1, 2)),  # and put in
            (u3, (3, 5, 4), (1, 1, 4), (3, 5, 4), (1, 2, 4)),  # pixels a beat
            (s2, (3, 5, 4), (1, 2, 2), (3, 5, 4), (1, 2, 4)),  # pixels keep side by side
            (u3, (3, 5, 4), (1, 2, 3), (3, 5, 4), (1, 1, 2)),  # and are put in order
            (pm, (3, 5, 4), (1, 3, 2), (60,), (4,)),
            (s2, (2, 40, 5), (1, 2, 3), (2, 40, 5), (1, 3, 2)),
            (u3, (2, 6, 90), (1, 1, 3), (2, 6, 90), (1, 4, 3)),  # a memory in between
            (u3, (2, 2, 3, 4, 2), (1, 1, 1, 2, 2), (2, 2, 3, 8), (1, 1, 1, 4)),
            (u3, (6,), (6,), (2, 3), (2, 3)),  # nothing to do
        ):
            yield cls(kind.with_shape(a_shape), a, kind.with_shape(b_shape), b)


class _Path(Datapath):
    """History of input beats, and a multiplexer for each output element."""

    def __init__(self, unit: Repack) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, routes, width = Module(), self.unit.routes, self.unit.x.width
        places = self._history(m)
        selects = [self._select(m, t, f"select_{k}") for k, t in enumerate(routes.tables)]
        parts: list[Value] = []
        for j, (ways, select) in enumerate(zip(routes.ways, routes.selects, strict=True)):
            values = {k: places[place] for k, place in enumerate(ways)}
            parts.append(pick(m, selects[select], values, f"y_{j}") if values else Const(0, width))
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m

    def _history(self, m: Module) -> dict[int, Value]:
        """Each place's value; registers move on when a beat is taken."""
        routes, width = self.unit.routes, self.unit.x.width
        takes = self._look([p.takes for p in self.unit.plan.programs], 1)
        places: dict[int, Value] = {}
        for element, count in enumerate(routes.registers()):
            value: Value = self.x["x"].word_select(element, width)
            line = [] if routes.late else [value]
            for n in range(count):
                stage = Signal(width, name=f"held_{element}_{n}", reset_less=True)
                with m.If(self.ctl["main"].fire & takes):
                    m.d.sync += stage.eq(value)
                value = stage
                line.append(value)
            places |= {n * routes.elements + element: v for n, v in enumerate(line)}
        return places

    def _select(self, m: Module, tables: Sequence[Sequence[int]], name: str) -> Value:
        """Number of the way that the output elements take which share these tables."""
        size = step_bits(1 + max(map(max, tables)))
        return pipe(m, self._look(tables, size), int(self.unit.routes.late), name)

    def _look(self, tables: Sequence[Sequence[int]], width: int) -> Value:
        """The entry of the current step in the table of the current program."""
        ctl, out = self.ctl["main"], Const(0, width)
        values = iter(tables)
        for k, section in enumerate(self.unit.plan.sections):
            (_, _), (block, _), (step, _) = section.loops(str(k) if k else "")
            value = _entry(ctl.index[step], next(values), width)
            if section.last is not None:
                value = Mux(ctl.last[block], _entry(ctl.index[step], next(values), width), value)
            out = Mux(ctl.nest == k, value, out) if k else value
        return out


def _entry(step: Value, table: Sequence[int], width: int) -> Value:
    return Const(table[0], width) if len(set(table)) == 1 else lookup(step, table, width)
