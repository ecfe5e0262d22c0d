"""Requantization with two slopes: both side by side, then the larger or the smaller code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned

from hwc.compiler.graph import TwoSlope
from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import (
    compare_levels,
    lookup,
    lookup_levels,
    lookup_luts,
    pipe,
    pipe_resources,
    step_bits,
)
from hwc.hw.units.requant import RequantPipe

__all__ = ["TwoSlopePipe"]


@dataclass(frozen=True)
class TwoSlopePipe:
    """Pipeline of a :class:`TwoSlope` for ``copies`` pixels of ``lanes`` channels."""

    op: TwoSlope
    x: Number
    channels: int
    lanes: int
    copies: int = 1
    style: Style = "auto"
    max_levels: int = 6

    @cached_property
    def pipes(self) -> tuple[RequantPipe, RequantPipe]:
        """The two requantizations."""
        shape = (self.x, self.channels, self.lanes, self.copies, self.style, self.max_levels)
        return RequantPipe(self.op.first, *shape), RequantPipe(self.op.second, *shape)

    @cached_property
    def flags(self) -> tuple[tuple[int, ...], ...]:
        """Per lane, 1 for each channel step whose larger code counts; the last channel repeats."""
        largest = np.broadcast_to(np.array(self.op.largest, np.int64), self.channels).tolist()
        steps = 1 if len(set(largest)) == 1 else -(-self.channels // self.lanes)
        return tuple(
            tuple(largest[min(s * self.lanes + lane, self.channels - 1)] for s in range(steps))
            for lane in range(self.lanes)
        )

    @property
    def steps(self) -> int:
        """Words of constants per lane; 1 if all channels are alike."""
        return max(len(self.flags[0]), *(p.steps for p in self.pipes))

    @property
    def lead(self) -> int:
        """Cycles by which the channel step comes before its x."""
        return max(p.lead for p in self.pipes)

    @property
    def latency(self) -> int:
        """Cycles from x to its result."""
        return self._deepest + 1

    @property
    def _deepest(self) -> int:
        return max(p.latency for p in self.pipes)

    @property
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""
        flags = lookup_levels(step_bits(len(self.flags[0]))) if len(self.flags[0]) > 1 else 0
        pick = compare_levels(self.pipes[0].y.width) + 1
        return max(pick, flags, *(p.worst_levels for p in self.pipes))

    def resources(self) -> Resources:
        """Estimated primitives, the tables included."""
        width = self.pipes[0].y.width
        one = Resources(width + -(-width // 2) + 1, width, 0, 0)
        for p in self.pipes:
            one += pipe_resources(width, self._deepest - p.latency)
        total = one * (self.lanes * self.copies)
        for p in self.pipes:
            total += p.resources()
            if p.steps > 1:
                total += Resources(0, step_bits(self.steps) * (self.lead - p.lead), 0, 0)
        if len(self.flags[0]) > 1:
            mixed = sum(len(set(lane)) > 1 for lane in self.flags)
            bit = Resources(lookup_luts(step_bits(len(self.flags[0])), 1), 0, 0, 0)
            total += (bit + pipe_resources(1, self.lead + self._deepest)) * mixed
        return total

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str) -> list[Value]:
        """Codes of x (pixel-major, ``copies * lanes`` values), ``latency`` cycles later.

        ``step`` is the channel step, ``lead`` cycles before its x.
        """
        codes: list[list[Value]] = []
        for i, p in enumerate(self.pipes):
            at = pipe(m, step, self.lead - p.lead, f"{name}_step{i}")
            made = p.build(m, x, at, f"{name}_{'ab'[i]}")
            late = self._deepest - p.latency
            codes.append([pipe(m, y, late, f"{name}_{'ab'[i]}{n}") for n, y in enumerate(made)])
        flags = [self._flag(m, lane, step, f"{name}_l{i}") for i, lane in enumerate(self.flags)]
        y = self.pipes[0].y
        shape = signed(y.width) if y.signed else unsigned(y.width)
        out: list[Value] = []
        for n, (a, b) in enumerate(zip(*codes, strict=True)):
            first, second = Signal(shape, name=f"{name}_f{n}"), Signal(shape, name=f"{name}_s{n}")
            m.d.comb += [first.eq(a), second.eq(b)]
            picked = Mux((first >= second) == flags[n % self.lanes], first, second)
            out.append(pipe(m, picked[: y.width], 1, f"{name}_y{n}"))
        return out

    def _flag(self, m: Module, lane: Sequence[int], step: Value, name: str) -> Value:
        """1 where the larger code counts, at the time at which the codes are there."""
        if len(set(lane)) == 1:
            return Value.cast(lane[0])
        bit = lookup(step[: step_bits(len(lane))], lane, 1)
        return pipe(m, bit, self.lead + self._deepest, name)
