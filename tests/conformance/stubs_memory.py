"""Toy units of two processes or two nests around a memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Add,
    Concat,
    Dense,
    MatMul,
    Node,
    Reshape,
    Type,
    Window,
)
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath

from .stub import Stub, accumulate, elements, late

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Lines(Stub):
    """A line buffer: one process loads pixels, another emits the taps of each window.

    The emitter needs the pixels of its tap; the loader, before it reuses a row of the memory, all
    windows that read the row, in this frame or the one before.
    """

    height: int = 5
    width: int = 4
    channels: int = 2
    kernel: tuple[int, int] = (3, 3)
    rows: int = 4
    """Rows of memory: a power of two."""

    def window(self) -> Window:
        return Window(self.kernel)

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.height, self.width, self.channels), -4, 3)}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", self.window(), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1, 1, self.channels), "y": (1, 1, 1, 1, self.channels)}

    def schedule(self) -> Schedule:
        (kh, kw), w = self.kernel, self.width
        oh, ow = self.window().positions(self.height, w)
        emit = (("oy", oh), ("ox", ow), ("ky", kh), ("kx", kw))
        load = Nest(
            (("row", self.height), ("col", w)),
            takes={"x": Mask.always()},
            needs={"emit": Sum.table(row=self._free(oh, ow * kh * kw))},
        )
        pixels = Sum.affine(1, oy=w, ky=w, ox=1, kx=1)
        out = Nest(emit, gives={"y": Mask.always()}, needs={"load": pixels})
        return Schedule((Process("load", (load,)), Process("emit", (out,))), {"y": 1})

    def _free(self, oh: int, firings: int) -> tuple[int, ...]:
        """Emitter firings after which the row of memory that a row goes to is free."""
        need = []
        for row in range(self.height):
            # Window row oy reads rows oy and up, so row r is done with after window row r.
            old = row - self.rows
            frames = 0
            if old < 0:
                old = (self.height - 1) - (self.height - 1 - row) % self.rows
                frames = -1
            need.append((min(old, oh - 1) + 1) * firings + frames * oh * firings)
        return tuple(need)

    def build(self, m: Module, path: Datapath) -> None:
        load, emit = path.ctl["load"], path.ctl["emit"]
        depth = self.rows * self.width
        m.submodules.ram = ram = memory.Memory(shape=len(path.x["x"]), depth=depth, init=[])
        write, read = ram.write_port(), ram.read_port()
        row = Signal(range(2 * self.rows))
        m.d.comb += [
            row.eq((emit.index["oy"] + emit.index["ky"]) % self.rows),
            write.addr.eq((load.index["row"] % self.rows) * self.width + load.index["col"]),
            write.data.eq(path.x["x"]),
            write.en.eq(load.fire),
            read.addr.eq(row * self.width + emit.index["ox"] + emit.index["kx"]),
            path.y["y"].eq(read.data),
        ]

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls(height=8)
        yield cls(height=4, rows=4)
        yield cls(height=8, width=7, channels=1, kernel=(2, 3), rows=2)
        yield cls(height=4, width=3, channels=5, kernel=(1, 1), rows=1)


@dataclass(frozen=True)
class SparseRows(Stub):
    """A sparse matrix times a vector: the vector is loaded, then only non-zeros are walked.

    Two nests, a table as mask (row ends) and a table of addresses (column of each non-zero).
    """

    rows: int = 3
    columns: int = 5

    def weight(self) -> Ints:
        dense = np.random.default_rng(self.rows).integers(-1, 2, (self.rows, self.columns))
        dense[:, 0] |= ~dense.any(axis=1)
        return dense

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.columns,), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", MatMul(Dense(self.weight())), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1,), "y": (1,)}

    def walk(self) -> tuple[Ints, Ints, Bools, Bools]:
        """Per non-zero: column, value, whether a row begins and ends with it."""
        row, column = np.nonzero(self.weight())
        fresh = np.diff(row, prepend=-1) != 0
        return column, self.weight()[row, column], fresh, np.append(fresh[1:], True)

    def schedule(self) -> Schedule:
        column, _, _, last = self.walk()
        load = Nest((("k", self.columns),), {"x": Mask.always()}, addresses={"at": Sum.affine(k=1)})
        table = Sum.table(i=tuple(column.tolist()))
        walk = Nest(
            (("i", len(column)),),
            gives={"y": Mask.table(i=tuple(last.tolist()))},
            addresses={"at": table},
        )
        return Schedule((Process("main", (load, walk)),), {"y": 1})

    def build(self, m: Module, path: Datapath) -> None:
        ctl, i = path.ctl["main"], path.ctl["main"].index["i"]
        _, value, fresh, _ = self.walk()
        m.submodules.ram = ram = memory.Memory(shape=len(path.x["x"]), depth=self.columns, init=[])
        write, read = ram.write_port(), ram.read_port(domain="comb")
        at = ctl.address["at"]
        m.d.comb += [
            write.addr.eq(at),
            write.data.eq(path.x["x"]),
            write.en.eq(ctl.fire & (ctl.nest == 0)),
            read.addr.eq(at),
        ]
        x = elements(read.data, self.inputs()["x"])[0]
        minus = Cat(*(int(v < 0) for v in value)).bit_select(i, 1)
        first = Cat(*(int(f) for f in fresh)).bit_select(i, 1)
        width, fire = self.outputs()["y"].type.width, ctl.fire & (ctl.nest == 1)
        late(m, path, "y", accumulate(m, fire, first, Mux(minus, -x, x), width, "sum"), 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(rows=6, columns=9)
        yield cls(rows=1, columns=2)


@dataclass(frozen=True)
class Tiles(Stub):
    """A Winograd tile: sixteen values are gathered, then four sums of them leave.

    Two buffers: the loader fills one while the emitter reads the other.
    """

    count: int = 3

    def weight(self) -> Ints:
        return np.random.default_rng(1).integers(-1, 2, (4, 16))

    def types(self) -> dict[str, Type]:
        return {"x": Type((self.count, 16), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", MatMul(Dense(self.weight())), ("x",)),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1, 1), "y": (1, 1)}

    def schedule(self) -> Schedule:
        load = Nest(
            (("t", self.count), ("i", 16)),
            takes={"x": Mask.always()},
            # Tile t goes where tile t - 2 was, which has left after 4 (t - 1) firings.
            needs={"emit": Sum.affine(-4, t=4)},
        )
        emit = Nest(
            (("t", self.count), ("o", 4)),
            gives={"y": Mask.always()},
            needs={"load": Sum.affine(16, t=16)},
        )
        return Schedule((Process("load", (load,)), Process("emit", (emit,))), {"y": 3})

    def build(self, m: Module, path: Datapath) -> None:
        load, emit = path.ctl["load"], path.ctl["emit"]
        layout, weight = self.inputs()["x"], self.weight()
        banks = [
            [Signal(signed(layout.type.width), name=f"x_{b}_{i}") for i in range(16)]
            for b in range(2)
        ]
        # An odd number of tiles makes frames begin in either bank, so parity is kept apart.
        write, read = Signal(), Signal()
        with m.If(load.fire):
            m.d.sync += write.eq(write ^ load.last["i"])
            for i in range(16):
                with m.If(load.index["i"] == i):
                    for b in range(2):
                        with m.If(write == b):
                            m.d.sync += banks[b][i].eq(elements(path.x["x"], layout)[0])
        with m.If(emit.fire):
            m.d.sync += read.eq(read ^ emit.last["o"])
        sums = []
        for row in weight:
            chosen = [Mux(read, banks[1][i], banks[0][i]) * int(w) for i, w in enumerate(row) if w]
            total = Signal(signed(self.outputs()["y"].type.width), name=f"sum_{len(sums)}")
            m.d.comb += total.eq(sum(chosen))
            sums.append(total)
        out = Signal.like(sums[0], name="out")
        with m.Switch(emit.index["o"]):
            for o, total in enumerate(sums):
                with m.Case(o):
                    m.d.comb += out.eq(total)
        late(m, path, "y", out, 3)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(count=1)
        yield cls(count=4)


@dataclass(frozen=True)
class Streamed(Stub):
    """A vector loaded once and met by a stream of weights: ``y[n, k] = w[n, k] + x[k]``."""

    rows: int = 3
    size: int = 4

    def types(self) -> dict[str, Type]:
        full = Type((self.rows * self.size,), -8, 7)
        return {"x": Type((self.size,), -8, 7), "w": full}

    def nodes(self) -> tuple[Node, ...]:
        return (
            Node("xs", Concat(), ("x",) * self.rows),
            Node("flat", Add((1, 1)), ("w", "xs")),
            Node("y", Reshape((self.rows, self.size)), ("flat",)),
        )

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"x": (1,), "w": (1,), "y": (1, 1)}

    def schedule(self) -> Schedule:
        n, k = self.rows, self.size
        load = Nest((("k", k),), {"x": Mask.always()}, needs={"main": Sum.affine(1 - k, k=1)})
        main = Nest(
            (("n", n), ("k", k)),
            takes={"w": Mask.always()},
            gives={"y": Mask.always()},
            needs={"load": Sum.affine(1, k=1)},
        )
        return Schedule((Process("load", (load,)), Process("main", (main,))), {"y": 1})

    def build(self, m: Module, path: Datapath) -> None:
        load, main = path.ctl["load"], path.ctl["main"]
        width = len(path.x["x"])
        m.submodules.ram = ram = memory.Memory(shape=width, depth=self.size, init=[])
        write, read = ram.write_port(), ram.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(load.index["k"]),
            write.data.eq(path.x["x"]),
            write.en.eq(load.fire),
            read.addr.eq(main.index["k"]),
        ]
        x = elements(read.data, self.inputs()["x"])[0]
        w = elements(path.x["w"], self.inputs()["w"])[0]
        late(m, path, "y", (w + x)[: len(path.y["y"])], 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(rows=1, size=3)
        yield cls(rows=2, size=1)
