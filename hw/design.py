"""A network of units: instances, edges with queues, and the streams to the outside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwc.compiler.graph.errors import HwcError
from hwc.hw.core import Core
from hwc.hw.layout import Layout
from hwc.hw.queue import Queue
from hwc.hw.unit import Unit

__all__ = ["Design", "DesignError", "Edge", "End", "Top"]

LONGEST = 72
"""Characters of a queue's name: Verilator renames what is longer than 127 with its hierarchy."""

End = tuple[str, str]
"""``(instance, port)``, or ``("", stream)`` for a stream of the outside world."""


class DesignError(HwcError):
    """Units are wired in a way that cannot work."""


@dataclass(frozen=True)
class Edge:
    """A queue of ``depth`` beats from one end to another. Several edges from one end are a fork."""

    src: End
    dst: End
    depth: int = 2

    @property
    def name(self) -> str:
        """A name fit for Verilog, unique in a design."""
        src, dst = ("_".join(p for p in end if p) for end in (self.src, self.dst))
        name = f"q_{src}__{dst}"
        if len(name) <= LONGEST:
            return name
        mark = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST - 9]}_{mark}"


@dataclass(frozen=True)
class Design:
    """Instances and edges. Pieces need not be connected: a bench of many units is a design."""

    name: str
    instances: Mapping[str, Unit]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        fed: dict[End, Edge] = {}
        for edge in self.edges:
            if edge.src[0] == "" and edge.dst[0] == "":
                raise DesignError(f"edge {edge.name} joins two outside streams")
            if edge.dst in fed:
                raise DesignError(f"{edge.dst} is fed twice: by {fed[edge.dst].src} and {edge.src}")
            fed[edge.dst] = edge
            src, dst = self.layout(edge.src, edge), self.layout(edge.dst, edge)
            if src.width != dst.width or src.beats != dst.beats:
                raise DesignError(
                    f"{edge.src} gives {src.beats} beats of {src.width} bits, "
                    f"but {edge.dst} takes {dst.beats} of {dst.width}"
                )
        used = {edge.src for edge in self.edges}
        for name, unit in self.instances.items():
            for port in unit.inputs():
                if (name, port) not in fed:
                    raise DesignError(f"input {port!r} of {name!r} is not connected")
            for port in unit.outputs():
                if (name, port) not in used:
                    raise DesignError(f"output {port!r} of {name!r} is not connected")

    def layout(self, end: End, edge: Edge) -> Layout:
        """Layout at one end of an edge; an outside stream has that of the unit it meets."""
        instance, port = end
        if instance == "":
            return self.layout(edge.dst if end == edge.src else edge.src, edge)
        unit = self.instances.get(instance)
        ports = {} if unit is None else unit.outputs() if end == edge.src else unit.inputs()
        if port not in ports:
            raise DesignError(f"edge {edge.name}: {instance!r} has no such port {port!r}")
        return ports[port]

    @cached_property
    def inputs(self) -> dict[str, Layout]:
        """Streams from the outside. One stream may feed several units (a fork)."""
        return {e.src[1]: self.layout(e.dst, e) for e in self.edges if e.src[0] == ""}

    @cached_property
    def outputs(self) -> dict[str, Layout]:
        """Streams to the outside."""
        return {e.dst[1]: self.layout(e.src, e) for e in self.edges if e.dst[0] == ""}

    def with_depths(self, depths: Mapping[str, int]) -> Design:
        """The same design with the depth of the named edges changed."""
        edges = tuple(replace(e, depth=depths.get(e.name, e.depth)) for e in self.edges)
        return replace(self, edges=edges)


class Top(wiring.Component):
    """RTL of a design: ``<stream>_valid``, ``_ready`` and ``_data`` for each outside stream.

    ``_ready`` of an input and ``_valid`` of an output come straight from registers and do not
    depend on the other side.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        ports: dict[str, wiring.Member] = {}
        for streams, flow, back in ((design.inputs, In, Out), (design.outputs, Out, In)):
            for name, layout in streams.items():
                ports |= {
                    f"{name}_valid": flow(1),
                    f"{name}_data": flow(layout.width),
                    f"{name}_ready": back(1),
                }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cores: dict[str, Core] = {}
        for name, unit in self.design.instances.items():
            cores[name] = m.submodules[name] = Core(unit)
        behind: dict[End, list[Queue]] = {}
        for edge in self.design.edges:
            width = self.design.layout(edge.dst, edge).width
            queue = m.submodules[edge.name] = Queue(width, edge.depth)
            behind.setdefault(edge.src, []).append(queue)
            instance, port = edge.dst
            if instance:
                core = cores[instance]
                m.d.comb += [
                    getattr(core, f"{port}_head").eq(queue.head),
                    getattr(core, f"{port}_valid").eq(queue.valid),
                    queue.pop.eq(getattr(core, f"{port}_pop")),
                ]
            else:
                valid, ready = getattr(self, f"{port}_valid"), getattr(self, f"{port}_ready")
                m.d.comb += [
                    valid.eq(queue.valid),
                    getattr(self, f"{port}_data").eq(queue.head),
                    queue.pop.eq(valid & ready),
                ]
        for (instance, port), queues in behind.items():
            self._feed(m, cores.get(instance), port, queues)
        return m

    def _feed(self, m: Module, core: Core | None, port: str, queues: list[Queue]) -> None:
        """Give each beat of one source to all its queues in the same firing."""
        credit = Cat(*(q.credit for q in queues)).all()
        if core is None:
            ready = getattr(self, f"{port}_ready")
            m.d.comb += ready.eq(credit)
            give: Value = getattr(self, f"{port}_valid") & ready
            push, data = give, getattr(self, f"{port}_data")
        else:
            m.d.comb += getattr(core, f"{port}_credit").eq(credit)
            give, push = getattr(core, f"{port}_give"), getattr(core, f"{port}_push")
            data = getattr(core, f"{port}_data")
        for queue in queues:
            m.d.comb += [queue.give.eq(give), queue.push.eq(push), queue.data.eq(data)]
