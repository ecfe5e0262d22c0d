"""Pooling: the maximum or the sum over the taps of each window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Module, Signal

from hwc.compiler.graph import Graph, Node, Type, WindowReduce
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.parts import pipe, pipe_resources
from hwc.hw.units.reducer import Reducer, split

__all__ = ["Reduce"]


@dataclass(frozen=True)
class Reduce(Unit):
    """Graph op ``WindowReduce`` on ``x`` (..., C, T, 1): (..., C).

    ``tile`` is that of port ``x``: (1, ..., pixels, channels, taps, 1); port ``y`` has
    (1, ..., pixels, channels). One firing per input beat; the last of a window gives.
    Latency: the tree over the taps of a beat, 1 more if a window takes several beats.
    """

    op: WindowReduce
    x: Type
    tile: tuple[int, ...]
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, WindowReduce):
            raise UnitError(f"Reduce: the op is WindowReduce, not {type(self.op).__name__}")
        self.op.infer(self.x)
        _ = Layout(self.x, self.tile)

    @cached_property
    def reducer(self) -> Reducer:
        """The tree and the accumulator of one channel."""
        taps = self.x.shape[-2]
        y = self.op.infer(self.x)
        return Reducer(self.op.kind, self.x, y, self.tile[-2], taps, self.max_levels)

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, self.tile)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.op.infer(self.x), self.tile[:-2])}

    def schedule(self) -> Schedule:
        nest = Nest(
            loops=(("window", self.outputs()["y"].beats), ("tap", self.reducer.steps)),
            takes={"x": Mask.always()},
            gives={"y": Mask.at(tap="last")},
        )
        return Schedule.single(nest, self.reducer.latency + (self.reducer.steps > 1))

    def resources(self) -> Resources:
        reducer, y = self.reducer, self.outputs()["y"]
        each = reducer.resources()
        total = control_resources(self.schedule(), ("tap",) if reducer.steps > 1 else ())
        if reducer.steps > 1:
            each += Resources(reducer.step_luts(), reducer.y.width, 0, 0)
            total += pipe_resources(1, reducer.latency) * 2
        elif self.x.bipolar and self.op.kind == "sum":
            each += Resources(reducer.y.width, 0, 0, 0)
        return total + each * y.elements

    def levels(self) -> int:
        return math.ceil(self.reducer.worst_levels)

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def candidates(cls, op: WindowReduce, x: Type, *, max_levels: int = 6) -> Iterator[Self]:
        """From one tap of one channel a beat to all taps of all channels of four pixels."""
        channels, taps = x.shape[-3:-1]
        head = (1,) * (len(x.shape) - 3)
        row = math.isqrt(taps)
        parallel = {1, taps} | ({row} if row * row == taps else set())
        lanes = sorted({-(-channels // steps) for steps in range(1, channels + 1)})
        for lane in lanes:
            for tap in sorted(parallel):
                yield cls(op, x, (*head, lane, tap, 1), max_levels)
        for pixels in (2, 4):
            if head and pixels <= x.shape[-4]:
                yield cls(op, x, (*head[:-1], pixels, channels, taps, 1), max_levels)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, s3, bit = Type((1,), 0, 15), Type((1,), -4, 3), Type((1,), 0, 1)
        s8, odd = Type((1,), -128, 127), Type((1,), -100, 90)
        most, total = WindowReduce("max"), WindowReduce("sum")
        for op, x, shape, tile in (
            (most, u4, (2, 3, 5, 4, 1), (1, 1, 2, 1, 1)),
            (most, s3, (2, 3, 5, 4, 1), (1, 2, 5, 4, 1)),
            (most, odd, (3, 2, 9, 1), (1, 2, 4, 1)),
            (most, bit, (2, 2, 3, 9, 1), (1, 1, 2, 3, 1)),
            (total, u4, (2, 3, 5, 4, 1), (1, 1, 3, 4, 1)),
            (total, s3, (2, 3, 2, 9, 1), (1, 2, 1, 4, 1)),
            (total, s3, (4, 2, 1, 1), (1, 2, 1, 1)),
            (total, s8, (3, 3, 25, 1), (1, 3, 25, 1)),
        ):
            yield cls(op, x.with_shape(shape), tile)
        pm = Type((2, 3, 9, 1), -1, 1, bipolar=True)
        for op in (most, total):
            for taps in (1, 2, 9):
                yield cls(op, pm, (1, 2, taps, 1))


class _Path(Datapath):
    """Per channel and pixel of a beat: tree over its taps, then the accumulator."""

    def __init__(self, unit: Reduce) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, r, ctl = Module(), self.unit.reducer, self.ctl["main"]
        layout = self.unit.outputs()["y"]
        fire = pipe(m, ctl.fire, r.latency, "fire")
        first = pipe(m, ctl.first["tap"], r.latency, "first")
        x = split(self.x["x"], self.unit.x, layout.elements * r.lanes)
        parts: list[Signal] = []
        for k in range(layout.elements):
            taps = x[k * r.lanes : (k + 1) * r.lanes]
            value = r.tree(m, taps, ctl.last["tap"], f"tree_{k}")
            out = Signal(r.shape, name=f"out_{k}", reset_less=True)
            if r.steps == 1:
                m.d.comb += out.eq(r.alone(value))
            else:
                with m.If(fire):
                    m.d.sync += out.eq(r.merge(value, out, first))
            parts.append(out)
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m
