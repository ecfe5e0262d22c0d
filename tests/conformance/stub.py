"""What toy units share: a few lines describe ports, meaning and datapath."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, signed
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Graph,
    Node,
    Type,
)
from hwc.hw.core import delay
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, Unit

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Stub(Unit):
    """A unit that is described by its input types, one node per output and two tables of tiles."""

    @abstractmethod
    def types(self) -> dict[str, Type]:
        """Type of each input port."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """Nodes of the graph; those named as output ports are the outputs."""

    @abstractmethod
    def tiles(self) -> dict[str, tuple[int, ...]]:
        """Tile of each port, inputs first; every port not in :meth:`types` is an output."""

    @abstractmethod
    def build(self, m: Module, path: Datapath) -> None:
        """Add the datapath."""

    def graph(self) -> Graph:
        outputs = tuple(port for port in self.tiles() if port not in self.types())
        return Graph(tuple(self.types().items()), self.nodes(), outputs)

    def inputs(self) -> dict[str, Layout]:
        return {p: Layout(t, self.tiles()[p]) for p, t in self.types().items()}

    def outputs(self) -> dict[str, Layout]:
        graph = self.graph()
        return {p: Layout(graph.types[p], self.tiles()[p]) for p in graph.outputs}

    def resources(self) -> Resources:
        return Resources.zero()

    def levels(self) -> int:
        return 1

    def component(self) -> Datapath:
        return _Path(self)


class _Path(Datapath):
    def __init__(self, unit: Stub) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.unit.build(m, self)
        return m


def elements(beat: Value, layout: Layout) -> list[Value]:
    """The elements of a beat, signed where the type is."""
    width = layout.type.width
    parts = [beat[i * width : (i + 1) * width] for i in range(layout.elements)]
    return [p.as_signed() if layout.type.signed else p for p in parts]


def late(m: Module, path: Datapath, port: str, value: Value, cycles: int) -> None:
    """Drive an output ``cycles`` cycles after ``value``."""
    m.d.comb += path.y[port].eq(delay(m, value, cycles, f"{port}_late"))


def accumulate(m: Module, fire: Value, first: Value, x: Value, width: int, name: str) -> Value:
    """The sum of ``x`` over the firings since ``first``, this one included, in its own cycle."""
    total = Signal(signed(width), name=f"{name}_total")
    now = Signal(signed(width), name=f"{name}_now")
    m.d.comb += now.eq(Mux(first, 0, total) + x)
    with m.If(fire):
        m.d.sync += total.eq(now)
    return now
