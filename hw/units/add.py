"""Sums of several streams, each times an integer: residual connections."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.compiler.graph import Add, Type
from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.joined import Joined
from hwc.hw.units.multiply import LUTS_A_DSP, DspProduct, Style
from hwc.hw.units.parts import adder_levels, pipe, pipe_resources, shape_of
from hwc.hw.units.reducer import split

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
class Leaf:
    """One summand of the tree: an input shifted left, or (``shift`` is None) all of its product."""

    port: int
    shift: int | None
    term: Term


@dataclass(frozen=True)
class AddUnit(Joined):
    """Graph op ``Add``: beats of ports ``x0``, ``x1`` ... (same shape and tile) to port ``y``.

    A firing takes one beat from every port. A multiplier is a few shifted copies of its input, or
    a DSP block where those would take more than ``LUTS_A_DSP`` LUTs (``style`` decides otherwise);
    then a tree of two-input adders with a register each. A bipolar input times anything is wiring.
    Latency: the slowest DSP block and one cycle per rank of the tree.
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
        if self.levels() > self.max_levels:
            raise UnitError(
                f"AddUnit: an adder of {self.outputs()['y'].type.width} bits takes "
                f"{self.levels()} levels, but max_levels is {self.max_levels}"
            )

    @cached_property
    def products(self) -> tuple[DspProduct | None, ...]:
        """The DSP block of each input that has one."""
        return tuple(map(self._dsp, self.op.multipliers, self.types))

    def _dsp(self, factor: int, x: Type) -> DspProduct | None:
        size = abs(factor)
        copies = len(signed_digits(size))
        if self.style == "lut" or x.bipolar or copies <= 1:
            return None
        block = DspProduct(Number.of(x), (((size, 0),),), self.max_levels)
        luts = (copies - 1) * (x.width + size.bit_length())
        if self.style == "auto" and (luts <= LUTS_A_DSP * block.blocks or not block.possible):
            return None
        if not block.possible:
            raise UnitError(f"AddUnit: multiplier {factor} does not fit a DSP block; use 'lut'")
        return block

    @property
    def late(self) -> int:
        """Cycles through the DSP blocks."""
        return max(0 if p is None else p.latency for p in self.products)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """What goes into the tree."""
        out: list[Leaf] = []
        for port, (factor, x) in enumerate(zip(self.op.multipliers, self.types, strict=True)):
            size = abs(factor)
            if x.bipolar and factor:
                out.append(Leaf(port, None, Term(Number(-size, size), False)))
            elif self.products[port] is not None:
                out.append(Leaf(port, None, Term(Number(size * x.lo, size * x.hi), factor < 0)))
            else:
                for shift, sign in signed_digits(factor):
                    number = Number(x.lo << shift, x.hi << shift)
                    out.append(Leaf(port, shift, Term(number, sign < 0)))
        return tuple(out)

    @cached_property
    def ranks(self) -> tuple[tuple[Term, ...], ...]:
        """What comes out of each rank of adders."""
        out: list[tuple[Term, ...]] = []
        row = tuple(leaf.term for leaf in self.leaves)
        while len(row) > 1 or (row and row[0].negative):
            if len(row) == 1:
                zero = Term(Number(0, 0), False)
                row = (zero.plus(row[0]),)
            else:
                pairs = zip(row[::2], row[1::2], strict=False)
                row = (*(a.plus(b) for a, b in pairs), *row[len(row) // 2 * 2 :])
            out.append(row)
        return tuple(out)

    @property
    def delay(self) -> int:
        return self.late + len(self.ranks)

    def resources(self) -> Resources:
        each = Resources.zero()
        for block, x in zip(self.products, self.types, strict=True):
            each += pipe_resources(x.width, self.late) if block is None else block.each()
        before = [leaf.term for leaf in self.leaves]
        zeros = [leaf.shift or 0 for leaf in self.leaves]
        for rank in self.ranks:
            # Above the wider operand there is only a carry, or a sign that the bit below has too;
            # below, as long as one operand has only zeros, there is the other, or its inverse.
            pairs = list(zip(before[::2], before[1::2], zeros[::2], zeros[1::2], strict=False))
            luts = sum(max(a.number.width, b.number.width) - max(z) for a, b, *z in pairs)
            each += Resources(luts, sum(t.number.width for t in rank), 0, 0)
            before = list(rank)
            zeros = [min(z) for _, _, *z in pairs] + zeros[2 * len(pairs) :]
        return control_resources(self.schedule(), ()) + each * math.prod(self.tile)

    def levels(self) -> int:
        # The first rank reads the queues in front.
        ranks = [
            adder_levels(t.number.width) + (n == 0 and self.late == 0)
            for n, rank in enumerate(self.ranks)
            for t in rank
        ]
        return math.ceil(max(ranks, default=1))

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


def signed_digits(number: int) -> list[tuple[int, int]]:
    """``number`` as a sum of ``sign << shift``, no two neighbouring shifts: the fewest there are.

    The canonical signed digits of Reitwiesner (1960).
    """
    sign, rest, shift = (1 if number > 0 else -1), abs(number), 0
    out: list[tuple[int, int]] = []
    while rest:
        if rest & 1:
            digit = 2 - (rest & 3)
            out.append((shift, sign * digit))
            rest -= digit
        rest >>= 1
        shift += 1
    return out


class _Path(Datapath):
    """Per element of a beat: products, then the tree."""

    def __init__(self, unit: AddUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        y = unit.outputs()["y"]
        columns = [self._column(m, n, leaf) for n, leaf in enumerate(unit.leaves)]
        parts: list[Value] = []
        for k in range(y.elements):
            total = self._tree(m, [column[k] for column in columns], k)
            out = Signal(y.type.width, name=f"y_{k}")
            m.d.comb += out.eq(total)
            parts.append(out)
        m.d.comb += self.y["y"].eq(Cat(*parts))
        return m

    def _column(self, m: Module, number: int, leaf: Leaf) -> list[Value]:
        """One summand of every element of a beat."""
        unit, layout = self.unit, self.unit.inputs()[f"x{leaf.port}"]
        x = split(self.x[f"x{leaf.port}"], layout.type, layout.elements)
        name = f"leaf_{number}"
        block = unit.products[leaf.port]
        if block is not None:
            values = block.build(m, x, Const(0, 0), name)
            late = unit.late - block.latency
            return [pipe(m, v, late, f"{name}_late_{k}") for k, v in enumerate(values)]
        values = [pipe(m, v, unit.late, f"{name}_late_{k}") for k, v in enumerate(x)]
        if leaf.shift is None:
            factor = unit.op.multipliers[leaf.port]
            return [Mux(v, Const(factor), Const(-factor)) for v in values]
        return [v << leaf.shift for v in values]

    def _tree(self, m: Module, values: Sequence[Value], element: int) -> Value:
        """The sum of one element."""
        unit, row = (
            self.unit,
            list(zip(values, (leaf.term for leaf in self.unit.leaves), strict=True)),
        )
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
