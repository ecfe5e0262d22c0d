"""Products of two streams, element by element."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Module, Value

from hwc.compiler.graph import Multiply, Type
from hwc.hw.dot import DotSpec, Number
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.joined import Joined
from hwc.hw.units.multiply import Style
from hwc.hw.units.reducer import split

__all__ = ["TimesUnit"]

Ends = tuple[int, int]


@dataclass(frozen=True)
class TimesUnit(Joined):
    """Graph op ``Multiply``: beats of ports ``x0`` and ``x1`` to port ``y``, one tile.

    A firing takes one beat from each. Products are made in LUTs or each in a DSP block; ``style``
    auto takes a block where both operands have 5 bits or more. Of two bipolar inputs a product is
    whether they agree. Latency: that of the product.
    """

    op: Multiply
    types: tuple[Type, Type]
    tile: tuple[int, ...]
    style: Style = "auto"
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, Multiply):
            raise UnitError(f"TimesUnit: the op is Multiply, not {type(self.op).__name__}")
        self.op.infer(*self.types)
        _ = self.inputs(), self.product

    @cached_property
    def product(self) -> DotSpec:
        """One product; the queues in front take a level."""
        a, b = (Number.of(x) for x in self.types)
        return DotSpec(a, b, 1, self.style, self.max_levels - 1, a.bipolar and b.bipolar)

    @property
    def delay(self) -> int:
        return self.product.latency

    def resources(self) -> Resources:
        each = self.product.resources()
        return control_resources(self.schedule(), ()) + each * math.prod(self.tile)

    def levels(self) -> int:
        return self.product.worst_levels + 1

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, s3, s8, big, bit = (0, 15), (-4, 3), (-128, 127), (-40_000, 70_000), (0, 1)
        cases: tuple[tuple[Ends, Ends, tuple[int, ...], tuple[int, ...], Style], ...] = (
            (u4, u4, (3, 2, 5), (1, 1, 2), "auto"),
            (s8, s3, (3, 3, 4), (1, 2, 4), "auto"),
            (s8, s8, (7,), (3,), "auto"),
            (s8, s8, (7,), (7,), "lut"),
            (u4, s8, (5,), (2,), "dsp"),
            (big, s8, (5,), (5,), "auto"),
            (bit, s8, (5,), (2,), "auto"),
            ((3, 9), (-9, -5), (5,), (2,), "auto"),
        )
        for first, second, shape, tile, style in cases:
            yield cls(Multiply(), (Type(shape, *first), Type(shape, *second)), tile, style)
        pm = Type((6,), -1, 1, bipolar=True)
        yield cls(Multiply(), (pm, pm), (4,))
        yield cls(Multiply(), (Type((6,), *s8), pm), (4,))


class _Path(Datapath):
    """One product for each element of a beat."""

    def __init__(self, unit: TimesUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        width = unit.outputs()["y"].type.width
        first, second = (
            split(self.x[f"x{i}"], x, math.prod(unit.tile)) for i, x in enumerate(unit.types)
        )
        parts: list[Value] = []
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            parts.append(unit.product.build(m, [a], [b], name=f"product_{k}")[:width])
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m
