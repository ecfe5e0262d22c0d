"""A pipelined sum of operands shifted by run-time amounts: products with powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwc.hw.dot.heap import Plan
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import check_levels, count, emit, nothing, sliced, solve, spent
from hwc.hw.dot.planner import cost
from hwc.hw.dot.powers import Shifter, choose, only_powers, shifters
from hwc.hw.dot.products import Lane, shifted_lane
from hwc.hw.resources import Resources

__all__ = ["ShiftSpec"]


@dataclass(frozen=True)
class ShiftSpec:
    """``sum(x[i] * w[i])`` over ``lanes``, each ``w[i]`` one of ``values``: 0 or +-2**e.

    Nothing is multiplied: a multiplexer of up to four shifted x, a LUT a bit, and rows of the heap
    that choose 0 or one of up to four wirings of it and a sign, another LUT a bit, which mostly
    adds as well. ``levels``: most LUT and carry levels between two registers, counting from the
    codes of w and from x. A weight of 0 gives 0 whatever x is.
    """

    x: Number
    values: tuple[int, ...]
    lanes: int
    levels: int = 6

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise DotError(f"ShiftSpec: lanes >= 1 is needed, got {self.lanes}")
        if self.x.bipolar:
            raise DotError("ShiftSpec: x is a number whose bits are worth powers of two")
        if not only_powers(self.values):
            raise DotError(f"ShiftSpec: values are several of 0 and +-2**e, got {self.values}")
        found = shifters(self.values)
        if not found:
            raise DotError(f"ShiftSpec: a shifter is too wide for {self.values}")
        check_levels("ShiftSpec", self.levels - min(s.front for s in found), self.result)

    @property
    def w(self) -> Number:
        """The interval of the weights."""
        return Number(min(self.values), max(self.values))

    @property
    def result(self) -> Number:
        """The interval of the sum."""
        lo, hi = self.x.span(self.w)
        return Number(lo * self.lanes, hi * self.lanes)

    uses_dsp = False
    """Whether products are made in DSP48E1 blocks."""

    @property
    def shifter(self) -> Shifter:
        """How a product is made."""
        return _solve(self).shifter

    @property
    def latency(self) -> int:
        """Cycles from operands to sum."""
        p = _solve(self).plan
        return p.cuts + (p.last > 0)

    @property
    def worst_levels(self) -> int:
        """Worst path from code, x or register to register, in LUT and carry levels."""
        return -(-_solve(self).plan.eighths // 8) + self.shifter.front

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part, what decodes the codes excluded."""
        found = _solve(self)
        total = spent(found.plan, self.lanes * _wires(self.x, found.shifter), self.result)
        return total + Resources(round(self.lanes * _fine_luts(self.x, found.shifter)), 0, 0, 0)

    def waiting(self) -> tuple[int, int]:
        """Those of the flip-flops in which x and in which w wait: sums with an operand in common
        have them only once. What was shifted already is nobody else's."""
        found = _solve(self)
        share, s = sum(found.plan.waiting), found.shifter
        x = 0 if len(s.fines) > 1 else self.lanes * self.x.width
        return round(share * x), round(share * self.lanes * s.row_bits)

    def decode(self, code: Value) -> Value:
        """The control word of a code of the memory."""
        s = self.shifter
        bits: list[Value] = []
        for k in range(s.control_bits):
            at = s.place(k)
            if at is not None:
                bits.append(code[at])
                continue
            # The 1 that no code reaches keeps the constant as wide as codes reach.
            table = sum(one << i for i, one in enumerate(s.decoded[k])) | 1 << (1 << len(code))
            bits.append(Const(table, (1 << len(code)) + 1).bit_select(code, 1))
        return Cat(*bits)

    def build(
        self,
        m: Module,
        x: Sequence[Value],
        w: Sequence[Value],
        mask: Value | None = None,
        name: str = "dot",
    ) -> Signal:
        """Emit the pipeline into ``m``; the sum of this cycle's operands is there ``latency``
        cycles later. ``w``: per lane a control word; there is no ``mask``.
        """
        assert mask is None
        assert len(x) == len(w) == self.lanes
        found = _solve(self)
        s = found.shifter
        shifted = [self._fine(m, x[i], w[i], f"{name}_{i}") for i in range(self.lanes)]
        operands = sliced(m, shifted, self.x.width + s.fines[-1])
        rows = [nothing] * self.lanes
        if s.row_bits:
            rows = sliced(m, [word[s.fine_bits :] for word in w], s.row_bits)
        wires = [(a, b, nothing) for a, b in zip(operands, rows, strict=True)]
        return emit(m, [found.lane] * self.lanes, wires, found.plan, self.result, name)

    def _fine(self, m: Module, x: Value, control: Value, name: str) -> Value:
        """x after the fine shift, as wide as the largest makes it."""
        s = self.shifter
        if len(s.fines) == 1:
            return x[: self.x.width]
        bits = self.x.width
        sign = x[bits - 1] if self.x.signed else Const(0, 1)
        top = s.fines[-1]
        words = [
            Cat(Const(0, f), x[:bits], sign.replicate(top - f))[: bits + top]
            for f in range(top + 1)
        ]
        out = Signal(bits + top, name=f"{name}_shifted")
        m.d.comb += out.eq(choose(control[: s.fine_bits], words))
        return out


class _Solution(NamedTuple):
    shifter: Shifter
    lane: Lane
    plan: Plan


def _wires(x: Number, s: Shifter) -> int:
    """Wires that the rows of a product are functions of."""
    return x.width + s.fines[-1] + s.row_bits


def _fine_luts(x: Number, s: Shifter) -> float:
    """LUTs of the fine shift of a product, and what yosys makes of the rows beyond their plan:
    measured with 8 lanes, +-1."""
    if len(s.fines) == 1:
        return 0
    more = {2: 1.0 if x.signed else 3.0, 3: 2.5 if x.signed else 5.0}
    fewer = -2.0 if s.fine == 2 and len(s.ways) == 2 else more.get(len(s.ways), 0.0)
    return x.width + s.fines[-1] + fewer


@lru_cache(maxsize=4096)
def _solve(spec: ShiftSpec) -> _Solution:
    """The cheapest way found of shifting and adding."""
    found: list[tuple[float, _Solution]] = []
    for s in shifters(spec.values):
        left = spec.levels - s.front
        if left < 3 and found:
            continue
        lane = shifted_lane(spec.x, s, spec.result.width)
        wires = spec.lanes * _wires(spec.x, s)
        p = solve(count(((lane, spec.lanes),), spec.result.width), left, wires)
        extra = spec.lanes * (_fine_luts(spec.x, s) + len(s.decoded))
        found.append((cost(p, wires) + extra, _Solution(s, lane, p)))
    return min(found, key=lambda f: f[0])[1]
