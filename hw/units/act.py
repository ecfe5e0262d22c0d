"""What turns accumulators into codes: thresholds or requantization, as one pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from amaranth.hdl import Cat, Const, Module, Value
from numpy.typing import NDArray

from hwc.compiler.graph import MultiThreshold, Quantizer, Requant, TwoSlope, Type
from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.unit import UnitError
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import step_bits
from hwc.hw.units.requant import RequantPipe
from hwc.hw.units.threshold_table import ThresholdTable
from hwc.hw.units.thresholds import ParallelThresholds, SearchThresholds
from hwc.hw.units.two_slope import TwoSlopePipe

__all__ = ["ActOp", "ActSpec", "Form", "edges", "popcount_thresholds"]

Ints = NDArray[np.int64]
ActOp = Quantizer
Form = Literal["auto", "parallel", "search"]
Multiplying = RequantPipe | TwoSlopePipe


@dataclass(frozen=True)
class ActSpec:
    """The pipeline of ``op`` for ``copies`` pixels of ``lanes`` neighbouring channels.

    Parameters
    ----------
    op
        Thresholds or requantization, for one channel or one for each of the last axis of ``x``.
    x
        The accumulators: their interval decides widths, their last axis the channels.
    lanes, copies
        Channels side by side, with tables of their own, and pixels, which share them. Channel
        step ``s`` carries channels ``s * lanes ...``; those past the end give arbitrary codes.
    style
        Where a requantization multiplies.
    form
        How thresholds are compared; see :mod:`.thresholds`.
    levels
        LUT and carry levels that a path between registers should not exceed.

    Fully pipelined: x of any cycle gives its codes ``latency`` cycles later, with no enable.
    """

    op: ActOp
    x: Type
    lanes: int
    copies: int = 1
    style: Style = "auto"
    form: Form = "auto"
    levels: int = 6

    def __post_init__(self) -> None:
        _ = self.op.infer(self.x)
        if not 1 <= self.lanes <= self.channels:
            raise UnitError(
                f"{type(self.op).__name__}: lanes is 1..{self.channels}, not {self.lanes}"
            )
        if self.copies < 1 or self.levels < 3:
            raise UnitError(
                f"{type(self.op).__name__}: at least 1 copy and 3 levels, "
                f"not {self.copies} and {self.levels}"
            )
        _ = self.lead

    @property
    def channels(self) -> int:
        """Channels of x."""
        return self.x.shape[-1]

    @property
    def steps(self) -> int:
        """Channel steps: values that ``step`` takes."""
        return -(-self.channels // self.lanes)

    @property
    def addressed(self) -> bool:
        """Whether the constants depend on the channel step, so that it is looked at."""
        pipe = self.pipe
        return (pipe.steps if isinstance(pipe, Multiplying) else pipe.table.steps) > 1

    @property
    def reads(self) -> int:
        """Bits of an x that count."""
        pipe = self.pipe
        return self.x.width if isinstance(pipe, Multiplying) else pipe.table.read

    @property
    def y(self) -> Type:
        """Type of the codes."""
        return self.op.infer(self.x)

    @cached_property
    def pipe(self) -> ParallelThresholds | SearchThresholds | RequantPipe | TwoSlopePipe:
        """The pipeline that is built."""
        x = Number(self.x.lo, self.x.hi)
        shape = (self.channels, self.lanes, self.copies, self.style, self.levels)
        if isinstance(self.op, Requant):
            return RequantPipe(self.op, x, *shape)
        if isinstance(self.op, TwoSlope):
            return TwoSlopePipe(self.op, x, *shape)
        table = ThresholdTable(self.op, x, self.channels, self.lanes)
        parallel = ParallelThresholds(table, self.copies, self.levels)
        search = SearchThresholds(table, self.copies, self.levels)
        if self.form != "auto":
            return parallel if self.form == "parallel" else search
        return min(parallel, search, key=lambda p: _weight(p.resources()))

    @property
    def latency(self) -> int:
        """Cycles from x to its codes."""
        return self.pipe.latency

    @property
    def lead(self) -> int:
        """Cycles by which the channel step comes before its x: 0 or 1."""
        return self.pipe.lead

    @property
    def worst_levels(self) -> float:
        """Levels of the longest path between registers."""
        return self.pipe.worst_levels

    def resources(self) -> Resources:
        """Estimated primitives, tables included."""
        return self.pipe.resources()

    def build(self, m: Module, x: Sequence[Value], step: Value, name: str = "act") -> list[Value]:
        """Codes of ``x``, ``latency`` cycles later, each ``y.width`` bits.

        ``x`` has ``copies * lanes`` values, pixel-major, as bits of type ``self.x``; ``step`` is
        the channel step, ``lead`` cycles before its x.
        """
        if len(x) != self.copies * self.lanes:
            raise UnitError(f"{self.copies * self.lanes} values are needed, got {len(x)}")
        step = step[: step_bits(self.steps)]
        return self.pipe.build(m, [_as_number(v, self.x) for v in x], step, name)


def _as_number(bits: Value, type: Type) -> Value:
    if type.bipolar:
        return Cat(Const(1, 1), ~bits[0]).as_signed()
    return bits[: type.width].as_signed() if type.signed else bits[: type.width]


def _weight(cost: Resources) -> float:
    return cost.lut + cost.ff / 4 + 200 * cost.bram18 + 100 * cost.dsp


def popcount_thresholds(op: MultiThreshold, lanes: int) -> MultiThreshold:
    """The same thresholds for the number of agreeing signs p out of ``lanes``: x = 2p - lanes.

    ``2p - n >= t`` says ``p >= ceil((t + n) / 2)`` and ``2p - n <= t`` says
    ``p <= floor((t + n) / 2)``, so nothing is approximated.
    """
    t = np.clip(op.thresholds.values, -lanes - 2, lanes + 2) + lanes
    down = np.array(op.descending)[:, None]
    if len(down) > 1 and len(t) == 1:
        t = np.broadcast_to(t, (len(down), t.shape[1]))
    return MultiThreshold(np.where(down, t // 2, -(-t // 2)), op.descending, op.lo, op.step)


def edges(op: ActOp, x: Type, channel: Ints, rng: np.random.Generator) -> Ints:
    """Values of x at which the result of the given channels is about to change, or did just now.

    Uniform inputs miss them, and with them the difference between ``>`` and ``>=``.
    """
    near = rng.integers(-1, 2, channel.shape)
    if isinstance(op, TwoSlope):
        ends = [edges(part, x, channel, rng) for part in (op.first, op.second)]
        return np.where(rng.random(channel.shape) < 0.5, *ends)
    if isinstance(op, MultiThreshold):
        rows = channel if len(op.thresholds) > 1 else np.zeros_like(channel)
        at = op.thresholds.values[rows, rng.integers(0, op.levels, channel.shape)]
        return np.clip(np.clip(at, x.lo - 1, x.hi + 1) + near, x.lo, x.hi)
    m = op.multiplier.values[channel if len(op.multiplier) > 1 else np.zeros_like(channel)]
    b = op.offset.values[channel if len(op.offset) > 1 else np.zeros_like(channel)]
    ends = np.array([op.lo, op.lo + 1, op.hi - 1, op.hi])
    code = np.where(
        rng.random(channel.shape) < 0.5,
        rng.choice(ends, channel.shape),
        rng.integers(op.lo, op.hi + 1, channel.shape),
    )
    # The middle between two codes is code + 1/2: (2 * code + 1) * 2**(shift - 1) = m * x + b.
    target = (2.0 * code + rng.choice([-1, 1], channel.shape)) * 2.0 ** (op.shift - 1) - b
    at = np.rint(target / np.where(m == 0, 1, m))
    off = np.where(rng.random(channel.shape) < 0.5, near, 0)
    return np.clip(np.clip(at, x.lo, x.hi).astype(np.int64) + off, x.lo, x.hi)
