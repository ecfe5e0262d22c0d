"""One product as rows of weighted bits, each bit a function of few operand wires.

A product of run-time operands is a sum of rows; bit i of a row is worth ``2 ** (column + i)``.
A bit that counts negatively enters inverted, ``-b = (1 - b) - 1``, and the -1 joins a constant.
The ways to make the rows, all exact:

* planes: a row for each bit of w, of two wires a bit. For bipolar and ternary w one row that
  x passes through, inverted or zeroed.
* Booth rows: a row for each two bits of w, with digits -2 to 2 (A. D. Booth 1951, in the radix-4
  form of O. L. MacSorley 1961), of five wires a bit: as many as fit in front of a carry chain.
* Booth rows of x, likewise.

Where w is 0 or a power of two there is one row, of one of a few wirings of x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Value

from hwc.hw.dot.heap import DIRECT, INVERTED
from hwc.hw.dot.number import Number
from hwc.hw.dot.powers import Shifter, choose

__all__ = ["Lane", "Row", "constant_lane", "product_lanes", "shifted_lane"]

Make = Callable[[Value, Value, Value], Value]


@dataclass(frozen=True)
class Row:
    """Bits from ``column`` up, their kinds (see :mod:`heap`), and how to make the word.

    ``make(x, w, mask)`` takes the wires of one lane.
    """

    column: int
    kinds: tuple[int, ...]
    make: Make


@dataclass(frozen=True)
class Lane:
    """Rows and the constant that together are one product."""

    rows: tuple[Row, ...]
    constant: int


def product_lanes(
    x: Number, w: Number, width: int, popcount: bool, masked: bool
) -> tuple[Lane, ...]:
    """All the ways to make one product, for a heap of ``width`` columns."""

    def new() -> _Lane:
        return _Lane(width, masked)

    if x.bipolar and w.bipolar:
        return (_xnor(new(), popcount),)
    if x.bipolar or (_ternary(x) and not (_ternary(w) or w.bipolar)):
        return tuple(_swap(lane) for lane in product_lanes(w, x, width, False, masked))
    if _ternary(w) and _ternary(x):
        return (_ternary_product(new()),)
    found = []
    if w.bipolar or _ternary(w):
        found.append(_selected(new(), x, w))
    elif min(x.width, w.width) < 4 or max(x.width, w.width) < 6:
        found.append(_planes(new(), x, w))
    if _ternary(w) and x.width <= 2:
        found.append(_planes(new(), x, w))
    if min(x.width, w.width) >= 4:
        found += [_booth(new(), x, w), _swap(_booth(new(), w, x))]
    return tuple(found)


def _ternary(n: Number) -> bool:
    return (n.lo, n.hi) == (-1, 1) and not n.bipolar


def _swap(lane: Lane) -> Lane:
    def swapped(make: Make) -> Make:
        return lambda x, w, mask: make(w, x, mask)

    return Lane(tuple(Row(r.column, r.kinds, swapped(r.make)) for r in lane.rows), lane.constant)


class _Lane:
    """Collects rows; ``add`` takes care of signs and of the mask."""

    def __init__(self, width: int, masked: bool) -> None:
        self.width = width
        self.masked = masked
        self.rows: list[Row] = []
        self.constant = 0

    def add(self, column: int, kinds: tuple[int, ...], minus: int, make: Make) -> None:
        """A row; bit i counts negatively where bit i of ``minus`` is set. A masked row is 0."""
        # In the top column of the heap plus and minus are the same.
        minus &= ~(1 << max(0, self.width - 1 - column))
        found = []
        for i, kind in enumerate(kinds):
            wires = 1 if kind in (DIRECT, INVERTED) else kind
            if self.masked:
                kind = wires + 1
            elif wires == 1:
                kind = INVERTED if (kind == INVERTED) != bool(minus >> i & 1) else DIRECT
            found.append(kind)
        masked = self.masked

        def signed(x: Value, w: Value, mask: Value) -> Value:
            word = make(x, w, mask)
            if masked:
                word = word & mask.replicate(len(kinds))
            return word ^ Const(minus, len(kinds)) if minus else word

        self.rows.append(Row(column, tuple(found), signed))
        self.constant -= minus << column

    def done(self) -> Lane:
        return Lane(tuple(self.rows), self.constant)


def _xnor(lane: _Lane, popcount: bool) -> Lane:
    lane.add(0 if popcount else 1, (2,), 0, lambda x, w, mask: ~(x ^ w))
    if not popcount and lane.masked:
        lane.masked = False
        lane.add(0, (DIRECT,), 1, lambda x, w, mask: mask)
    elif not popcount:
        lane.constant -= 1
    return lane.done()


def _ternary_product(lane: _Lane) -> Lane:
    lane.add(0, (2,), 0, lambda x, w, mask: x[0] & w[0])
    lane.add(1, (4,), 1, lambda x, w, mask: x[0] & w[0] & (x[1] ^ w[1]))
    return lane.done()


def _selected(lane: _Lane, x: Number, w: Number) -> Lane:
    """x times -1, (0,) or 1: -x is ~x + 1, and the sign bit of ~x for unsigned x is extra."""
    bits = x.width
    top = 1 << (bits - 1) if x.signed else 0

    def negative(w: Value) -> Value:
        return ~w[0] if len(w) == 1 else w[1]

    def row(x: Value, w: Value, mask: Value) -> Value:
        word = x ^ negative(w).replicate(bits)
        return word if len(w) == 1 else word & w[0].replicate(bits)

    kind = INVERTED if w.bipolar else DIRECT
    lane.add(0, (1 + w.width,) * bits, top, row)
    lane.add(0, (kind,), 0, lambda x, w, mask: negative(w))
    if not x.signed:
        lane.add(bits, (kind,), 1, lambda x, w, mask: negative(w))
    return lane.done()


def _planes(lane: _Lane, x: Number, w: Number) -> Lane:
    bits = x.width
    for j in range(w.width):
        minus = 1 << (bits - 1) if x.signed else 0
        if w.signed and j == w.width - 1:
            minus ^= (1 << bits) - 1

        def row(x: Value, w: Value, mask: Value, j: int = j) -> Value:
            return x & w[j].replicate(bits)

        lane.add(j, (2,) * bits, minus, row)
    return lane.done()


def _booth(lane: _Lane, x: Number, w: Number) -> Lane:
    for low in range(0, w.width + (not w.signed), 2):
        _digit(lane, x, w, low)
    return lane.done()


def _digit(lane: _Lane, x: Number, w: Number, low: int) -> None:
    """The row of the digit ``-2 h + m + l`` with wires h, m, l = w[low + 1], w[low], w[low - 1]."""

    def wire(j: int) -> int | None:
        """Which bit of w, sign or zero extended; None is a constant 0."""
        return j if 0 <= j < w.width else w.width - 1 if j > 0 and w.signed else None

    h, m, l = wire(low + 1), wire(low), wire(low - 1)  # noqa: E741
    if (h, m, l) == (None, None, None):
        return
    doubles = None not in (m, l) if h is None else m != h
    inputs = len({h, m, l} - {None})
    bits = x.width + doubles

    def wires(w: Value) -> tuple[Value, Value, Value]:
        at = [Const(0, 1) if j is None else w[j] for j in (h, m, l)]
        return at[0], at[1], at[2]

    def row(x_: Value, w_: Value, mask: Value) -> Value:
        vh, vm, vl = wires(w_)
        sign = x_[-1] if x.signed else Const(0, 1)
        word = Mux(vm ^ vl, Cat(x_, sign) if doubles else x_, 0)
        if doubles:
            word = Mux((vh & ~vm & ~vl) | (~vh & vm & vl), Cat(Const(0, 1), x_), word)
        return word ^ vh.replicate(bits) if h is not None else word

    def kind(i: int) -> int:
        used = {i, i - 1} if doubles else {i}
        used = {min(k, x.width - 1) if x.signed else k for k in used}
        return inputs + len([k for k in used if 0 <= k < x.width])

    kinds = tuple(kind(i) for i in range(bits))
    lane.add(low, kinds, 1 << (bits - 1) if x.signed else 0, row)
    if h is not None:
        lane.add(low, (DIRECT,), 0, lambda x, w, mask: w[h])
        if not x.signed:
            lane.add(low + bits, (DIRECT,), 1, lambda x, w, mask: w[h])


def constant_lane(x: Number, weight: int, width: int) -> Lane:
    """``x * weight`` in canonical signed digits; the rows are functions of operand x alone."""
    lane = _Lane(width, False)
    if x.bipolar:
        # x is 2 b - 1 for its bit b.
        lane.constant = -weight
        weight *= 2
    bits, column = x.width, 0
    top = 1 << (bits - 1) if x.signed else 0
    while weight:
        if weight & 1:
            digit = 2 - (weight & 3)
            minus = top if digit > 0 else top ^ ((1 << bits) - 1)
            lane.add(column, (DIRECT,) * bits, minus, lambda x, w, mask: x)
            weight -= digit
        weight >>= 1
        column += 1
    return lane.done()


def shifted_lane(x: Number, by: Shifter, width: int) -> Lane:
    """x times a power of two: operand x after the fine shift, operand w the control bits behind it.
    A row chooses a wiring, or 0; -v is ~v + 1, and the sign bit of ~v for unsigned x is extra.
    """
    lane = _Lane(width, False)
    have = x.width + by.fines[-1]
    bits = have + by.ways[-1]
    select = by.select_bits

    def row(x_: Value, w: Value, mask: Value) -> Value:
        sign = x_[-1] if x.signed else Const(0, 1)
        words: list[Value] = [Const(0, bits)] * (by.way_codes[-1] + 1)
        for way, code in zip(by.ways, by.way_codes, strict=True):
            words[code] = Cat(Const(0, way), x_, sign.replicate(bits - have - way))
        if by.zero and len(by.ways) == 2:
            word = choose(w[1], [words[1], words[3]]) & w[0].replicate(bits)
        else:
            word = choose(w[:select], words)
        return word ^ w[select].replicate(bits) if by.signed else word

    def kind(i: int) -> int:
        used = {min(i - way, have - 1) if x.signed else i - way for way in by.ways if i >= way}
        wires = len([k for k in used if k < have])
        total = (wires + select if wires else 0) + by.signed
        return total if total > 1 else DIRECT

    kinds = tuple(kind(i) for i in range(bits))
    lane.add(by.base, kinds, 1 << (bits - 1) if x.signed else 0, row)
    if by.signed:
        lane.add(by.base, (DIRECT,), 0, lambda x, w, mask: w[select])
        if not x.signed:
            lane.add(by.base + bits, (DIRECT,), 1, lambda x, w, mask: w[select])
    return lane.done()
