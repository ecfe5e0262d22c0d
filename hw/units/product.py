"""What all ways of multiplying by a constant of the channel have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Const, Module, Signal, Value

from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.units.parts import shape_of
from hwc.hw.units.rom import Rom, rom_form

__all__ = ["Constants", "Product"]

Constants = tuple[tuple[int, int], ...]
"""``(factor, addend)`` of each channel step."""


@dataclass(frozen=True)
class Product(ABC):
    """``x * factor + addend`` for lanes whose constants change with the channel step."""

    x: Number
    lanes: tuple[Constants, ...]
    max_levels: int = 6

    @property
    def steps(self) -> int:
        """Words of constants per lane."""
        return len(self.lanes[0])

    @cached_property
    def factor(self) -> Number:
        """What a factor can be."""
        values = [f for lane in self.lanes for f, _ in lane]
        return Number(min(values), max(values))

    @cached_property
    def addend(self) -> Number:
        """What an addend can be."""
        values = [a for lane in self.lanes for _, a in lane]
        return Number(min(values), max(values))

    @cached_property
    def result(self) -> Number:
        """The interval of the result, from the actual constants."""
        pairs = {pair for lane in self.lanes for pair in lane}
        ends = [f * x + a for f, a in pairs for x in (self.x.lo, self.x.hi)]
        return Number(min(ends), max(ends))

    @property
    @abstractmethod
    def lead(self) -> int:
        """Cycles by which the channel step comes before its x."""

    @property
    @abstractmethod
    def latency(self) -> int:
        """Cycles from x to the result."""

    @property
    @abstractmethod
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""

    @abstractmethod
    def each(self) -> Resources:
        """Estimated primitives of one value, on average over the lanes."""

    def tables(self) -> Resources:
        """Estimated primitives of the constants of all lanes."""
        return self._rom.copies(len(self.lanes))

    @abstractmethod
    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        """Results of x, value i with the constants of lane ``i % lanes``."""

    @cached_property
    def _rom(self) -> Rom:
        width = self.factor.width * self._varies(0) + self.addend.width * self._varies(1)
        return Rom(width, self.steps, rom_form(width, self.steps) if width else "lutrom")

    def _varies(self, field: int) -> bool:
        return self.steps > 1 and len({pair[field] for lane in self.lanes for pair in lane}) > 1

    def _constants(self, m: Module, step: Value, name: str) -> list[tuple[Value, Value]]:
        """Factor and addend of each lane, one cycle after the step."""
        numbers, out = (self.factor, self.addend), []
        for n, lane in enumerate(self.lanes):
            words = []
            for pair in lane:
                word, at = 0, 0
                for field, number in enumerate(numbers):
                    if self._varies(field):
                        word |= (pair[field] & (1 << number.width) - 1) << at
                        at += number.width
                words.append(word)
            word = self._rom.build(m, words, step, f"{name}_constants_{n}")
            values, at = [], 0
            for field, number in enumerate(numbers):
                if self._varies(field):
                    value = word[at : at + number.width]
                    values.append(value.as_signed() if number.signed else value)
                    at += number.width
                else:
                    values.append(Const(lane[0][field], shape_of(number)))
            out.append((values[0], values[1]))
        return out

    def _sum(self, m: Module, value: Value, addend: Value, name: str) -> Value:
        total = Signal(shape_of(self.result), name=name, reset_less=True)
        m.d.sync += total.eq(value + addend)
        return total
