"""The arithmetic of a folded Winograd product, and when its parts are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type, WinogradProduct
from hwc.hw.dot import Accumulator, DotSpec, Number, SumSpec
from hwc.hw.dot.dsp import fits_dsp
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.units.act import ActSpec
from hwc.hw.units.multiply import Style
from hwc.hw.units.replay import Replay
from hwc.hw.units.rom import Rom
from hwc.hw.units.winograd.fold import WinogradGeometry
from hwc.hw.units.winograd.order import Order
from hwc.hw.units.winograd.toom import Toom, cook_toom

__all__ = ["WinogradPlan", "transformed"]

Ints = NDArray[np.int64]
Sums = tuple[tuple[SumSpec, ...], ...]


@lru_cache(maxsize=64)
def _sum_type(op: WinogradProduct, x: Type) -> Type:
    return op.infer(x)


@lru_cache(maxsize=64)
def transformed(op: WinogradProduct) -> Ints:
    """The weights in the domain of the products, ``(N, T, C)``: g w g', an integer each."""
    w, g = op.weight.dense(), np.array(cook_toom(op.m, op.r).g, dtype=np.int64)
    u = np.einsum("ia,jb,kabc->kijc", g, g, w)
    return u.reshape(len(w), -1, w.shape[3])


def _hull(numbers: list[Number]) -> Number:
    return Number(min(n.lo for n in numbers), max(n.hi for n in numbers))


def latest(sums: Sums) -> int:
    """Cycles of the slowest of these sums."""
    return max(s.latency for s in {s for row in sums for s in row})


@dataclass(frozen=True)
class WinogradPlan(WinogradGeometry):
    """Everything that follows from op, input type, activation and fold without building anything.

    A transform in two dimensions is one of columns, then one of rows. Products are summed, and
    transformed back, modulo a power of two: what is exactly divisible by ``divisor ** 2`` gives
    its quotient y, of w bits, from its lowest ``w + shift`` bits alone, ``2 ** shift`` being the
    power of two in there, by an odd constant's inverse modulo ``2 ** w``.
    """

    @property
    def toom(self) -> Toom:
        """The transforms."""
        return cook_toom(self.op.m, self.op.r)

    @cached_property
    def sum(self) -> Type:
        """Type of the finished sums, (..., m, m, N)."""
        return _sum_type(self.op, self.x)

    @cached_property
    def y(self) -> Type:
        """Type of the output."""
        return self.sum if self.act is None else self.act.infer(self.sum)

    @property
    def tail(self) -> int:
        """Lanes that are past the end in the last step of channels."""
        return -self.channels % self.fold.lanes

    @cached_property
    def cleared(self) -> int:
        """Lanes cleared past the end, though their weights are 0: their bits may be no number."""
        every_code = self.x.bipolar or self.x.hi - self.x.lo + 1 == 1 << self.x.width
        return 0 if every_code else self.tail

    @cached_property
    def operand(self) -> Number:
        """An element of the input."""
        x = Number.of(self.x)
        return Number(min(x.lo, 0), max(x.hi, 0)) if self.cleared else x

    # The way in: b x b' for each lane.

    @cached_property
    def columns(self) -> Sums:
        """``[i][k]``: row i of b times column k of a window, of its non-zero places."""
        b, n = self.toom.b, self.op.n
        rows = (tuple((self.operand, v) for v in row if v) for row in b)
        return tuple((SumSpec(row, self.fold.levels),) * n for row in rows)

    @cached_property
    def rows(self) -> Sums:
        """``[i][j]``: row j of b times row i of the columns' sums."""
        found = []
        for line in self.columns:
            number = line[0].result
            terms = (tuple((number, v) for v in row if v) for row in self.toom.b)
            found.append(tuple(SumSpec(row, self.fold.levels) for row in terms))
        return tuple(found)

    @cached_property
    def slots(self) -> tuple[tuple[Number, Number], ...]:
        """What the multipliers of each place of a firing see: transformed input and weight.

        Place q of firing p along the points is place ``p * points + q`` of the window.
        """
        values = [s.result for row in self.rows for s in row]
        u, points = transformed(self.op), self.fold.points
        lo, hi = (np.min(u, axis=(0, 2)), np.max(u, axis=(0, 2)))
        if self.tail or self.outputs % self.fold.outs:
            lo, hi = np.minimum(lo, 0), np.maximum(hi, 0)
        weights = [Number(int(a), int(b)) for a, b in zip(lo, hi, strict=True)]
        return tuple((_hull(values[q::points]), _hull(weights[q::points])) for q in range(points))

    # Products and their sums.

    @cached_property
    def dots(self) -> tuple[DotSpec, ...]:
        """Per place of a firing, the sum over its lanes."""
        f = self.fold

        def style(x: Number, w: Number) -> Style:
            return "lut" if f.style == "dsp" and not fits_dsp(x, w) else f.style

        return tuple(DotSpec(x, w, f.lanes, style(x, w), f.levels) for x, w in self.slots)

    @property
    def dot_latency(self) -> int:
        """Cycles of the slowest dot product."""
        return max(dot.latency for dot in self.dots)

    @cached_property
    def rom(self) -> Rom:
        """The memory of the weights."""
        width = self.fold.outs * self.fold.lanes * sum(w.width for _, w in self.slots)
        return Rom(width, self.words, self.fold.memory)

    @cached_property
    def shift(self) -> int:
        """Twos in ``divisor ** 2``."""
        square = self.toom.divisor**2
        return (square & -square).bit_length() - 1

    @cached_property
    def total(self) -> Number:
        """What is kept of the sums over channels."""
        return Number.two_complement(self.sum.width + self.shift)

    @property
    def registered(self) -> bool:
        """Whether there are accumulators behind the dot products."""
        return self.steps["lane"] > 1

    @cached_property
    def accumulators(self) -> tuple[Accumulator, ...]:
        """Per place of a firing."""
        return tuple(Accumulator(dot.result, self.total) for dot in self.dots)

    # The way out: a s a' / divisor ** 2.

    @cached_property
    def back_columns(self) -> Sums:
        """``[i][k]``: row i of a times column k of the sums."""
        rows = (tuple((self.total, v) for v in row if v) for row in self.toom.a)
        bits = self.total.width
        return tuple((SumSpec(row, self.fold.levels, bits=bits),) * self.op.n for row in rows)

    @cached_property
    def back_rows(self) -> Sums:
        """``[i][j]``: row j of a times row i of the columns' sums."""
        line = tuple(row[0] for row in self.back_columns)
        return (line,) * self.op.m

    @cached_property
    def division(self) -> SumSpec:
        """By the odd part of ``divisor ** 2``."""
        bits = self.sum.width
        odd = self.toom.divisor**2 >> self.shift
        inverse = pow(odd, -1, 1 << bits)
        number = Number.two_complement(bits)
        return SumSpec(((number, inverse),), self.fold.levels, bits=bits)

    @cached_property
    def spec(self) -> ActSpec | None:
        """The activation of one part."""
        if self.act is None:
            return None
        f = self.fold
        copies = self.op.m**2 // f.parts
        return ActSpec(self.act, self.sum, f.outs, copies, f.act_style, levels=f.levels)

    # Time, in cycles from a firing.

    @cached_property
    def operands(self) -> Replay:
        """Where windows wait for other outputs and points."""
        rounds = self.steps["out"] * self.steps["point"]
        return Replay.of(self.layout.width, self.steps["lane"], rounds)

    @property
    def ready(self) -> int:
        """To its transformed windows, and the choice of places among them if there is one."""
        chosen = self.steps["point"] > 1
        return self.operands.latency + latest(self.columns) + latest(self.rows) + chosen

    @property
    def summed(self) -> int:
        """To its sums over channels."""
        return self.ready + self.dot_latency + self.registered

    @property
    def finished(self) -> int:
        """To the sums of the convolution."""
        back = latest(self.back_columns) + latest(self.back_rows)
        return self.summed + back + self.division.latency

    @property
    def coded(self) -> int:
        """To its codes: with several parts, one to store them, and one for each more."""
        wait = self.fold.parts if self.fold.parts > 1 else 0
        return self.finished + wait + (self.spec.latency if self.spec else 0)

    @cached_property
    def order(self) -> Order | None:
        """What brings the codes into the order of y."""
        f, m = self.fold, self.op.m
        if f.pixels == 0:
            return None
        return Order(f.outs * self.y.width, self.steps["out"], m * m // f.pixels, f.pixels)

    @property
    def latency(self) -> int:
        """From the firing that gives a beat to that beat."""
        return self.coded + (self.order.latency if self.order else 0)

    @cached_property
    def out_layout(self) -> Layout:
        """Layout of the output: some outputs, of whole tiles, of a row of one or of a pixel."""
        m, ones = self.op.m, (1,) * len(self.leading)
        rows, columns = {0: (m, m), 1: (1, 1)}.get(self.fold.pixels, (1, m))
        return Layout(self.y, (*ones, rows, columns, self.fold.outs))

    def schedule(self) -> Schedule:
        """An output's places, all channels of each, before the next output; in a second process
        the codes of a tile whose sums are all under way, while the next one is worked on.
        """
        s = self.steps
        addresses = {"weight": Sum.affine(out=self.sums, point=s["lane"], lane=1)}
        if self.spec is not None:
            addresses["channel"] = Sum.affine(out=1)
        if self.operands.form in ("lutram", "bram"):
            addresses["replay"] = Sum.affine(lane=1)
        nest = Nest(
            loops=tuple(s.items()),
            takes={"x": Mask.at(out="first", point="first")},
            addresses=addresses,
        )
        if self.order is None:
            return Schedule.single(
                replace(nest, gives={"y": Mask.at(point="last", lane="last")}), self.latency
            )
        beats = self.order.beats * s["out"]
        main = replace(nest, needs={"emit": Sum.affine(-beats, tile=beats)})
        emit = Nest(
            loops=(("tile", s["tile"]), ("pixel", self.order.beats), ("out", s["out"])),
            gives={"y": Mask.always()},
            needs={"main": Sum.affine(self.words, tile=self.words)},
        )
        return Schedule((Process("main", (main,)), Process("emit", (emit,))), {"y": self.latency})

    def weight_words(self) -> list[int]:
        """The transformed weights as words of the memory, in the order of their addresses.

        A word holds outputs, places and lanes row-major, first in the low bits; each place has as
        many bits as its weights need. Past the end they are 0.
        """
        f, s = self.fold, self.steps
        u = transformed(self.op)
        u = np.pad(u, ((0, -self.outputs % f.outs), (0, 0), (0, self.tail)))
        u = u.reshape(s["out"], f.outs, s["point"], f.points, s["lane"], f.lanes)
        u = u.transpose(0, 2, 4, 1, 3, 5).reshape(self.words, f.outs, f.points, f.lanes)
        widths = [w.width for _, w in self.slots]
        words = []
        for word in u.tolist():
            bits = at = 0
            for out in word:
                for lanes, width in zip(out, widths, strict=True):
                    for value in lanes:
                        bits |= (value & (1 << width) - 1) << at
                        at += width
            words.append(bits)
        return words
