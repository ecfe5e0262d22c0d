"""Toy units without memory: latencies, tails, several ports, static orders, two layers in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Add,
    Concat,
    Dense,
    GroupedMatMul,
    MatMul,
    Node,
    Type,
)
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Process, Schedule
from hwc.hw.unit import Datapath

from .stub import Stub, accumulate, elements, late

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Copy(Stub):
    """A vector, ``lanes`` at a time, unchanged: tails, every latency, beats wider than 64 bits."""

    size: int = 5
    lanes: int = 2
    type: tuple[int, int] = (-7, 7)
    latency: int = 1

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.size,), *self.type)}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", Add((1,)), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (self.lanes,), "y": (self.lanes,)}

    def schedule(self) -> Schedule:
        beats = self.inputs()["x"].beats
        nest = Nest((("b", beats),), {"x": Mask.always()}, {"y": Mask.always()})
        return Schedule.single(nest, self.latency)

    def build(self, m: Module, path: Datapath) -> None:
        late(m, path, "y", path.x["x"], self.latency)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(latency=0)
        yield cls(size=1, lanes=1, latency=3)
        yield cls(size=40, lanes=13, type=(-(2**40), 2**40 - 1), latency=2)
        yield cls(size=9, lanes=1, type=(0, 255), latency=7)


@dataclass(frozen=True)
class TwoPixels(Stub):
    """The products of a convolution, two neighbouring windows at a time, one tap a firing."""

    width: int = 3
    taps: int = 4
    outs: int = 2

    def weight(self) -> Ints:
        return np.random.default_rng(7).integers(-1, 2, (1, self.outs, self.taps, 1))

    def types(self) -> dict[str, Type]:
        return {"x": Type((2, self.width, 1, self.taps, 1), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", GroupedMatMul(Dense(self.weight())), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1, 2, 1, 1, 1), "y": (1, 2, self.outs)}

    def schedule(self) -> Schedule:
        steps = self.outputs_steps()
        nest = Nest((*steps, ("tap", self.taps)), {"x": Mask.always()}, {"y": Mask.at(tap="last")})
        return Schedule.single(nest, 1)

    def outputs_steps(self) -> tuple[tuple[str, int], ...]:
        return (("oy", 2), ("ox", -(-self.width // 2)))

    def build(self, m: Module, path: Datapath) -> None:
        ctl, out = path.ctl["main"], self.outputs_layout()
        width, weight = out.type.width, self.weight()[0, :, :, 0]
        sums = []
        for p, x in enumerate(elements(path.x["x"], self.inputs()["x"])):
            for n in range(self.outs):
                plus, minus = (
                    Cat(*(int(w == s) for w in weight[n])).bit_select(ctl.index["tap"], 1)
                    for s in (1, -1)
                )
                term = Mux(plus, x, Mux(minus, -x, 0))
                first, name = ctl.first["tap"], f"sum_{p}_{n}"
                sums.append(accumulate(m, ctl.fire, first, term, width, name))
        late(m, path, "y", Cat(*sums), 1)

    def outputs_layout(self) -> Layout:
        return self.outputs()["y"]

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(width=4, taps=2, outs=1)
        yield cls(width=2, taps=1, outs=3)


@dataclass(frozen=True)
class Heads(Stub):
    """Two outputs of different rates from one process: the input itself and its sum."""

    size: int = 6

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.size,), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        ones = Dense(np.ones((1, self.size), np.int64))
        return (Node("same", Add((1,)), ("x",)), Node("total", MatMul(ones), ("x",)))

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1,), "same": (1,), "total": (1,)}

    def schedule(self) -> Schedule:
        gives = {"same": Mask.always(), "total": Mask.at(k="last")}
        nest = Nest((("k", self.size),), {"x": Mask.always()}, gives)
        return Schedule.single(nest, {"same": 4, "total": 1})

    def build(self, m: Module, path: Datapath) -> None:
        ctl = path.ctl["main"]
        x = elements(path.x["x"], self.inputs()["x"])[0]
        width = self.outputs()["total"].type.width
        late(m, path, "same", path.x["x"], 4)
        late(m, path, "total", accumulate(m, ctl.fire, ctl.first["k"], x, width, "sum"), 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(size=1)


@dataclass(frozen=True)
class Join(Stub):
    """The sum of two streams, beat by beat."""

    size: int = 4

    def types(self) -> dict[str, Type]:
        return dict.fromkeys(("a", "b"), Type((self.size,), -8, 7))

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", Add((1, 1)), ("a", "b")),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"a": (1,), "b": (1,), "y": (1,)}

    def schedule(self) -> Schedule:
        takes = {"a": Mask.always(), "b": Mask.always()}
        return Schedule.single(Nest((("k", self.size),), takes, {"y": Mask.always()}), 2)

    def build(self, m: Module, path: Datapath) -> None:
        a, b = (elements(path.x[p], self.inputs()[p])[0] for p in ("a", "b"))
        late(m, path, "y", (a + b)[: len(path.y["y"])], 2)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(size=1)


@dataclass(frozen=True)
class Interleave(Stub):
    """Two queues merged in a fixed order that no loop describes: static tables as masks."""

    a: int = 5
    b: int = 3
    order: tuple[bool, ...] = (True, True, False, True, False, False, True, True)
    """Which firings take from ``a``; ``y`` is not interleaved but held back: see the nests."""

    def types(self) -> dict[str, Type]:
        return {"a": Type((self.a,), -8, 7), "b": Type((self.b,), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        ones = [Dense(np.ones((1, n), np.int64)) for n in (self.a, self.b)]
        return (
            Node("sa", MatMul(ones[0]), ("a",)),
            Node("sb", MatMul(ones[1]), ("b",)),
            Node("y", Concat(), ("sa", "sb")),
        )

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"a": (1,), "b": (1,), "y": (1,)}

    def schedule(self) -> Schedule:
        take = Mask.table(k=self.order)
        skip = Mask.table(k=tuple(not b for b in self.order))
        walk = Nest((("k", len(self.order)),), {"a": take, "b": skip})
        give = Nest((("o", 2),), gives={"y": Mask.always()})
        return Schedule((Process("main", (walk, give)),), {"y": 1})

    def build(self, m: Module, path: Datapath) -> None:
        ctl, width = path.ctl["main"], self.outputs()["y"].type.width
        sums = [Signal(signed(width), name=f"sum_{p}") for p in ("a", "b")]
        order = Cat(*(int(b) for b in self.order)).bit_select(ctl.index["k"], 1)
        with m.If(ctl.fire & (ctl.nest == 0)):
            for port, total, now in zip(("a", "b"), sums, (order, ~order), strict=True):
                x = elements(path.x[port], self.inputs()[port])[0]
                kept = Mux(ctl.index["k"] == 0, 0, total)
                m.d.sync += total.eq(kept + Mux(now, x, 0))
        late(m, path, "y", Mux(ctl.index["o"] == 0, *sums), 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(a=1, b=1, order=(False, True))


@dataclass(frozen=True)
class Shared(Stub):
    """One adder that serves two layers in turn: its program is one nest after the other."""

    size: int = 4

    def types(self) -> dict[str, Type]:
        return {"a": Type((self.size,), -8, 7), "c": Type((1,), -8 * self.size, 7 * self.size)}

    def nodes(self) -> tuple[Node, ...]:
        ones = Dense(np.ones((1, self.size), np.int64))
        twos = Dense(np.full((2, 1), 3, np.int64))
        return (Node("b", MatMul(ones), ("a",)), Node("d", MatMul(twos), ("c",)))

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"a": (1,), "c": (1,), "b": (1,), "d": (1,)}

    def schedule(self) -> Schedule:
        first = Nest((("k", self.size),), {"a": Mask.always()}, {"b": Mask.at(k="last")})
        second = Nest(
            (("n", 2), ("r", 3)), {"c": Mask.at(n="first", r=0)}, {"d": Mask.at(r="last")}
        )
        return Schedule((Process("main", (first, second)),), {"b": 1, "d": 1})

    def build(self, m: Module, path: Datapath) -> None:
        ctl = path.ctl["main"]
        a, c = (elements(path.x[p], self.inputs()[p])[0] for p in ("a", "c"))
        held = Signal.like(c)
        fresh = ctl.first["n"] & ctl.first["r"]
        with m.If(ctl.fire & (ctl.nest == 1) & fresh):
            m.d.sync += held.eq(c)
        layer = ctl.nest == 1
        x = Mux(layer, Mux(fresh, c, held), a)
        first = Mux(layer, ctl.first["r"], ctl.first["k"])
        total = accumulate(m, ctl.fire, first, x, 12, "sum")
        for port in ("b", "d"):
            late(m, path, port, total[: len(path.y[port])], 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(size=1)
