"""Sums of several streams, each times an integer: residual connections."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.compiler.graph import Add, Graph, Node, Type
from hwc.hw.dot import Number
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.multiply import Product, Style, product
from hwc.hw.units.parts import adder_levels, pipe, pipe_resources, shape_of

__all__ = ["AddUnit"]


@dataclass(frozen=True)
class Term:
    """A partial sum: its interval, and whether it still has to be subtracted."""

    number: Number
    negative: bool

    def plus(self, other: Term) -> Term:
        """The sum of both, as one adder or subtracter makes it."""
        a, b = self.number, other.number
        if self.negative == other.negative:
            return Term(Number(a.lo + b.lo, a.hi + b.hi), self.negative)
        if self.negative:
            a, b = b, a
        return Term(Number(a.lo - b.hi, a.hi - b.lo), False)


@dataclass(frozen=True)
class AddUnit(Unit):
    """Graph op ``Add``: beats of ports ``x0``, ``x1`` ... (same shape and tile) to port ``y``.

    A firing takes one beat from every port. Powers of two are wiring, other multipliers are shifts
    and adders or a DSP block, whichever is cheaper (``style``); then a tree of two-input adders
    with a register each. Latency: the slowest product and one cycle per rank of the tree.
    """

    op: Add
    types: tuple[Type, ...]
    tile: tuple[int, ...]
    style: Style = "auto"
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, Add):
            raise UnitError(f"AddUnit: the op is Add, not {type(self.op).__name__}")
        self.op.infer(*self.types)
        _ = self.inputs(), self.products

    @cached_property
    def products(self) -> tuple[Product | None, ...]:
        """What multiplies each input by the absolute value of its multiplier; None for wires."""
        out: list[Product | None] = []
        levels = self.max_levels - 1
        for factor, x in zip(self.op.multipliers, self.types, strict=True):
            size = abs(factor)
            wires = x.bipolar or size & (size - 1) == 0
            lane = ((size, 0),)
            one = None if wires else product(Number.of(x), (lane,), self.style, levels)
            out.append(one)
        return tuple(out)

    @property
    def late(self) -> int:
        """Cycles through the products."""
        return max(0 if p is None else p.latency for p in self.products)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """What goes into the tree; inputs times 0 do not."""
        out: list[Term] = []
        for factor, x in zip(self.op.multipliers, self.types, strict=True):
            if factor:
                size = abs(factor)
                out.append(Term(Number(size * x.lo, size * x.hi), factor < 0))
        return tuple(out)

    @cached_property
    def ranks(self) -> tuple[tuple[Term, ...], ...]:
        """What comes out of each rank of adders."""
        out: list[tuple[Term, ...]] = []
        row = self.terms
        while len(row) > 1 or (row and row[0].negative):
            if len(row) == 1:
                zero = Term(Number(0, 0), False)
                row = (zero.plus(row[0]),)
            else:
                pairs = zip(row[::2], row[1::2], strict=False)
                row = (*(a.plus(b) for a, b in pairs), *row[len(row) // 2 * 2 :])
            out.append(row)
        return tuple(out)

    def graph(self) -> Graph:
        names = tuple(f"x{i}" for i in range(len(self.types)))
        inputs = tuple(zip(names, self.types, strict=True))
        return Graph(inputs, (Node("y", self.op, names),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {f"x{i}": Layout(x, self.tile) for i, x in enumerate(self.types)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.op.infer(*self.types), self.tile)}

    def schedule(self) -> Schedule:
        nest = Nest(
            loops=(("beat", self.outputs()["y"].beats),),
            takes={name: Mask.always() for name in self.inputs()},
            gives={"y": Mask.always()},
        )
        return Schedule.single(nest, self.late + len(self.ranks))

    def resources(self) -> Resources:
        each = Resources.zero()
        for unit, x in zip(self.products, self.types, strict=True):
            each += pipe_resources(x.width, self.late - (unit.latency if unit else 0))
            each += unit.each() if unit else Resources.zero()
        row = self.terms
        for rank in self.ranks:
            width = sum(t.number.width for t in rank)
            kept = rank[-1].number.width if len(row) > 1 and len(row) % 2 else 0
            each += Resources(width - kept, width, 0, 0)
            row = rank
        return control_resources(self.schedule()) + each * math.prod(self.tile)

    def levels(self) -> int:
        front = 1 + adder_levels(self.terms[0].number.width if self.terms else 1)
        ranks = [adder_levels(t.number.width) for rank in self.ranks for t in rank]
        return math.ceil(max([front, *ranks, *(1 + p.worst_levels for p in self.products if p)]))

    def component(self) -> Datapath:
        return _Path(self)

    @classmethod
    def candidates(cls, op: Add, types: tuple[Type, ...], *, max_levels: int = 6) -> Iterator[Self]:
        """From one element a beat to all channels of four pixels."""
        shape = types[0].shape
        head, channels = (1,) * (len(shape) - 1), shape[-1]
        for lanes in sorted({-(-channels // steps) for steps in range(1, channels + 1)}):
            yield cls(op, types, (*head, lanes), max_levels=max_levels)
        for pixels in (2, 4):
            if head and pixels <= shape[-2]:
                yield cls(op, types, (*head[:-1], pixels, channels), max_levels=max_levels)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, s3, s8 = Type((1,), 0, 15), Type((1,), -4, 3), Type((1,), -128, 127)
        pm = Type((1,), -1, 1, bipolar=True)
        for multipliers, kinds, shape, tile in (
            ((1, 1), (u4, u4), (3, 2, 5), (1, 1, 2)),
            ((1, 1), (u4, s3), (3, 3, 4), (1, 2, 4)),
            ((1, -1), (s8, u4), (7,), (3,)),
            ((-1, 4, 1), (s3, u4, pm), (7,), (7,)),
            ((3, -5), (s3, s8), (7,), (2,)),
            ((-3, -7, -2), (pm, pm, u4), (6,), (2,)),
            ((-1,), (s8,), (5,), (2,)),
            ((0, 2), (s8, s3), (5,), (2,)),
            ((0, 0), (s8, s3), (4,), (2,)),
            ((1, 1, 1, 1, 1), (u4, s3, s8, pm, u4), (9,), (4,)),
            ((54321, -40503), (s8, s8), (5,), (1,)),
        ):
            yield cls(Add(multipliers), tuple(k.with_shape(shape) for k in kinds), tile)
        yield cls(Add((23, -171)), (s8.with_shape((5,)), u4.with_shape((5,))), (2,), "dsp")


class _Path(Datapath):
    """Per element of a beat: products, then the tree."""

    def __init__(self, unit: AddUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        y = unit.outputs()["y"]
        columns = [self._products(m, i) for i, f in enumerate(unit.op.multipliers) if f]
        parts: list[Value] = []
        for k in range(y.elements):
            total = self._tree(m, [column[k] for column in columns], k)
            out = Signal(y.type.width, name=f"y_{k}")
            m.d.comb += out.eq(total)
            parts.append(out)
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m

    def _products(self, m: Module, port: int) -> list[Value]:
        """The beat of a port, each element times the size of the multiplier."""
        unit, layout = self.unit, self.unit.inputs()[f"x{port}"]
        size, one = abs(unit.op.multipliers[port]), unit.products[port]
        beat, width = self.x[f"x{port}"], layout.type.width
        x = [beat.word_select(k, width) for k in range(layout.elements)]
        if layout.type.signed:
            x = [v.as_signed() for v in x]
        late, name = unit.late, f"product_{port}"
        if one is not None:
            values = one.build(m, x, Const(0, 0), name)
            return [pipe(m, v, late - one.latency, f"{name}_{k}") for k, v in enumerate(values)]
        x = [pipe(m, v, late, f"{name}_{k}") for k, v in enumerate(x)]
        if layout.type.bipolar:
            return [Mux(v, Const(size), Const(-size)) for v in x]
        return [v << (size.bit_length() - 1) for v in x]

    def _tree(self, m: Module, values: Sequence[Value], element: int) -> Value:
        """The sum of one element."""
        unit, row = self.unit, list(zip(values, self.unit.terms, strict=True))
        for n, rank in enumerate(unit.ranks):
            if len(row) == 1:
                row.insert(0, (Const(0), Term(Number(0, 0), False)))
            after: list[tuple[Value, Term]] = []
            for k, term in enumerate(rank):
                pair = row[2 * k : 2 * k + 2]
                value = pair[0][0] if len(pair) == 1 else _plus(*pair)
                name = f"sum_{element}_{n}_{k}"
                register = Signal(shape_of(term.number), name=name, reset_less=True)
                m.d.sync += register.eq(value)
                after.append((register, term))
            row = after
        return row[0][0] if row else Const(0)


def _plus(a: tuple[Value, Term], b: tuple[Value, Term]) -> Value:
    (x, one), (y, other) = a, b
    if one.negative == other.negative:
        return x + y
    return y - x if one.negative else x - y
