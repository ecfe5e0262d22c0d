"""Quotients of two streams: an unrolled restoring divider."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.compiler.graph import Ratio, Type
from hwc.hw.resources import Resources
from hwc.hw.unit import Datapath, Ints, UnitError, extremes
from hwc.hw.units.control import control_resources
from hwc.hw.units.joined import Joined
from hwc.hw.units.parts import adder_levels, pipe, pipe_resources
from hwc.hw.units.reducer import split

__all__ = ["RatioUnit"]


@dataclass(frozen=True)
class RatioUnit(Joined):
    """Graph op ``Ratio``: beats of ports ``x0`` (dividend) and ``x1`` to port ``y``, one tile.

    A firing takes one beat from each. Every bit of the quotient, and one more to round by, has a
    stage with a subtracter, a choice and registers; the first also compares. Latency: ``bits + 2``.
    """

    op: Ratio
    types: tuple[Type, Type]
    tile: tuple[int, ...]
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, Ratio):
            raise UnitError(f"RatioUnit: the op is Ratio, not {type(self.op).__name__}")
        self.op.infer(*self.types)
        _ = self.inputs()
        if self.levels() > self.max_levels:
            raise UnitError(
                f"RatioUnit: a divisor of {self.width} bits takes {self.levels()} levels, but "
                f"max_levels is {self.max_levels}"
            )

    @property
    def width(self) -> int:
        """Bits of the divisor, and of every remainder."""
        return self.types[1].width

    @property
    def stages(self) -> int:
        """Bits of the quotient before it is rounded."""
        return self.op.bits + 1

    @property
    def delay(self) -> int:
        return self.stages + 1

    def resources(self) -> Resources:
        # The last remainder is not kept, nor the divisor behind it; of each subtracter and choice
        # about three LUTs merge.
        each = Resources((self.width - 3) * self.stages, 0, 0, 0)
        each += Resources(self.width, 2 * self.width, 0, 0) * (self.stages - 1)
        for n in range(self.stages):
            each += pipe_resources(1, self.stages - n)
        each += pipe_resources(1, self.stages)
        compare = -(-max(t.width for t in self.types) // 2)
        each += Resources(compare + self.op.bits, self.op.bits + 1, 0, 0)
        return control_resources(self.schedule(), ()) + each * math.prod(self.tile)

    def levels(self) -> int:
        # The first stage reads the queues in front.
        divide = adder_levels(self.width + 1) + 1 + 1
        return math.ceil(max(divide, adder_levels(self.op.bits + 1) + 1))

    def component(self) -> Datapath:
        return _Path(self)

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        """Every other frame lies around the ties of the rounding, with small divisors in it."""
        a, b = (extremes(x, rng, batch) for x in self.types)
        first, second = self.types
        some = b[::2]
        some[...] = np.where(rng.random(some.shape) < 0.5, some >> rng.integers(0, 8), some)
        some[...] = np.clip(some, second.lo, second.hi)
        halves = rng.integers(0, 2 << self.op.bits, some.shape, endpoint=True)
        near = (halves * some >> self.op.bits + 1) + rng.integers(-1, 2, some.shape)
        a[::2] = np.clip(near, first.lo, first.hi)
        return {"x0": a, "x1": b}

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u4, u9, u17, bit = (0, 15), (0, 300), (0, 65536), (0, 1)
        for bits, kinds, shape, tile in (
            (8, (u4, u4), (3, 2, 5), (1, 1, 2)),
            (3, (u9, u4), (3, 3, 4), (1, 2, 4)),
            (6, (u4, u9), (7,), (3,)),
            (10, (u17, (65536, 655360)), (7,), (2,)),
            (0, (u9, (2, 40)), (5,), (5,)),
            (1, (bit, bit), (5,), (2,)),
        ):
            a, b = (Type(shape, *ends) for ends in kinds)
            yield cls(Ratio(bits), (a, b), tile)


class _Path(Datapath):
    """Per element of a beat: the divider."""

    def __init__(self, unit: RatioUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        count = math.prod(unit.tile)
        dividends, divisors = (split(self.x[f"x{i}"], x, count) for i, x in enumerate(unit.types))
        pairs = enumerate(zip(dividends, divisors, strict=True))
        m.d.comb += self.y["y"].eq(Cat(*(self._divide(m, a, b, k) for k, (a, b) in pairs)))
        return m

    def _divide(self, m: Module, a: Value, b: Value, k: int) -> Value:
        """One quotient. The remainder stays below b unless a >= b, whose result is known."""
        unit = self.unit
        whole = pipe(m, a >= b, unit.stages, f"whole_{k}")
        rest: Value = a[: unit.width]
        bits: list[Value] = []
        for n in range(unit.stages):
            twice = Cat(Const(0, 1), rest)
            less = Signal(unit.width + 2, name=f"less_{k}_{n}")
            m.d.comb += less.eq(twice - b)
            fits = ~less[-1]
            bits.append(pipe(m, fits, unit.stages - n, f"bit_{k}_{n}"))
            rest = pipe(m, Mux(fits, less, twice)[: unit.width], 1, f"rest_{k}_{n}")
            b = pipe(m, b, 1, f"divisor_{k}_{n}")
        quotient = Cat(*reversed(bits))
        y = Signal(unit.op.bits + 1, name=f"y_{k}", reset_less=True)
        m.d.sync += y.eq(Mux(whole, 1 << unit.op.bits, (quotient + 1) >> 1))
        return y
