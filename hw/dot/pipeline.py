"""From lanes of rows to a pipeline: what all kinds of sums share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned

from hwc.hw.dot.emit import Heap, Word
from hwc.hw.dot.heap import Plan
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.planner import Strategy, cost, plan
from hwc.hw.dot.products import Lane
from hwc.hw.resources import Resources

__all__ = [
    "Counts",
    "Wires",
    "check_levels",
    "count",
    "emit",
    "nothing",
    "shape",
    "sliced",
    "solve",
    "spent",
]

Counts = tuple[tuple[int, ...], ...]
"""Bits per column and kind of a whole heap."""

Wires = Callable[[int], Value]
"""The wires of one operand of a lane at a cycle."""

_PLANES = (Strategy(0.75, 3, 2), Strategy(0.6, 4, 2), Strategy(1.0, 1, 2))
_BOOTH = (Strategy(0.25, 4, 2), Strategy(0.4, 3, 2), Strategy(1.0, 1, 2))
_PLAIN = (Strategy(1.0, 1, 1), Strategy(1.0, 1, 2), Strategy(1.0, 1, 3))
# Of planner.STRATEGIES these were best or within 2 % of it for 1 to 8-bit operands.


def shape(number: Number) -> Shape:
    """The Amaranth shape of a number's wires."""
    return signed(number.width) if number.signed else unsigned(number.width)


def count(lanes: Iterable[tuple[Lane, int]], width: int) -> Counts:
    """The heap of so many copies of lanes, modulo ``2 ** width``."""
    heap = [[0] * 8 for _ in range(width)]
    constant = 0
    for lane, copies in lanes:
        constant += lane.constant * copies
        for row in lane.rows:
            for column, kind in enumerate(row.kinds[: max(0, width - row.column)], row.column):
                heap[column][kind] += copies
    for column in range(width):
        heap[column][0] += constant >> column & 1
    return tuple(map(tuple, heap))


@lru_cache(maxsize=4096)
def solve(counts: Counts, levels: int, wires: int) -> Plan:
    """The best plan found; ``wires`` are those of all operands that may have to wait."""
    kinds = [kind for kind in range(2, 7) if any(bits[kind] for bits in counts)]
    strategies = _PLAIN if not kinds else _PLANES if max(kinds) <= 3 else _BOOTH
    plans = [plan(counts, levels, strategy) for strategy in strategies]
    return min(plans, key=lambda p: cost(p, wires))


def spent(p: Plan, wires: int, result: Number) -> Resources:
    """What a plan costs, with the register of the sum."""
    last = result.width if p.last else 0
    return Resources(p.luts, p.bits + round(wires * sum(p.waiting)) + last, 0, 0)


def check_levels(what: str, levels: int, result: Number) -> None:
    """A carry chain over the whole sum has to fit between two registers."""
    need = -(-(16 + (result.width + 5) // 4 - 1) // 8)
    if levels < need:
        raise DotError(
            f"{what}: a sum of {result.width} bits takes {need} levels between registers at "
            f"least, got levels={levels}"
        )


def sliced(m: Module, values: Sequence[Value], width: int) -> list[Wires]:
    """Per lane its wires at any cycle, through registers that all lanes share."""
    # A signal: Amaranth evaluates the whole concatenation again for each slice of one.
    joined = Signal(width * len(values), name="lanes")
    m.d.comb += joined.eq(Cat(*values))
    word = Word(m, joined)

    def wires(index: int) -> Wires:
        return lambda cycle: word.at(cycle)[index * width : (index + 1) * width]

    return [wires(index) for index in range(len(values))]


def emit(
    m: Module,
    lanes: Sequence[Lane],
    operands: Sequence[tuple[Wires, Wires, Wires]],
    p: Plan,
    result: Number,
    name: str,
    start: int = 0,
) -> Signal:
    """The sum of lanes whose operands (x, w, mask) are there from cycle ``start`` on."""
    heap = Heap(m, result.width)
    for lane, wires in zip(lanes, operands, strict=True):
        for row in lane.rows:

            def made(cycle: int, row=row, wires=wires) -> Value:
                return row.make(*(operand(cycle) for operand in wires))

            heap.add(Word(m, make=made), row.column, row.kinds)
    heap.add_constant(sum(lane.constant for lane in lanes))
    total = heap.reduce(p, start)
    out = Signal(shape(result), name=name)
    if p.last:
        m.d.sync += out.eq(total)
    else:
        m.d.comb += out.eq(total)
    return out


def nothing(cycle: int) -> Value:
    """The wires of an operand that a lane does not have."""
    del cycle
    return Const(0, 1)
