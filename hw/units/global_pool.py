"""Pooling over whole maps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import memory

from hwc.compiler.graph import GlobalMaxPool, GlobalSumPool, Graph, Node, Type
from hwc.hw.layout import Layout
from hwc.hw.memory import bram18, lutram
from hwc.hw.queue import queue_form
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.parts import pipe, pipe_resources, step_bits
from hwc.hw.units.reducer import Reducer, split

__all__ = ["GlobalPool"]


@dataclass(frozen=True)
class GlobalPool(Unit):
    """Graph op ``GlobalSumPool`` or ``GlobalMaxPool`` on ``x`` (..., C): (C,).

    Port ``x`` has the tile (1, ..., pixels, lanes), port ``y`` (lanes,). Every beat is folded into
    one accumulator per channel as it comes, and the beats of the last pixels give: the result is
    there as soon as the last input is. The accumulators are registers if a beat has all channels,
    else words of a memory, read for a firing and written one cycle later.
    Latency: the tree over the pixels of a beat and 1; with a memory at least 1, but no more than
    the tree.
    """

    op: GlobalSumPool | GlobalMaxPool
    x: Type
    lanes: int
    pixels: int = 1
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, GlobalSumPool | GlobalMaxPool):
            raise UnitError(
                "GlobalPool: the op is GlobalSumPool or GlobalMaxPool, "
                f"not {type(self.op).__name__}"
            )
        self.op.infer(self.x)
        _ = self.inputs()

    @cached_property
    def reducer(self) -> Reducer:
        """The tree over pixels and the accumulator of one channel.

        A step is a beat; the lanes masked in its last one are those of the last column beat.
        """
        kind = "sum" if isinstance(self.op, GlobalSumPool) else "max"
        row, y = self.x.shape[-2], self.op.infer(self.x)
        return Reducer(kind, self.x, y, self.pixels, row, self.max_levels)

    @property
    def places(self) -> int:
        """Elements of each channel."""
        return self.x.size // self.x.shape[-1]

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        head = (1,) * (len(self.x.shape) - 2)
        return {"x": Layout(self.x, (*head, self.pixels, self.lanes))}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.op.infer(self.x), (self.lanes,))}

    def schedule(self) -> Schedule:
        *rows, columns, chunks = self.inputs()["x"].steps
        nest = Nest(
            loops=(("row", math.prod(rows)), ("col", columns), ("chunk", chunks)),
            takes={"x": Mask.always()},
            gives={"y": Mask.at(row="last", col="last")},
        )
        return Schedule.single(nest, self.arrives + (chunks == 1))

    @property
    def arrives(self) -> int:
        """Cycles from a firing to its sum over pixels."""
        chunks = self.inputs()["x"].steps[-1]
        return max(self.reducer.latency, int(chunks > 1))

    def resources(self) -> Resources:
        reducer, chunks = self.reducer, self.inputs()["x"].steps[-1]
        each = reducer.resources() + Resources(reducer.step_luts(memory=chunks > 1), 0, 0, 0)
        width = self.lanes * reducer.y.width
        total = control_resources(self.schedule()) + pipe_resources(1, self.arrives) * 2
        total += Resources(3, 0, 0, 0)  # when to start anew, and when to keep
        if self.arrives > reducer.latency:
            total += Resources(0, self.inputs()["x"].width, 0, 0)
        if chunks == 1:
            total += Resources(0, width, 0, 0)
        elif queue_form(width, chunks) == "bram":
            total += Resources(0, 0, 0, bram18(width, chunks))
        else:
            total += Resources(lutram(width, chunks), width, 0, 0)
        if chunks > 1:
            total += pipe_resources(step_bits(chunks), self.arrives)
        return total + each * self.lanes

    def levels(self) -> int:
        return math.ceil(self.reducer.worst_levels)

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def candidates(
        cls, op: GlobalSumPool | GlobalMaxPool, x: Type, *, max_levels: int = 6
    ) -> Iterator[Self]:
        """From one channel a beat to all channels of four pixels."""
        channels = x.shape[-1]
        for lanes in sorted({-(-channels // steps) for steps in range(1, channels + 1)}):
            yield cls(op, x, lanes, 1, max_levels)
        for pixels in (2, 4):
            if pixels <= x.shape[-2]:
                yield cls(op, x, channels, pixels, max_levels)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, s3, bit = (0, 15), (-4, 3), (0, 1)
        for op in (GlobalSumPool(), GlobalMaxPool()):
            for shape, ends, lanes, pixels in (
                ((3, 4, 5), u4, 1, 1),
                ((3, 4, 5), s3, 2, 1),
                ((3, 5, 4), s3, 4, 2),
                ((3, 5, 5), u4, 3, 4),
                ((7, 3), bit, 2, 1),
                ((7, 3), (-128, 127), 3, 1),
                ((1, 1, 3), s3, 2, 1),
            ):
                yield cls(op, Type(shape, *ends), lanes, pixels)
            pm = Type((3, 3, 5), -1, 1, bipolar=True)
            yield cls(op, pm, 2, 1)
            yield cls(op, pm, 5, 2)


class _Path(Datapath):
    """Per channel of a beat: tree over its pixels, then the accumulator of that channel."""

    def __init__(self, unit: GlobalPool) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit, ctl = Module(), self.unit, self.ctl["main"]
        r, late = unit.reducer, unit.arrives
        chunks = unit.inputs()["x"].steps[-1]
        x = split(self.x["x"], unit.x, unit.pixels * unit.lanes)
        values: list[Value] = []
        for c in range(unit.lanes):
            value = r.tree(m, x[c :: unit.lanes], ctl.last["col"], f"tree_{c}")
            values.append(pipe(m, value, late - r.latency, f"late_{c}"))
        fire = pipe(m, ctl.fire, late, "fire")
        first = pipe(m, ctl.first["row"] & ctl.first["col"], late, "first")
        before = Signal(unit.lanes * r.y.width, name="before", reset_less=True)
        after: list[Value] = []
        for c, value in enumerate(values):
            word = before.word_select(c, r.y.width)
            total = Signal(r.shape, name=f"total_{c}")
            old = word.as_signed() if r.y.signed else word
            m.d.comb += total.eq(r.merge(value, old, first, unit.places))
            after.append(total)
        if chunks == 1:
            with m.If(fire):
                m.d.sync += before.eq(Cat(*after))
            m.d.comb += self.y["y"].eq(before)
            return m
        ram = memory.Memory(shape=len(before), depth=chunks, init=[])
        block = queue_form(len(before), chunks) == "bram"
        ram.attrs["ram_style"] = "block" if block else "distributed"
        m.submodules.ram = ram
        read, write = ram.read_port(), ram.write_port()
        # Read one cycle before use and written in the cycle of use: with two chunks or more the
        # same word is never read in the cycle in which it is written.
        m.d.comb += [
            read.addr.eq(pipe(m, ctl.index["chunk"], late - 1, "read_at")),
            write.addr.eq(pipe(m, ctl.index["chunk"], late, "write_at")),
            write.en.eq(fire),
            write.data.eq(Cat(*after)),
            before.eq(read.data),
            self.y["y"].eq(Cat(*after)),
        ]
        return m
