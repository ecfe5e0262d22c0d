"""Maximum or sum of values that arrive some at a time: a pipelined tree, then an accumulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Module, Mux, Shape, Signal, Value, ValueLike

from hwc.compiler.graph import Type
from hwc.compiler.graph.pool import Reduction
from hwc.hw.dot import ConstantDotSpec, Number
from hwc.hw.resources import Resources
from hwc.hw.units.parts import adder_levels, compare_levels, shape_of

__all__ = ["Reducer", "greater_luts", "split"]


def split(beat: Value, type: Type, count: int) -> list[Value]:
    """The first ``count`` elements of a beat as numbers; bipolar ones stay the bit on the wire."""
    parts = [beat.word_select(i, type.width) for i in range(count)]
    return [part.as_signed() for part in parts] if type.signed else parts


def greater_luts(width: int) -> int:
    """LUTs of ``a > b`` for two variables of ``width`` bits, as yosys maps it."""
    return 2 if width == 4 else -(-2 * width // 3)


@dataclass(frozen=True)
class Reducer:
    """Reduces ``total`` elements of type ``x``, ``lanes`` of them in each of several steps.

    ``y`` is the type of the result (its shape does not matter). In the last step only the first
    ``tail`` lanes count. Bipolar sums count the +1s: ``2 * ones - total``.
    """

    kind: Reduction
    x: Type
    y: Type
    lanes: int
    total: int
    max_levels: int = 6

    @property
    def steps(self) -> int:
        """Steps until a result."""
        return -(-self.total // self.lanes)

    @property
    def tail(self) -> int:
        """Lanes that count in the last step."""
        return self.total - (self.steps - 1) * self.lanes

    @property
    def shape(self) -> Shape:
        """Shape of the accumulator; a bipolar maximum stays one bit."""
        return Shape(self.y.width, self.y.signed)

    @cached_property
    def _dot(self) -> ConstantDotSpec:
        x, ones = Number.of(self.x), (1,) * self.lanes
        return ConstantDotSpec(x, ones, self._budget, popcount=self.x.bipolar)

    @property
    def _gates(self) -> bool:
        """Whether lanes are masked in the last step."""
        return self.tail < self.lanes

    @property
    def _budget(self) -> int:
        """Levels for the tree itself: the queue in front is read and lanes are masked before."""
        return max(3, self.max_levels - 1 - self._gates)

    @property
    def _pair_levels(self) -> float:
        """Levels of the maximum of two elements."""
        return 1 if self.x.width == 1 else compare_levels(self.x.width) + 1

    @cached_property
    def _ranks(self) -> int:
        """Ranks of the tree of maxima between two registers."""
        if self.x.width == 1:
            return max(1, round(self._budget * 2.5))  # six-input ORs
        return max(1, int(self._budget // self._pair_levels))

    @property
    def latency(self) -> int:
        """Cycles through the tree."""
        if self.lanes == 1:
            return 0
        if self.kind == "sum":
            return self._dot.latency
        return -(-(self.lanes - 1).bit_length() // self._ranks)

    @property
    def worst_levels(self) -> float:
        """Longest path, from the queue in front and with the accumulator (behind a memory)."""
        front = 1 + self._gates
        if self.kind == "sum":
            tree = self._dot.worst_levels if self.lanes > 1 else 0
            return max(tree + front, adder_levels(self.y.width) + 1)
        ranks = min(self._ranks, (self.lanes - 1).bit_length())
        tree = math.log(max(2, self.lanes), 6) if self.x.width == 1 else ranks * self._pair_levels
        return max(math.ceil(tree) + front, self._pair_levels + 1)

    def resources(self) -> Resources:
        """Estimated primitives of the tree of one result."""
        gates = (self.lanes - self.tail) * self.x.width
        if self.lanes == 1:
            return Resources(gates, 0, 0, 0)
        if self.kind == "sum":
            return self._dot.resources() + Resources(gates, 0, 0, 0)
        ff, left = 0, self.lanes
        for _ in range(self.latency):
            left = -(-left // 2**self._ranks)
            ff += left * self.x.width
        if self.x.width == 1:
            return Resources(gates + -(-(self.lanes - 1) // 5), ff, 0, 0)
        pair = greater_luts(self.x.width) + self.x.width
        return Resources(gates + (self.lanes - 1) * pair, ff, 0, 0)

    def step_luts(self, memory: bool = False) -> int:
        """Estimated LUTs of :meth:`merge`, whose result goes to a register or to a memory."""
        if self.kind == "sum":
            return self.y.width
        compare = greater_luts(self.x.width) + (self.x.width > 4)
        # A register keeps what it has by its clock enable; a memory is written with either value.
        return compare + self.x.width * (memory and self.x.width > 2)

    def tree(self, m: Module, x: Sequence[Value], last: ValueLike, name: str) -> Value:
        """What a step contributes; ``last`` says that only the first ``tail`` lanes count."""
        x = list(x)
        if self.tail < self.lanes:
            neutral = 0 if self.kind == "sum" or self.x.bipolar else self.x.lo
            x[self.tail :] = [Mux(last, neutral, v) for v in x[self.tail :]]
        if self.lanes == 1:
            return x[0]
        if self.kind == "sum":
            return self._dot.build(m, [v[: self.x.width] for v in x], name=name)
        number = Number(0, 1) if self.x.bipolar else Number.of(self.x)
        for stage in range(self.latency):
            for _ in range(self._ranks):
                pairs = zip(x[::2], x[1::2], strict=False)
                x = [self._max(a, b) for a, b in pairs] + x[len(x) // 2 * 2 :]
            regs = [
                Signal(shape_of(number), name=f"{name}_max_{stage}_{i}", reset_less=True)
                for i in range(len(x))
            ]
            m.d.sync += [r.eq(v) for r, v in zip(regs, x, strict=True)]
            x = list(regs)
        return x[0]

    def _max(self, a: Value, b: Value) -> Value:
        return a | b if self.x.width == 1 and not self.x.signed else Mux(a > b, a, b)

    def alone(self, value: Value) -> Value:
        """The result, if the tree sees all of it."""
        return 2 * value - self.total if self._counts else value

    def merge(
        self, value: Value, before: Value, first: ValueLike, total: int | None = None
    ) -> Value:
        """The accumulator after a step. ``total``: elements of a result, if not just a row."""
        if self.kind == "sum":
            start = -(self.total if total is None else total) if self._counts else 0
            return (2 * value if self._counts else value) + Mux(first, start, before)
        if self.x.width == 1 and not self.x.signed:
            return value | (before & ~Value.cast(first))
        return Mux(Value.cast(first) | (value > before), value, before)

    @property
    def _counts(self) -> bool:
        return self.x.bipolar and self.kind == "sum"
