"""A pipelined sum of products of run-time operands, described before it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from amaranth.hdl import Module, Signal, Value

from hwc.hw.dot.dsp import Cascade, check_dsp, fits_dsp
from hwc.hw.dot.heap import Plan
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pipeline import check_levels, count, emit, nothing, sliced, solve, spent
from hwc.hw.dot.planner import cost
from hwc.hw.dot.products import Lane, product_lanes
from hwc.hw.resources import Resources

__all__ = ["DotSpec"]

Style = Literal["auto", "lut", "dsp"]


@dataclass(frozen=True)
class DotSpec:
    """``sum(x[i] * w[i])`` over ``lanes`` products of run-time operands, pipelined.

    ``style``: products in LUTs or each in one DSP48E1; "auto" takes a DSP48E1 where both operands
    have 5 bits or more. ``levels``: most LUT and carry levels between two registers, counting from
    the operands; the sum comes from a register (unless it is a plain wire and latency 0).
    ``popcount``: for bipolar x and w the result is the number of agreeing lanes instead of the
    signed sum. ``masked``: the last ``masked`` lanes have a run-time mask bit; where it is 0 the
    lane contributes 0 whatever its operands are. Order lanes so that maskable ones come last.

    Operands have to lie in their intervals; otherwise the sum is any number.
    """

    x: Number
    w: Number
    lanes: int
    style: Style = "auto"
    levels: int = 6
    popcount: bool = False
    masked: int = 0

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise DotError(f"DotSpec: lanes >= 1 is needed, got {self.lanes}")
        if not 0 <= self.masked <= self.lanes:
            raise DotError(f"DotSpec: masked is 0 to lanes={self.lanes}, got {self.masked}")
        if self.style not in ("auto", "lut", "dsp"):
            raise DotError(f"DotSpec: style is 'auto', 'lut' or 'dsp', got {self.style!r}")
        if self.popcount and not (self.x.bipolar and self.w.bipolar):
            raise DotError(f"DotSpec: popcount needs bipolar x and w, got {self.x} and {self.w}")
        if self.style == "dsp":
            check_dsp(self.x, self.w)
        check_levels("DotSpec", self.levels, self.result)

    @property
    def result(self) -> Number:
        """The interval of the sum."""
        if self.popcount:
            return Number(0, self.lanes)
        lo, hi = self.x.span(self.w)
        free = self.lanes - self.masked
        return Number(lo * free + min(lo, 0) * self.masked, hi * free + max(hi, 0) * self.masked)

    @property
    def uses_dsp(self) -> bool:
        """Whether products are made in DSP48E1 blocks."""
        if self.style == "auto":
            return min(self.x.width, self.w.width) >= 5 and fits_dsp(self.x, self.w)
        return self.style == "dsp"

    @property
    def latency(self) -> int:
        """Cycles from operands to sum."""
        found = _solve(self)
        before = found.cascade.latency if found.cascade else 0
        return before + found.plan.cuts + (found.plan.last > 0)

    @property
    def worst_levels(self) -> int:
        """Worst path from operand or register to register, in LUT and carry levels."""
        found = _solve(self)
        mask = 8 if found.cascade and self.masked else 0
        return -(-max(found.plan.eighths, mask) // 8)

    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part."""
        found = _solve(self)
        wires = self.lanes * (self.x.width + self.w.width) + self.masked
        total = spent(found.plan, wires, self.result)
        if found.cascade:
            total += Resources(self.masked * self.w.width, found.cascade.ff, self.lanes, 0)
        return total

    def waiting(self) -> tuple[int, int]:
        """Those of the flip-flops in which x and in which w wait: sums with an operand in common
        have them only once."""
        found = _solve(self)
        if found.cascade:
            late = found.cascade.late
            return late * self.x.width, late * self.w.width
        share = sum(found.plan.waiting)
        x, w = self.lanes * self.x.width, self.lanes * self.w.width
        return round(share * x), round(share * w)

    def build(
        self,
        m: Module,
        x: Sequence[Value],
        w: Sequence[Value],
        mask: Value | None = None,
        name: str = "dot",
    ) -> Signal:
        """Emit the pipeline into ``m``; the sum of this cycle's operands is there ``latency``
        cycles later. ``x`` and ``w`` are a value per lane, of the width of their number; ``mask``
        has ``masked`` bits, bit i for lane ``lanes - masked + i``.
        """
        self._check(x, w, mask)
        found = _solve(self)
        free = self.lanes - self.masked
        bits = [] if mask is None else [mask[i] for i in range(self.masked)]
        if found.cascade is None:
            lanes = [found.lane] * free + [found.masked_lane] * self.masked
            masks = [nothing] * free + sliced(m, bits, 1)
            wires = zip(sliced(m, x, self.x.width), sliced(m, w, self.w.width), masks, strict=True)
            return emit(m, lanes, list(wires), found.plan, self.result, name)
        gated = [w[free + i] & bit.replicate(self.w.width) for i, bit in enumerate(bits)]
        words = found.cascade.build(m, x, [*w[:free], *gated])
        lanes = [found.cascade.lane(n, self.result.width) for n in found.cascade.groups]
        operands = [(word.at, nothing, nothing) for word in words]
        start = found.cascade.latency
        return emit(m, lanes, operands, found.plan, self.result, name, start)

    def _check(self, x: Sequence[Value], w: Sequence[Value], mask: Value | None) -> None:
        for what, values, number in (("x", x, self.x), ("w", w, self.w)):
            widths = {len(Value.cast(value)) for value in values}
            if len(values) != self.lanes or widths != {number.width}:
                raise DotError(
                    f"DotSpec: {what} needs {self.lanes} values of {number.width} bits, got "
                    f"{len(values)} of {sorted(widths)}"
                )
        if (0 if mask is None else len(mask)) != self.masked:
            got = "none" if mask is None else len(mask)
            raise DotError(f"DotSpec: the mask needs {self.masked} bits, got {got}")


class _Solution(NamedTuple):
    lane: Lane
    masked_lane: Lane
    plan: Plan
    cascade: Cascade | None


@lru_cache(maxsize=4096)
def _solve(spec: DotSpec) -> _Solution:
    """The cheapest way found of making and adding the products."""
    found: list[tuple[float, _Solution]] = []
    empty = Lane((), 0)
    if spec.uses_dsp:
        for size in range(1, min(spec.lanes, 8) + 1):
            cascade = Cascade(spec.x, spec.w, spec.lanes, size)
            groups = [(cascade.lane(n, spec.result.width), 1) for n in cascade.groups]
            p = solve(count(groups, spec.result.width), spec.levels, 0)
            price = p.luts + p.passes + (p.bits + cascade.ff) / 16
            found.append((price, _Solution(empty, empty, p, cascade)))
        return min(found, key=lambda f: f[0])[1]
    wires = spec.lanes * (spec.x.width + spec.w.width)
    kind = (spec.x, spec.w, spec.result.width, spec.popcount)
    free, masked = product_lanes(*kind, False), product_lanes(*kind, True)
    for lane, masked_lane in zip(free, masked, strict=True):
        copies = ((lane, spec.lanes - spec.masked), (masked_lane, spec.masked))
        p = solve(count(copies, spec.result.width), spec.levels, wires)
        found.append((cost(p, wires), _Solution(lane, masked_lane, p, None)))
    return min(found, key=lambda f: f[0])[1]
