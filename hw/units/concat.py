"""Several streams side by side along the channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Const, Module, Mux, Value

from hwc.compiler.graph import Concat, Graph, Node, Type
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.mux import mux_luts

__all__ = ["ConcatUnit", "widen"]


def widen(code: Value, x: Type, y: Type) -> Value:
    """An element of type ``x`` as one of type ``y``, whose interval holds that of ``x``."""
    if x.bipolar and not y.bipolar:
        # +1 is 0...01 and -1 is 1...11: all bits but the lowest are the inverted wire.
        return Cat(Const(1, 1), (~code).replicate(y.width - 1))
    number = code.as_signed() if x.signed else code
    return (number + Const(0, y.width))[: y.width]


@dataclass(frozen=True)
class ConcatUnit(Unit):
    """Graph op ``Concat``: ports ``x0``, ``x1`` ... (..., C_i) to port ``y`` (..., sum C_i).

    Two folds: ``lanes`` channels of ``pixels`` pixels a beat, one input after the other; then
    lanes must divide the channels of every input but the last. Or all channels at once (``lanes``
    their sum), a beat of every input in one firing. Elements are rewritten in the common type.
    Latency 0.
    """

    op: Concat
    types: tuple[Type, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.op, Concat):
            raise UnitError(f"ConcatUnit: the op is Concat, not {type(self.op).__name__}")
        channels = [x.shape[-1] for x in self.types]
        self.op.infer(*self.types)
        if self.lanes not in (legal := self.legal(self.types)):
            raise UnitError(
                f"ConcatUnit: lanes must divide the channels of every input but the last, or be "
                f"all of them, of {channels}; got {self.lanes}, legal: {legal}"
            )
        if self.pixels > 1 and len(self._y.shape) == 1:
            raise UnitError(f"ConcatUnit: vectors have one pixel, got pixels={self.pixels}")
        _ = self.outputs()

    @staticmethod
    def legal(types: tuple[Type, ...]) -> list[int]:
        """Lane counts that it can have."""
        *some, last = (x.shape[-1] for x in types)
        fits = [n for n in range(1, last + 1) if all(c % n == 0 for c in some)]
        return sorted({*fits, sum(some) + last})

    @property
    def parallel(self) -> bool:
        """Whether a firing takes from all inputs."""
        return self.lanes == self._y.shape[-1]

    @cached_property
    def _y(self) -> Type:
        return self.op.infer(*self.types)

    def graph(self) -> Graph:
        names = tuple(f"x{i}" for i in range(len(self.types)))
        inputs = tuple(zip(names, self.types, strict=True))
        return Graph(inputs, (Node("y", self.op, names),), ("y",))

    def _tile(self, lanes: int) -> tuple[int, ...]:
        *head, _ = self._y.shape
        return (*((1,) * (len(head) - 1)), self.pixels, lanes) if head else (lanes,)

    def inputs(self) -> dict[str, Layout]:
        return {
            f"x{i}": Layout(x, self._tile(x.shape[-1] if self.parallel else self.lanes))
            for i, x in enumerate(self.types)
        }

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self._y, self._tile(self.lanes))}

    def spans(self) -> list[tuple[int, int]]:
        """For each input the chunks of a pixel that are its own."""
        out, at = [], 0
        for layout in self.inputs().values():
            out.append((0, 1) if self.parallel else (at, at + layout.steps[-1]))
            at = out[-1][1]
        return out

    def schedule(self) -> Schedule:
        y = self.outputs()["y"]
        nest = Nest(
            loops=(("pixel", math.prod(y.steps[:-1])), ("chunk", y.steps[-1])),
            takes={
                name: Mask.at(chunk=span)
                for name, span in zip(self.inputs(), self.spans(), strict=True)
            },
            gives={"y": Mask.always()},
        )
        return Schedule.single(nest, 0)

    def resources(self) -> Resources:
        ways = 1 if self.parallel else len(self.types)
        luts = mux_luts(ways) * self.outputs()["y"].width + (ways > 1) * ways
        reads = ("chunk",) if ways > 1 else ()
        return control_resources(self.schedule(), reads) + Resources(luts, 0, 0, 0)

    def levels(self) -> int:
        return 1 if self.parallel else 3

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def candidates(cls, op: Concat, types: tuple[Type, ...]) -> Iterator[Self]:
        """All legal lanes of one pixel, and all channels of two and four."""
        legal = cls.legal(types)
        for lanes in legal:
            yield cls(op, types, lanes)
        row = types[0].shape[-2] if len(types[0].shape) > 1 else 1
        for pixels in (2, 4):
            if pixels <= row:
                yield cls(op, types, legal[-1], pixels)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, s3, pm = Type((1,), 0, 15), Type((1,), -4, 3), Type((1,), -1, 1, bipolar=True)
        for kinds, shapes, fold in (
            ((u4, u4), ((2, 3, 4), (2, 3, 2)), (2, 1)),
            ((u4, s3), ((2, 3, 4), (2, 3, 5)), (4, 2)),
            ((pm, s3, u4), ((3, 4), (3, 2), (3, 3)), (2, 1)),
            ((pm, pm), ((3, 3), (3, 4)), (3, 1)),
            ((pm, s3, u4), ((3, 4), (3, 2), (3, 3)), (9, 2)),
            ((u4, pm), ((4,), (2,)), (1, 1)),
            ((s3,), ((5,),), (2, 1)),
        ):
            types = tuple(k.with_shape(s) for s, k in zip(shapes, kinds, strict=True))
            yield cls(Concat(), types, *fold)


class _Path(Datapath):
    """A multiplexer over the inputs, or wires."""

    def __init__(self, unit: ConcatUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        y = unit.outputs()["y"].type
        beats: list[Value] = []
        for name, layout in unit.inputs().items():
            x, beat = layout.type, self.x[name]
            beats.append(
                Cat(*(widen(beat.word_select(k, x.width), x, y) for k in range(layout.elements)))
            )
        if unit.parallel:
            sizes = [x.shape[-1] * y.width for x in unit.types]
            pixels = range(unit.pixels)
            sides = [b.word_select(p, n) for p in pixels for b, n in zip(beats, sizes, strict=True)]
            m.d.comb += self.y["y"].eq(Cat(*sides))
            return m
        chunk, out = self.ctl["main"].index["chunk"], beats[-1]
        for beat, (_, end) in reversed(list(zip(beats, unit.spans(), strict=True))[:-1]):
            out = Mux(chunk < end, beat, out)
        m.d.comb += self.y["y"].eq(out)
        return m
