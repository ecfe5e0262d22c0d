"""A toy unit with a loop that data end early, between two processes that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import memory
from numpy.typing import NDArray

from hwc.compiler.graph import Dense, MatMul, Node, Type
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath

from .stub import Stub, accumulate, elements, late

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Short(Stub):
    """Sums of vectors, up to their last element other than 0; each sum leaves ``copies`` times.

    The loader notes where that element is; the emitter waits for whole vectors of the walk, which
    may be a vector ahead.
    """

    count: int = 3
    size: int = 5
    copies: int = 2

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.count, self.size), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        ones = Dense(np.ones((self.copies, self.size), np.int64))
        return (Node("y", MatMul(ones), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1, 1), "y": (1, 1)}

    def schedule(self) -> Schedule:
        n, size, copies = self.count, self.size, self.copies
        load = Nest(
            (("v", n), ("k", size)),
            takes={"x": Mask.always()},
            needs={"walk": Sum.affine(-size, v=size)},
        )
        walk = Nest(
            (("v", n), ("k", size)),
            needs={
                "load": Sum.affine(size, v=size),
                "emit": Sum.affine(-copies, v=copies),
            },
            stop="short",
        )
        emit = Nest(
            (("v", n), ("o", copies)),
            gives={"y": Mask.always()},
            needs={"walk": Sum.affine(size, v=size)},
        )
        processes = Process("load", (load,)), Process("walk", (walk,)), Process("emit", (emit,))
        return Schedule(processes, {"y": 1})

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        x = rng.integers(-8, 8, (batch, self.count, self.size))
        keep = rng.integers(0, self.size + 1, (batch, self.count, 1))
        return {"x": np.where(np.arange(self.size) < keep, x, 0)}

    def conditions(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        places = np.arange(self.size)
        last = np.where(frames["x"] != 0, places, 0).max(axis=-1, keepdims=True)
        return {"short": (places == last).ravel()}

    def build(self, m: Module, path: Datapath) -> None:
        load, walk, emit = (path.ctl[k] for k in ("load", "walk", "emit"))
        pages = []
        for ctl, loop in ((load, "k"), (walk, "k"), (emit, "o")):
            pages.append(page := Signal(name=f"page_{len(pages)}"))
            with m.If(ctl.fire & ctl.last[loop]):
                m.d.sync += page.eq(~page)
        (x,) = elements(path.x["x"], self.inputs()["x"])
        lasts = Array(Signal(range(max(2, self.size)), name=f"last_{p}") for p in range(2))
        with m.If(load.fire & (load.first["k"] | (x != 0))):
            m.d.sync += lasts[pages[0]].eq(load.index["k"])
        m.d.comb += path.cond["short"].eq(walk.index["k"] == lasts[pages[1]])
        m.submodules.ram = ram = memory.Memory(shape=signed(4), depth=2 * self.size, init=[])
        write, read = ram.write_port(), ram.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(load.index["k"] + Mux(pages[0], self.size, 0)),
            write.data.eq(x),
            write.en.eq(load.fire),
            read.addr.eq(walk.index["k"] + Mux(pages[1], self.size, 0)),
        ]
        width = self.outputs()["y"].type.width
        total = accumulate(m, walk.fire, walk.first["k"], read.data, width, "sum")
        sums = Array(Signal(signed(width), name=f"kept_{p}") for p in range(2))
        with m.If(walk.fire & walk.last["k"]):
            m.d.sync += sums[pages[1]].eq(total)
        late(m, path, "y", Mux(pages[2], sums[1], sums[0]), 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(count=1, size=7, copies=9)
        yield cls(count=2, size=1, copies=1)
        yield cls(count=4, size=3, copies=1)
