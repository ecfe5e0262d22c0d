"""What a product that skips zero activations does in each cycle, and when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwc.hw.queue import queue_form
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import UnitError
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.parts import check_options, step_bits

__all__ = ["Buffer", "SkipPlan"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Buffer = Literal["lutram", "bram"]


@dataclass(frozen=True)
class SkipPlan(MatVecPlan):
    """A dense product in order "output", one pixel and all of its one group at a time, behind a
    memory of those beats that are not all 0.

    Of each beat that is kept the memory holds its elements and its number in the vector, of which
    the place of its weights follows. Two vectors each, so that one is loaded while the one before
    is walked. Cycles count from a ``walk`` firing: the number is there at 1, the beat and its
    weights at ``fetch``; the rest is as in :class:`MatVecPlan`.
    """

    buffer: Buffer = "lutram"

    def check(self) -> None:
        """UnitError, with the legal values, if the fold does not fit the op or x has no 0."""
        what = f"SkipMatVec {'x'.join(map(str, self.shape))} (groups, outputs, taps, channels)"
        if self.x.bipolar or not self.x.lo <= 0 <= self.x.hi:
            raise UnitError(f"{what}: x must have a 0 to skip, it is {self.x}")
        if self.shape[0] > 1:
            raise UnitError(f"{what}: a product of one group is needed")
        legal = {"pixels": 1, "groups": 1, "order": "output"}
        for name, value in legal.items():
            if (got := getattr(self.fold, name)) != value:
                raise UnitError(f"{what}: {name} must be {value!r}, not {got!r}")
        check_options(what, self, {"buffer": ("lutram", "bram")})
        super().check()
        if self.beats < 2:
            raise UnitError(
                f"{what}: taps * lanes = {self.lanes} makes one beat of a vector, which leaves "
                "nothing to skip; use MatVec"
            )

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return self.sums

    @property
    def blocks(self) -> int:
        """Times that the beats of a vector are walked."""
        return self.steps["out"]

    @property
    def pixels(self) -> int:
        """Vectors of a frame."""
        return self.steps["pixel"]

    # Positions past the end hold 0 in the memory of beats, so their weights do not matter.

    @cached_property
    def masked(self) -> int:
        return 0

    @cached_property
    def cleared(self) -> int:
        return sum(map(self.maskable, self.positions))

    # Memories.

    @property
    def number_bits(self) -> int:
        """Bits of the number of a beat, and of a place in a vector."""
        return step_bits(self.beats)

    @property
    def depth(self) -> int:
        """Words of both vectors: the second begins at a power of two."""
        return (1 << self.number_bits) + self.beats

    @property
    def numbers_form(self) -> Buffer:
        """Where the numbers of the beats are."""
        return "bram" if queue_form(self.number_bits, self.depth) == "bram" else "lutram"

    # Time.

    @property
    def fetch(self) -> int:
        return 2

    def schedule(self) -> Schedule:
        """``load`` takes a vector, ``walk`` goes through it once for each block of outputs, to its
        last beat other than 0."""
        n, taken, walked = self.pixels, self.beats, self.blocks * self.beats
        load = Nest(
            (("pixel", n), ("tap", self.steps["tap"]), ("lane", self.steps["lane"])),
            takes={"x": Mask.always()},
            needs={"walk": Sum.affine(-walked, pixel=walked)},
            addresses={"number": Sum.affine(tap=self.steps["lane"], lane=1)},
        )
        walk = Nest(
            (("pixel", n), ("out", self.blocks), ("beat", taken)),
            gives={"y": Mask.always().when("ends")},
            needs={"load": Sum.affine(taken, pixel=taken)},
            addresses={"weight": Sum.affine(out=taken)} | self._channel(),
            stop="ends",
        )
        return Schedule((Process("load", (load,)), Process("walk", (walk,))), {"y": self.latency})

    def _channel(self) -> dict[str, Sum]:
        return {} if self.spec is None else {"channel": Sum.affine(out=1)}

    def kept(self, x: Ints) -> Ints:
        """Beats that are walked of each vector of frames ``x``, ``int[batch, pixels]``: those that
        are not all 0, but at least one."""
        _, _, taps, channels = self.shape
        f, s = self.fold, self.steps
        whole = x.reshape(len(x), self.pixels, taps, channels) != 0
        tail = s["tap"] * f.taps - taps, s["lane"] * f.lanes - channels
        whole = np.pad(whole, ((0, 0), (0, 0), (0, tail[0]), (0, tail[1])))
        tiles = whole.reshape(len(x), self.pixels, s["tap"], f.taps, s["lane"], f.lanes)
        return np.maximum(1, tiles.any(axis=(3, 5)).sum(axis=(2, 3)))

    def ends(self, x: Ints) -> Bools:
        """In which firings of ``walk`` the last beat of a vector is at hand."""
        last = np.arange(self.beats) == self.kept(x)[..., None, None] - 1
        shape = (len(x), self.pixels, self.blocks, self.beats)
        return np.broadcast_to(last, shape).ravel()
