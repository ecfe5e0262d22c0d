"""The geometry of a folded product: what each firing multiplies, and when its parts are there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Binary,
    MultiThreshold,
    Type,
    Weights,
)
from hwc.hw.dot import ConstantDotSpec, DotSpec, Number, PairSpec, ShiftSpec
from hwc.hw.layout import Layout
from hwc.hw.queue import Form, queue_form
from hwc.hw.schedule import Mask, Nest, Schedule, Sum
from hwc.hw.units.act import ActSpec, popcount_thresholds
from hwc.hw.units.matvec.fold import Geometry, sum_type
from hwc.hw.units.replay import Replay
from hwc.hw.units.rom import Rom

__all__ = ["MatVecPlan"]

Ints = NDArray[np.int64]

CODE = 6
"""Most bits of a code: inputs of a LUT."""

FEW_WORDS = 32
"""Up to so many words of weights, constant bits are worth looking for."""


@lru_cache(maxsize=256)
def _signs_only(weights: Weights) -> bool:
    """Whether every weight is -1 or +1, in whatever form they are stored."""
    if isinstance(weights, Binary):
        return True
    if weights.lo < -1 or weights.hi > 1:
        return False
    return bool((weights.dense() != 0).all())


@lru_cache(maxsize=256)
def _values(weights: Weights, zero: bool) -> tuple[int, ...]:
    """The weights that occur, and 0 if asked for: 0 first, so that what pads a word is 0."""
    found = {int(v) for v in np.unique(weights.dense())}
    return tuple(sorted(found | {0} if zero else found, key=lambda v: (v != 0, v)))


@lru_cache(maxsize=256)
def _varying(weights: Weights, layout: Layout) -> int:
    rows = layout.pack_bytes(weights.dense().reshape(1, *layout.type.shape))
    return int(np.unpackbits(np.bitwise_or.reduce(rows ^ rows[0])).sum())


@dataclass(frozen=True)
class MatVecPlan(Geometry):
    """Everything that follows from op, input type, activation and fold without building anything:
    the arithmetic of a firing, and when its parts are there.
    """

    @cached_property
    def sum(self) -> Type:
        """Type of the finished sums."""
        return sum_type(self.op, self.x)

    @cached_property
    def y(self) -> Type:
        """Type of the output."""
        return self.sum if self.act is None else self.act.infer(self.sum)

    @cached_property
    def tail(self) -> bool:
        """Whether some firing has lanes or taps past the end."""
        return bool(self.shape[2] % self.fold.taps or self.shape[3] % self.fold.lanes)

    @cached_property
    def w(self) -> Type:
        """Type of the stored weights, as (G, N, T, C)."""
        signs, weight = _signs_only(self.op.weight), self.op.weight
        if signs:
            return Type(self.shape, -1, 1, True)
        # Positions past the end hold weight 0.
        lo, hi = (min(weight.lo, 0), max(weight.hi, 0)) if self.tail else (weight.lo, weight.hi)
        return Type(self.shape, lo, hi)

    @property
    def values(self) -> tuple[int, ...]:
        """The weights that a memory has to tell apart."""
        return _values(self.op.weight, self.tail)

    @property
    def codable(self) -> bool:
        """Whether codes are narrower than weights, and a LUT turns one into a bit of a weight."""
        bits = Type((1,), 0, max(len(self.values) - 1, 1)).width
        return not self.w.bipolar and bits < self.w.width and bits <= CODE

    @cached_property
    def stored(self) -> Type:
        """Type of what the memory holds, as (G, N, T, C): weights, or places in ``values``."""
        if not self.fold.coded:
            return self.w
        return Type(self.shape, 0, max(len(self.values) - 1, 1))

    @property
    def popcount(self) -> bool:
        """Whether the dot products count agreeing signs instead of adding them."""
        return self.x.bipolar and self.w.bipolar

    @cached_property
    def positions(self) -> tuple[tuple[int, int], ...]:
        """``(tap, lane)`` of each product of a firing; those that may be past the end come last."""
        at = [(p, c) for p in range(self.fold.taps) for c in range(self.fold.lanes)]
        return tuple(sorted(at, key=self.maskable))

    def maskable(self, at: tuple[int, int]) -> bool:
        """Whether this position of a firing is past the end in some firings."""
        (_, _, t, c), f = self.shape, self.fold
        return bool((t % f.taps and at[0] >= t % f.taps) or (c % f.lanes and at[1] >= c % f.lanes))

    @cached_property
    def masked(self) -> int:
        """Positions with a mask bit in the dot products: weights -1 and +1 cannot say 0."""
        return sum(map(self.maskable, self.positions)) if self.w.bipolar else 0

    @cached_property
    def cleared(self) -> int:
        """Positions whose inputs are cleared past the end, though their weights are 0 there.

        Their bits may be no number of the type, and then a product is not defined.
        """
        every_code = self.x.bipolar or self.x.hi - self.x.lo + 1 == 1 << self.x.width
        return 0 if self.w.bipolar or every_code else sum(map(self.maskable, self.positions))

    @property
    def own_inputs(self) -> bool:
        """Whether each output chooses its inputs, so that no two share a register."""
        return False

    @cached_property
    def dot(self) -> DotSpec | ShiftSpec:
        """The sum of products of one output in one firing, weights from a memory."""
        x, w, f = Number.of(self.x), Number.of(self.w), self.fold
        if self.cleared:
            x = Number(min(x.lo, 0), max(x.hi, 0))
        style = "auto" if f.style == "pair" else f.style
        return DotSpec(x, w, self.lanes, style, self.dot_levels, self.popcount, self.masked)

    @property
    def dot_levels(self) -> int:
        """Levels left for the dot products, from the operands on."""
        return self.fold.levels - self.fold.coded

    @cached_property
    def pair(self) -> PairSpec | None:
        """The sums of products of two outputs; an odd last one is left to ``dot``."""
        if self.fold.style != "pair":
            return None
        return PairSpec(self.dot.x, self.dot.w, self.lanes, self.dot_levels)

    @cached_property
    def wired(self) -> tuple[ConstantDotSpec, ...]:
        """The sums of products of one firing, group-major, weights wired."""
        rows = self.op.weight.dense().reshape(self.outputs, self.lanes)
        x, f = Number.of(self.x), self.fold
        return tuple(
            ConstantDotSpec(x, tuple(row), f.levels, self.popcount) for row in rows.tolist()
        )

    @cached_property
    def dot_latency(self) -> int:
        """Cycles of the slowest dot product."""
        if self.fold.memory == "wired":
            return max(dot.latency for dot in self.wired)
        if self.pair is None:
            return self.dot.latency
        return max(self.pair.latency, self.dot.latency if self.fold.outs % 2 else 0)

    @property
    def rom(self) -> Rom:
        """The memory of the weights."""
        width = self.outputs * self.lanes * self.stored.width
        memory = self.fold.memory
        return Rom(width, self.words, "lutrom" if memory == "wired" else memory)

    @property
    def varying(self) -> int:
        """Bits of a weight word that are not the same in all words: memories hold no others. Of
        many words all are taken to differ."""
        f = self.fold
        if self.words > FEW_WORDS or f.coded:
            return self.rom.width
        return _varying(self.op.weight, Layout(self.w, (f.groups, f.outs, f.taps, f.lanes)))

    # Accumulation. Signs agree p times out of n, so their sum is 2p - n. Thresholds look at p
    # itself; for everything else the register holds p - ceil(n/2), and behind it stands the
    # constant bit n mod 2.

    @property
    def _signs(self) -> int:
        return self.shape[2] * self.shape[3]

    @property
    def counts(self) -> bool:
        """Whether the accumulator holds a plain count of agreeing signs, for thresholds."""
        return self.popcount and isinstance(self.act, MultiThreshold)

    @cached_property
    def start(self) -> int:
        """What the accumulator starts from."""
        return -self._signs // 2 if self.popcount and not self.counts else 0

    @cached_property
    def low_bit(self) -> int | None:
        """The constant bit behind the accumulator, if there is one."""
        return self._signs % 2 if self.popcount and not self.counts else None

    @cached_property
    def acc(self) -> Number:
        """What the accumulator holds in the end; on the way it may wrap."""
        if not self.popcount:
            return Number(self.sum.lo, self.sum.hi)
        return Number(self.start, self.start + self._signs)

    @property
    def registered(self) -> bool:
        """Whether there is an accumulator register behind the dot products."""
        return self.sums > 1 or self.start != 0

    @cached_property
    def spec(self) -> ActSpec | None:
        """The activation of one firing's outputs."""
        if self.act is None:
            return None
        op, of, f = self.act, self.sum, self.fold
        if self.counts and isinstance(op, MultiThreshold):
            op, of = popcount_thresholds(op, self._signs), Type(of.shape, 0, self._signs)
        return ActSpec(op, of, self.outputs, f.pixels, f.act_style, levels=f.levels)

    # Time.

    @cached_property
    def operands(self) -> Replay:
        """Where inputs wait for the other outputs."""
        depth = 1 if self.fold.order == "input" else self.sums
        return Replay.of(self.layout.width, depth, self.steps["out"])

    @property
    def replay(self) -> Form | None:
        """The form of :attr:`operands`."""
        return self.operands.form

    @property
    def partial(self) -> Form | None:
        """Where the partial sums of the outputs wait; None if one register each is enough."""
        if self.fold.order == "output" or self.steps["out"] == 1 or self.sums == 1:
            return None
        width = self.fold.pixels * self.outputs * self.acc.width
        return "bram" if queue_form(width, self.steps["out"]) == "bram" else "lutram"

    @property
    def fetch(self) -> int:
        """Cycles from a firing to the operands of its products."""
        return self.operands.latency

    @property
    def accumulated(self) -> int:
        """Cycles from a firing to its sums."""
        return self.fetch + self.dot_latency + self.registered

    @property
    def latency(self) -> int:
        """Cycles from a firing to the beat it gives."""
        return self.accumulated + (self.spec.latency if self.spec else 0)

    @cached_property
    def out_layout(self) -> Layout:
        """Layout of the output."""
        return Layout(self.y, (*self.pixel_tile, self.outputs))

    def schedule(self) -> Schedule:
        """One process; see :class:`MatVecFold` for the two orders."""
        s = self.steps
        names = ("pixel", "group", "out", "tap", "lane")
        if self.fold.order == "input":
            names = ("pixel", "group", "tap", "lane", "out")
        addresses = {"weight": self._address(names[1:])}
        if self.spec is not None:
            addresses["channel"] = Sum.affine(group=s["out"], out=1)
        if self.replay in ("lutram", "bram"):
            addresses["replay"] = Sum.affine(tap=s["lane"], lane=1)
        nest = Nest(
            loops=tuple((name, s[name]) for name in names),
            takes={"x": Mask.at(out="first")},
            gives={"y": Mask.at(tap="last", lane="last")},
            addresses=addresses,
        )
        return Schedule.single(nest, self.latency)

    def _address(self, names: tuple[str, ...]) -> Sum:
        """Row-major index over the named loops, outer first."""
        total, strides = 1, {}
        for name in reversed(names):
            strides[name] = total
            total *= self.steps[name]
        return Sum.affine(**strides)

    def weight_words(self) -> list[int]:
        """The weights as words of the memory, in the order in which they are addressed.

        A word holds groups, outputs, taps and lanes row-major, first in the low bits.
        """
        f, s = self.fold, self.steps
        layout = Layout(self.stored, (f.groups, f.outs, f.taps, f.lanes))
        weights = self.op.weight.dense().reshape(1, *self.shape)
        beats = layout.pack(self._codes(weights) if f.coded else weights)
        order = np.arange(self.words).reshape(s["group"], s["out"], -1)
        if f.order == "input":
            order = order.transpose(0, 2, 1)
        return [beats[i] for i in order.ravel()]

    @cached_property
    def decoded_bits(self) -> int:
        """Bits of a weight that take a LUT to make of its code: not constant, no bit of the code,
        not twice the same."""
        columns = {tuple(value >> bit & 1 for value in self.values) for bit in range(self.w.width)}
        codes = range(len(self.values))
        free = {tuple(code >> bit & 1 for code in codes) for bit in range(self.stored.width)}
        return len(columns - free - {(0,) * len(codes), (1,) * len(codes)})

    def _codes(self, weights: Ints) -> Ints:
        """The place of each weight in ``values``."""
        order = np.argsort(self.values)
        return order[np.searchsorted(self.values, weights, sorter=order)]
