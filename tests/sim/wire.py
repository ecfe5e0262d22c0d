"""The simplest unit: beats of any width go through, a few cycles later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from amaranth.hdl import Module

from hwc.compiler.graph import Add, Graph, Node, Type
from hwc.hw.core import delay
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Unit


@dataclass(frozen=True)
class Wire(Unit):
    """Three beats a frame, each of ``width`` single bits."""

    width: int
    latency: int

    def graph(self) -> Graph:
        return Graph((("x", Type((3, self.width), 0, 1)),), (Node("y", Add((1,)), ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(Type((3, self.width), 0, 1), (1, self.width))}

    def outputs(self) -> dict[str, Layout]:
        return {"y": self.inputs()["x"]}

    def schedule(self) -> Schedule:
        nest = Nest((("b", 3),), {"x": Mask.always()}, {"y": Mask.always()})
        return Schedule.single(nest, self.latency)

    def resources(self) -> Resources:
        return Resources.zero()

    def levels(self) -> int:
        return 0

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls(8, 1)


class _Path(Datapath):
    def __init__(self, unit: Wire) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.y["y"].eq(delay(m, self.x["x"], self.unit.latency, "late"))
        return m
