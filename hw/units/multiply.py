"""A product with a constant of the channel, plus another constant: in DSP blocks or in LUTs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwc.hw.dot import ConstantDotSpec, DotSpec, Number
from hwc.hw.resources import Resources
from hwc.hw.unit import UnitError
from hwc.hw.units.parts import adder_levels, pipe, pipe_resources, shape_of
from hwc.hw.units.product import Constants, Product

__all__ = ["DspProduct", "LutProduct", "Style", "WiredProduct", "product"]

Style = Literal["auto", "lut", "dsp"]
LUTS_A_DSP = 64
"""Up to how many LUTs a multiplier by one constant may cost before a DSP block is better."""


class DspProduct(Product):
    """DSP blocks with all their registers: one if x and factor fit in 25 and 18 bits, signed.

    Otherwise x is cut into unsigned slices below a signed rest, and each block adds the product of
    its slice to what the block below has left over (Xilinx UG479, wide multipliers).
    """

    @property
    def lead(self) -> int:
        return 0

    @cached_property
    def _slice(self) -> int:
        """Bits of x that one block takes, besides a sign bit."""
        return 24 if _signed_width(self.factor) <= 18 else 17

    @cached_property
    def blocks(self) -> int:
        """DSP blocks for one value."""
        if _signed_width(self.x) <= 18 and _signed_width(self.factor) <= 25:
            return 1
        return max(1, -(-(_signed_width(self.x) - 1) // self._slice))

    @property
    def possible(self) -> bool:
        """Whether factor and addend fit a DSP block: 25 bits, and 48 with room for the sum."""
        return _signed_width(self.factor) <= 25 and _signed_width(self.addend) <= 46

    @property
    def latency(self) -> int:
        return 2 + self.blocks

    @property
    def worst_levels(self) -> float:
        return self._rom.levels

    def each(self) -> Resources:
        spare = Resources.zero()
        for n in range(1, self.blocks):
            spare += pipe_resources(self._slice, n)
        return spare + Resources(0, 0, self.blocks, 0)

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        constants = self._constants(m, step, name)
        return [
            self._one(m, v, *constants[i % len(self.lanes)], f"{name}_{i}") for i, v in enumerate(x)
        ]

    def _one(self, m: Module, x: Value, factor: Value, addend: Value, name: str) -> Value:
        low: list[Value] = []
        total: Value = pipe(m, addend, 1, f"{name}_addend")
        for n in range(self.blocks):
            rest = x[n * self._slice :]
            part = rest.as_signed() if x.shape().signed else rest
            if n < self.blocks - 1:
                part = x[n * self._slice : (n + 1) * self._slice]
            a = pipe(m, part, 1 + n, f"{name}_x_{n}")
            f = pipe(m, factor, n, f"{name}_factor_{n}")
            p = pipe(m, a * f, 1, f"{name}_product_{n}")
            total = pipe(m, p + total, 1, f"{name}_sum_{n}")
            if n < self.blocks - 1:
                low.append(pipe(m, total[: self._slice], self.blocks - 1 - n, f"{name}_low_{n}"))
                total = total >> self._slice
        whole = Signal(shape_of(self.result), name=f"{name}_total")
        m.d.comb += whole.eq(Cat(*low, total))
        return whole


class LutProduct(Product):
    """A multiplier in LUTs, its factor from a table."""

    @cached_property
    def _dot(self) -> DotSpec:
        return DotSpec(self.x, self.factor, 1, "lut", self.max_levels)

    @property
    def _adds(self) -> bool:
        return (self.addend.lo, self.addend.hi) != (0, 0)

    @property
    def lead(self) -> int:
        return 1

    @property
    def latency(self) -> int:
        return self._dot.latency + self._adds

    @property
    def worst_levels(self) -> float:
        add = adder_levels(self.result.width) if self._adds else 0
        return max(self._dot.worst_levels, add, self._rom.levels)

    def each(self) -> Resources:
        width = self.result.width * self._adds
        return self._dot.resources() + Resources(width, width, 0, 0)

    def tables(self) -> Resources:
        total, width = super().tables(), self.addend.width
        if not self._varies(1):
            return total
        late = pipe_resources(width, self._dot.latency)
        if self._rom.form == "lutrom":
            # The register of the table is the first of the addend's.
            late = pipe_resources(width, self._dot.latency + 1) + Resources(0, -width, 0, 0)
        return total + late * len(self.lanes)

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        constants = [
            (f, pipe(m, a, self._dot.latency, f"{name}_addend_{n}") if self._varies(1) else a)
            for n, (f, a) in enumerate(self._constants(m, step, name))
        ]
        out = []
        for i, value in enumerate(x):
            factor, addend = constants[i % len(self.lanes)]
            product = self._dot.build(m, [value], [factor], name=f"{name}_{i}")
            out.append(self._sum(m, product, addend, f"{name}_sum_{i}") if self._adds else product)
        return out


class WiredProduct(Product):
    """Multipliers by one constant each: shifts and adders. Only for a single channel step."""

    @cached_property
    def _dots(self) -> tuple[ConstantDotSpec, ...]:
        return tuple(ConstantDotSpec(self.x, (lane[0][0],), self.max_levels) for lane in self.lanes)

    @property
    def _depth(self) -> int:
        return max(dot.latency for dot in self._dots)

    @property
    def _adds(self) -> bool:
        return (self.addend.lo, self.addend.hi) != (0, 0)

    @property
    def lead(self) -> int:
        return 0

    @property
    def latency(self) -> int:
        return self._depth + self._adds

    @property
    def worst_levels(self) -> float:
        add = adder_levels(self.result.width) if self._adds else 0
        return max(add, *(dot.worst_levels for dot in self._dots))

    def each(self) -> Resources:
        # Adding a constant takes a carry chain, but no LUTs in front of it.
        total, width = Resources.zero(), self.result.width * self._adds
        for dot in self._dots:
            total += dot.resources()
            total += pipe_resources(dot.result.width, self._depth - dot.latency)
        n = len(self._dots)
        return Resources(-(-total.lut // n), -(-total.ff // n) + width, 0, 0)

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        out = []
        for i, value in enumerate(x):
            lane = i % len(self.lanes)
            dot, (_, addend) = self._dots[lane], self.lanes[lane][0]
            product = dot.build(m, [value], name=f"{name}_{i}")
            product = pipe(m, product, self._depth - dot.latency, f"{name}_late_{i}")
            if self._adds:
                product = self._sum(m, product, Const(addend), f"{name}_sum_{i}")
            out.append(product)
        return out


def product(x: Number, lanes: tuple[Constants, ...], style: Style, max_levels: int) -> Product:
    """The form that ``style`` asks for; "auto" takes the cheaper one.

    UnitError if DSP blocks are asked for and the constants do not fit them.
    """
    dsp = DspProduct(x, lanes, max_levels)
    luts = (WiredProduct if dsp.steps == 1 else LutProduct)(x, lanes, max_levels)
    if style == "dsp" and not dsp.possible:
        raise UnitError(
            f"Requant in DSP blocks: signed multipliers of {_signed_width(dsp.factor)} bits and "
            f"offsets of {_signed_width(dsp.addend)}, but up to 25 and 46 fit; "
            "style 'lut' and 'auto' take any"
        )
    if style == "lut" or not dsp.possible:
        return luts
    if style == "auto" and luts.each().lut <= LUTS_A_DSP * dsp.blocks:
        return luts
    return dsp


def _signed_width(number: Number) -> int:
    """Bits in two's complement."""
    return number.width + (not number.signed)
