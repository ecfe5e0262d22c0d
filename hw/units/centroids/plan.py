"""Sums of the inputs that share a weight, then one product for each weight that occurs: when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type, Weights
from hwc.hw.dot import Accumulator, DotSpec, Number, SumSpec
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import UnitError
from hwc.hw.units.act import ActSpec
from hwc.hw.units.flat import OPTIONS, Flat, matrix
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import check_options
from hwc.hw.units.replay import Replay
from hwc.hw.units.rom import Rom, RomForm

__all__ = ["MOST", "CentroidFold", "CentroidPlan"]

Ints = NDArray[np.int64]

MOST = 32
"""Most values other than 0: as many words has each memory of sums, and as many products an
output."""


@lru_cache(maxsize=64)
def _values(weight: Weights) -> tuple[int, ...]:
    """The weights that occur, 0 last: what has no product has the last code."""
    return tuple(sorted(map(int, np.unique(matrix(weight))), key=lambda v: (v == 0, v)))


@lru_cache(maxsize=256)
def _fullest(weight: Weights, lanes: int) -> int:
    """The most inputs that one sum is made of."""
    most, dense = 1, matrix(weight)
    for value in _values(weight):
        if value:
            hit = dense == value
            most = max(most, *(int(hit[:, :, k::lanes].sum((1, 2)).max()) for k in range(lanes)))
    return most


@dataclass(frozen=True)
class CentroidFold:
    """How many sums are made at once.

    An input beat has ``lanes`` channels, each added to one of the sums of ``outs`` outputs; then
    these are multiplied, those of ``macs`` outputs (a divisor of ``outs``) in each round.
    ``memory``: where the codes are; ``style``, ``act_style``: products, and those of a
    requantization, in LUTs or DSP blocks; ``levels``: LUT and carry levels between registers.
    """

    lanes: int = 1
    outs: int = 1
    macs: int = 1
    memory: RomForm = "lutrom"
    style: Style = "auto"
    act_style: Style = "auto"
    levels: int = 6


@dataclass(frozen=True)
class CentroidPlan(Flat):
    """Everything that follows from op, input type, activation and fold without building anything.

    The firings of an output group are blocks of ``minor`` firings: ``walked`` of them take, or
    replay, inputs, then each round multiplies, one centroid a firing. Cycles count from a firing:
    inputs and codes are there at ``fetch``, a sum that is read at ``fetch + 1``, the sum over lanes
    ``lanes_sum.latency`` later, its product ``dot.latency`` later, the output one later.
    """

    fold: CentroidFold

    @property
    def values(self) -> tuple[int, ...]:
        """The weights that occur, 0 last."""
        return _values(self.op.weight)

    @cached_property
    def centroids(self) -> tuple[int, ...]:
        """The weights other than 0."""
        return tuple(v for v in self.values if v)

    @property
    def code(self) -> Type:
        """Type of a code."""
        return Type(self.shape, 0, max(len(self.values) - 1, 1))

    # Geometry of a group of outputs.

    @property
    def across(self) -> int:
        """Beats of a tap."""
        return -(-self.shape[2] // self.fold.lanes)

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return self.shape[1] * self.across

    @property
    def groups(self) -> int:
        """Groups of outputs."""
        return -(-self.shape[0] // self.fold.outs)

    @property
    def rounds(self) -> int:
        """Rounds of products in a group."""
        return self.fold.outs // self.fold.macs

    @property
    def last_rounds(self) -> int:
        """Rounds that give something in the last group."""
        return -(-(self.shape[0] - (self.groups - 1) * self.fold.outs) // self.fold.macs)

    @cached_property
    def minor(self) -> int:
        """Firings of a block: as many as there are centroids, or so many more that the beats come
        out better."""
        k = len(self.centroids)
        return min(range(k, 2 * k), key=lambda m: ((-(-self.beats // m) + self.rounds) * m, m))

    @property
    def walked(self) -> int:
        """Blocks in which inputs are added up."""
        return -(-self.beats // self.minor)

    # Arithmetic.

    @cached_property
    def bin(self) -> Number:
        """What the inputs of one lane that share a weight add up to."""
        most = _fullest(self.op.weight, self.fold.lanes)
        return Number(most * min(self.x.lo, 0), most * max(self.x.hi, 0))

    @cached_property
    def lanes_sum(self) -> SumSpec:
        """The sum over the lanes of an output."""
        return SumSpec(((self.bin, 1),) * self.fold.lanes, self.fold.levels)

    @cached_property
    def dot(self) -> DotSpec:
        """The product of such a sum and its weight."""
        w = Number(min(self.centroids), max(self.centroids))
        return DotSpec(self.lanes_sum.result, w, 1, self.fold.style, self.fold.levels)

    @cached_property
    def acc(self) -> Accumulator:
        """The sum of the products."""
        lo = min(self.sum.lo, -1) if self.dot.result.signed else self.sum.lo
        return Accumulator(self.dot.result, Number(lo, self.sum.hi))

    @cached_property
    def spec(self) -> ActSpec | None:
        """The activation of the outputs of a round."""
        if self.act is None:
            return None
        f = self.fold
        return ActSpec(self.act, self.sum, f.macs, style=f.act_style, levels=f.levels)

    # Memories.

    @property
    def rom(self) -> Rom:
        """The memory of the codes."""
        width = self.fold.outs * self.fold.lanes * self.code.width
        return Rom(width, self.groups * self.beats, self.fold.memory)

    @property
    def table(self) -> Rom:
        """The weights by their codes."""
        return Rom(self.dot.w.width, len(self.centroids))

    @cached_property
    def operands(self) -> Replay:
        """Where the inputs wait for the other groups of outputs."""
        return Replay.of(self.layout.width, self.beats, self.groups)

    # Time.

    @property
    def fetch(self) -> int:
        """Cycles from a firing to its inputs and codes."""
        return self.operands.latency

    @property
    def multiplied(self) -> int:
        """Cycles from a firing to its products."""
        return self.fetch + 1 + self.lanes_sum.latency + self.dot.latency

    @property
    def latency(self) -> int:
        """Cycles from a firing to the beat it gives."""
        return self.multiplied + self.acc.latency + (self.spec.latency if self.spec else 0)

    @cached_property
    def layout(self) -> Layout:
        """Layout of the input."""
        return self.taken(self.fold.lanes)

    @cached_property
    def out_layout(self) -> Layout:
        """Layout of the output."""
        return self.given(self.fold.macs)

    def schedule(self) -> Schedule:
        """One process: all sums are cleared at the start of a frame (a reset may have left any),
        from then on when they have been read for the last time."""
        q, r, k = self.walked, self.rounds, len(self.centroids)
        left = self.beats - (q - 1) * self.minor
        full = Mask.at(out="first", block=(0, q - 1))
        last = Mask.at(out="first", block=q - 1, minor=(0, left))
        gives = Mask.at(out=self.groups - 1, block=(q, q + self.last_rounds), minor=k - 1)
        if self.groups > 1:
            gives |= Mask.at(out=(0, self.groups - 1), block=(q, q + r), minor=k - 1)
        addresses = {"weight": Sum.affine(out=self.beats, block=self.minor, minor=1)}
        if self.operands.form in ("lutram", "bram"):
            addresses["replay"] = Sum.affine(block=self.minor, minor=1)
        if self.spec is not None:
            addresses["channel"] = Sum.affine(-q, out=r, block=1)
        main = Nest(
            loops=(
                ("pixel", self.pixels),
                ("out", self.groups),
                ("block", q + r),
                ("minor", self.minor),
            ),
            takes={"x": full | last if q > 1 else last},
            gives={"y": gives},
            addresses=addresses,
        )
        clear = Nest(loops=(("clear", k),))
        return Schedule((Process("main", (clear, main)),), {"y": self.latency})

    def check(self) -> None:
        """UnitError, with the legal values, if weights or fold do not fit."""
        (n, _, c), f, what = self.shape, self.fold, self.of("CentroidMatVec")
        if self.grouped or self.x.bipolar:
            raise UnitError(f"{what}: one group and numbers as inputs are needed; use MatVec")
        if len(self.values) < 2 or len(self.centroids) > MOST:
            raise UnitError(
                f"{what}: 2 different weights or more, up to {MOST} beside 0, are needed, got "
                f"{len(self.values)}; use MatVec"
            )
        for name, size in (("lanes", c), ("outs", n)):
            if not 1 <= getattr(f, name) <= size:
                raise UnitError(f"{what}: {name} must be 1 to {size}, not {getattr(f, name)}")
        if f.macs < 1 or f.outs % f.macs:
            raise UnitError(f"{what}: macs must be a divisor of outs={f.outs}, not {f.macs}")
        check_options(what, f, OPTIONS)
        if f.levels < 5:
            raise UnitError(f"{what}: levels must be at least 5, not {f.levels}")

    def weight_words(self) -> list[int]:
        """Words of codes, group by group; outputs outside, lanes inside, first in the low bits."""
        (n, t, c), f = self.shape, self.fold
        values = np.array(self.values)
        order = np.argsort(values)
        codes = order[np.searchsorted(values, matrix(self.op.weight), sorter=order)]
        layout = Layout(Type((n, t, c), 0, self.code.hi), (f.outs, 1, f.lanes))
        return layout.pack(codes[None])
