"""Two sums of products that share one operand, two products in each DSP48E1.

A block multiplies ``u * 2**f + v`` by x: the low f bits of its sum are those of ``sum(x * v)``, and
what is above is ``sum(x * u)``, one less where the low field is negative, which is given back when
the groups are added. The field is as wide as a group needs, so a group ends where the packed
weights would leave the block's 25 bits. (The packing of Xilinx WP486, with exact correction.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwc.hw.dot.emit import Word
from hwc.hw.dot.heap import Plan
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import Wires, check_levels, count, emit, nothing, shape, solve, spent
from hwc.hw.dot.products import Lane, constant_lane
from hwc.hw.resources import Resources

__all__ = ["PairSpec", "fits_pair"]


def fits_pair(x: Number, w: Number) -> bool:
    """Whether one block can multiply two weights by one x."""
    if x.bipolar or w.bipolar or min(x.width, w.width) < 2 or x.width + (not x.signed) > 18:
        return False
    return _group(x, w) > 0


def _low(x: Number, w: Number, lanes: int) -> Number:
    """The interval of the low field over a group."""
    lo, hi = x.span(w)
    return Number(lo * lanes, hi * lanes)


def _group(x: Number, w: Number) -> int:
    """Most lanes of a group, 0 to 8: packed weights are 25 bits of two's complement."""
    for lanes in range(8, 0, -1):
        field = _low(x, w, lanes).width
        packed = [end * 2**field + end for end in (w.lo, w.hi)]
        if -(2**24) <= packed[0] and packed[1] < 2**24:
            return lanes
    return 0


@dataclass(frozen=True)
class PairSpec:
    """``sum(x[i] * u[i])`` and ``sum(x[i] * v[i])`` with u and v of number ``w``, pipelined.

    One DSP48E1 a lane, half as many as two :class:`DotSpec`, and more LUTs: groups are short.
    ``levels``: as in :class:`DotSpec`. DotError unless :func:`fits_pair`.
    """

    x: Number
    w: Number
    lanes: int
    levels: int = 6

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise DotError(f"PairSpec: lanes >= 1 is needed, got {self.lanes}")
        if not fits_pair(self.x, self.w):
            raise DotError(
                f"PairSpec: two products of {self.x} and {self.w} do not fit a DSP48E1 (packed "
                "weights take 25 bits at most); use DotSpec"
            )
        check_levels("PairSpec", self.levels, self.result)

    @property
    def result(self) -> Number:
        """The interval of each sum."""
        return _low(self.x, self.w, self.lanes)

    @property
    def groups(self) -> tuple[int, ...]:
        """Lanes of each cascade of blocks."""
        size = min(self.lanes, _group(self.x, self.w))
        full, rest = divmod(self.lanes, size)
        return (size,) * full + ((rest,) if rest else ())

    @property
    def _start(self) -> int:
        return self.groups[0] + 3

    @property
    def latency(self) -> int:
        """Cycles from operands to both sums."""
        return self._start + max(p.cuts + (p.last > 0) for p in _solve(self))

    @property
    def worst_levels(self) -> int:
        """Worst path from operand or register to register, in LUT and carry levels."""
        return -(-max(p.eighths for p in _solve(self)) // 8)

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part."""
        plans = _solve(self)
        total = sum((spent(p, 0, self.result) for p in plans), Resources.zero())
        ends = [p.cuts + (p.last > 0) for p in plans]
        waits = (max(ends) - min(ends)) * self.result.width
        for lanes in self.groups:
            late = lanes * (lanes - 1) // 2
            waits += (late + lanes) * self.w.width + late * (self.w.width + self.x.width)
            waits += (self.groups[0] - lanes) * self._split(lanes).total.width
        return total + Resources(0, waits, self.lanes, 0)

    def waiting(self) -> tuple[int, int]:
        """Those of the flip-flops in which x and in which both weights wait: pairs with an operand
        in common have them only once."""
        late = sum(n * (n - 1) // 2 for n in self.groups)
        return late * self.x.width, (2 * late + self.lanes) * self.w.width

    def _split(self, lanes: int) -> _Fields:
        return _fields(self.x, self.w, lanes)

    def build(
        self,
        m: Module,
        x: Sequence[Value],
        u: Sequence[Value],
        v: Sequence[Value],
        name: str = "dot",
    ) -> tuple[Signal, Signal]:
        """Emit the pipeline into ``m``: the sums with ``u`` and with ``v``, ``latency`` later."""
        for what, values, number in (("x", x, self.x), ("u", u, self.w), ("v", v, self.w)):
            widths = {len(Value.cast(value)) for value in values}
            if len(values) != self.lanes or widths != {number.width}:
                raise DotError(
                    f"PairSpec: {what} needs {self.lanes} values of {number.width} bits, got "
                    f"{len(values)} of {sorted(widths)}"
                )
        words, first = [], 0
        for lanes in self.groups:
            part = slice(first, first + lanes)
            words.append(self._cascade(m, x[part], u[part], v[part]))
            first += lanes
        sums = []
        for high, p, suffix in zip((True, False), _solve(self), ("u", "v"), strict=True):
            operands: list[tuple[Wires, Wires, Wires]] = []
            for word, lanes in zip(words, self.groups, strict=True):
                for at, stop in self._split(lanes).places(high):
                    operands.append((_part(word, at, stop), nothing, nothing))
            lanes_ = _lanes(self, high)
            total = emit(m, lanes_, operands, p, self.result, f"{name}_{suffix}", self._start)
            end = self._start + p.cuts + (p.last > 0)
            late = Word(m, total, end).at(self.latency)
            out = Signal(shape(self.result), name=f"{name}_{suffix}_out")
            m.d.comb += out.eq(late)
            sums.append(out)
        return sums[0], sums[1]

    def _cascade(
        self, m: Module, x: Sequence[Value], u: Sequence[Value], v: Sequence[Value]
    ) -> Word:
        """The blocks of a group: pre-adder, product and sum, each with its register."""
        total: Signal | None = None
        for k in range(len(x)):
            fields = self._split(len(x))
            shift = fields.low.width
            a, b = Word(m, u[k]).at(k + 1), Word(m, v[k]).at(k + 1)
            by = Word(m, x[k]).at(k + 2)
            if self.w.signed:
                a, b = a.as_signed(), b.as_signed()
            by = by.as_signed() if self.x.signed else by
            ends = (self.w.lo * 2**shift + self.w.lo, self.w.hi * 2**shift + self.w.hi)
            weights = Signal(shape(Number(*ends)), name="packed")
            upper = Cat(Const(0, shift), a)
            m.d.sync += weights.eq((upper.as_signed() if self.w.signed else upper) + b)
            one, some = self._split(1).sum(shift), self._split(k + 1).sum(shift)
            product = Signal(shape(one), name="product")
            partial = Signal(shape(some), name="cascade")
            m.d.sync += product.eq(weights * by)
            m.d.sync += partial.eq(product if total is None else total + product)
            total = partial
        assert total is not None
        return Word(m, total, len(x) + 3)


class _Fields(NamedTuple):
    """The two fields of a group's sum; ``high`` counts one less where ``low`` is negative."""

    low: Number
    high: Number

    @property
    def total(self) -> Number:
        return self.sum(self.low.width)

    def sum(self, shift: int) -> Number:
        """The interval of both together."""
        return Number(self.low.lo * 2**shift + self.low.lo, self.low.hi * 2**shift + self.low.hi)

    def places(self, high: bool) -> list[tuple[int, int]]:
        """First and past the last bit of each part of one field."""
        shift = self.low.width
        if not high:
            return [(0, shift)]
        borrow = [(shift - 1, shift)] if self.low.signed else []
        return [(shift, shift + self.high.width), *borrow]


def _fields(x: Number, w: Number, lanes: int) -> _Fields:
    low = _low(x, w, lanes)
    return _Fields(low, Number(low.lo - low.signed, low.hi))


def _part(word: Word, start: int, stop: int) -> Wires:
    def wires(cycle: int) -> Value:
        value = word.at(cycle)
        sign = value[-1]
        return Cat(value, sign.replicate(max(0, stop - len(value))))[start:stop]

    return wires


def _lanes(spec: PairSpec, high: bool) -> list[Lane]:
    """What :meth:`_Fields.places` of every group add."""
    width, found = spec.result.width, []
    for lanes in spec.groups:
        fields = _fields(spec.x, spec.w, lanes)
        found.append(constant_lane(fields.high if high else fields.low, 1, width))
        if high and fields.low.signed:
            found.append(constant_lane(Number(0, 1), 1, width))
    return found


@lru_cache(maxsize=1024)
def _solve(spec: PairSpec) -> tuple[Plan, Plan]:
    """Plans for the sum with u and the sum with v."""
    plans = []
    for high in (True, False):
        lanes = [(lane, 1) for lane in _lanes(spec, high)]
        plans.append(solve(count(lanes, spec.result.width), spec.levels, 0))
    return plans[0], plans[1]
