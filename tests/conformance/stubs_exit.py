"""Toy units whose masks depend on data: the two ends of an early exit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Node,
    Op,
    Type,
)
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath

from .stub import Stub, accumulate, elements, late

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Choose(Op):
    """The sum of ``hard`` where ``flag`` is set, else ``easy``: ``(1,), (K,), (1,) -> (1,)``."""

    def infer(self, *types: Type) -> Type:
        size = types[1].size
        return Type((1,), size * types[1].lo, size * types[1].hi)

    def reference(self, *arrays: Ints) -> Ints:
        flag, hard, easy = arrays
        return np.where(flag > 0, hard.sum(axis=1, keepdims=True), easy)


@dataclass(frozen=True)
class Guarded(Op):
    """The second input's first ``size`` elements; who sees them depends on the first input."""

    size: int

    def infer(self, *types: Type) -> Type:
        return types[1].with_shape((self.size,))

    def reference(self, *arrays: Ints) -> Ints:
        return arrays[1][:, : self.size]


def _hard(flag: Ints) -> Bools:
    return flag[:, 0] > 0


def decide(m: Module, path: Datapath) -> None:
    """The flag is taken in a sample's first firing and remembered for the others."""
    ctl, kept = path.ctl["main"], Signal()
    m.d.comb += path.cond["is_hard"].eq(Mux(ctl.first["k"], path.x["flag"], kept))
    with m.If(ctl.fire):
        m.d.sync += kept.eq(path.cond["is_hard"])


@dataclass(frozen=True)
class Steer(Stub):
    """The way into an early exit: hard samples go on, of easy ones only the first beat leaves."""

    size: int = 4

    def types(self) -> dict[str, Type]:
        return {"flag": Type((1,), 0, 1), "x": Type((self.size,), -8, 7)}

    def nodes(self) -> tuple[Node, ...]:
        return (
            Node("hard", Guarded(self.size), ("flag", "x")),
            Node("easy", Guarded(1), ("flag", "x")),
        )

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"flag": (1,), "x": (1,), "hard": (1,), "easy": (1,)}

    def schedule(self) -> Schedule:
        takes = {"flag": Mask.at(k="first"), "x": Mask.always()}
        gives = {
            "hard": Mask.always().when("is_hard"),
            "easy": Mask.at(k="first").unless("is_hard"),
        }
        return Schedule.single(Nest((("k", self.size),), takes, gives), {"hard": 2, "easy": 0})

    def conditions(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        return {"is_hard": np.repeat(_hard(frames["flag"]), self.size)}

    def present(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        return {"hard": _hard(frames["flag"]), "easy": ~_hard(frames["flag"])}

    def build(self, m: Module, path: Datapath) -> None:
        decide(m, path)
        late(m, path, "hard", path.x["x"], 2)
        late(m, path, "easy", path.x["x"], 0)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(size=1)


@dataclass(frozen=True)
class Merge(Stub):
    """The way out: the sum of a hard sample, or the value of an easy one, in the samples' order."""

    size: int = 4

    def types(self) -> dict[str, Type]:
        hard = Type((self.size,), -8, 7)
        return {"flag": Type((1,), 0, 1), "hard": hard, "easy": hard.with_shape((1,))}

    def nodes(self) -> tuple[Node, ...]:
        return (Node("y", Choose(), ("flag", "hard", "easy")),)

    def tiles(self) -> dict[str, tuple[int, ...]]:
        return {"flag": (1,), "hard": (1,), "easy": (1,), "y": (1,)}

    def schedule(self) -> Schedule:
        takes = {
            "flag": Mask.at(k="first"),
            "hard": Mask.always().when("is_hard"),
            "easy": Mask.at(k="last").unless("is_hard"),
        }
        nest = Nest((("k", self.size),), takes, {"y": Mask.at(k="last")})
        return Schedule.single(nest, 1)

    def conditions(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        return {"is_hard": np.repeat(_hard(frames["flag"]), self.size)}

    def present(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        return {"hard": _hard(frames["flag"]), "easy": ~_hard(frames["flag"])}

    def build(self, m: Module, path: Datapath) -> None:
        decide(m, path)
        ctl, inputs = path.ctl["main"], self.inputs()
        hard, easy = (elements(path.x[p], inputs[p])[0] for p in ("hard", "easy"))
        width = self.outputs()["y"].type.width
        total = accumulate(m, ctl.fire, ctl.first["k"], hard, width, "sum")
        late(m, path, "y", Mux(path.cond["is_hard"], total, easy)[:width], 1)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield cls()
        yield cls(size=1)
