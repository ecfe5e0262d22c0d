"""Tables of products of pieces, filled once for all outputs, and gathered by each: when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type
from hwc.hw.dot import DotSpec, Number, SumSpec
from hwc.hw.layout import Layout
from hwc.hw.queue import Form, queue_form
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import UnitError
from hwc.hw.units.act import ActSpec
from hwc.hw.units.flat import OPTIONS, Flat
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import check_options
from hwc.hw.units.rom import Rom, RomForm
from hwc.hw.units.subvectors import MOST, Pieces, entries_of, pieces_of

__all__ = ["LookupFold", "LookupPlan"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LookupFold:
    """How large pieces are, and how much happens at once.

    An input beat has ``lanes`` blocks of ``size`` neighbouring channels of a tap. Of each block,
    ``fills`` products with a piece are made a cycle, and ``outs`` outputs look one up a cycle.
    ``fills`` is a power of two. ``memory``: where pieces and codes are; ``style``, ``act_style``:
    products, and those of a requantization, in LUTs or DSP blocks; ``levels``: LUT and carry levels
    between registers.
    """

    size: int = 2
    lanes: int = 1
    outs: int = 1
    fills: int = 1
    memory: RomForm = "lutrom"
    style: Style = "auto"
    act_style: Style = "auto"
    levels: int = 6


@dataclass(frozen=True)
class LookupPlan(Flat):
    """Everything that follows from op, input type, activation and fold without building anything.

    Cycles count from a firing. ``fill``: inputs and pieces are there at 1, products go to the
    tables at ``filled``. ``gather``: codes are there and tables read at ``filled``, what was read
    and its sum over lanes ``lanes_sum.latency + 1`` later; then it is added to the partial sum.
    """

    fold: LookupFold

    @cached_property
    def pieces(self) -> Pieces:
        """The weights as pieces and codes."""
        found = pieces_of(self.op.weight, self.fold.size)
        if found is None:
            raise UnitError(
                f"{self.of('LookupMatVec')}: a block of {self.fold.size} inputs has more than "
                f"{MOST} different pieces; use MatVec"
            )
        return found

    # Geometry.

    @property
    def blocks(self) -> int:
        """Blocks of a tap."""
        return -(-self.shape[2] // self.fold.size)

    @property
    def across(self) -> int:
        """Beats of a tap."""
        return -(-self.blocks // self.fold.lanes)

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return self.shape[1] * self.across

    @property
    def entries(self) -> int:
        """Firings that fill the tables of a beat."""
        return -(-self.pieces.count // self.fold.fills)

    @property
    def steps(self) -> int:
        """Firings in which all outputs look up."""
        return -(-self.shape[0] // self.fold.outs)

    @property
    def lanes(self) -> int:
        """Channels of a beat."""
        return min(self.fold.size * self.fold.lanes, self.shape[2])

    @property
    def cleared(self) -> tuple[int, ...]:
        """Channels of a beat that are past the end in the last of a tap."""
        tail = self.shape[2] - (self.across - 1) * self.lanes
        return tuple(range(tail, self.lanes))

    # Arithmetic.

    @cached_property
    def w(self) -> Number:
        """The weights, 0 among them."""
        return Number(min(self.op.weight.lo, 0), max(self.op.weight.hi, 0))

    @cached_property
    def dot(self) -> DotSpec:
        """The product of a block and a piece."""
        x = Number(min(self.x.lo, 0), max(self.x.hi, 0))
        return DotSpec(x, self.w, self.fold.size, self.fold.style, self.fold.levels)

    @cached_property
    def entry(self) -> Number:
        """What such a product can be, from the actual pieces."""
        return Number(*entries_of(self.op.weight, self.fold.size, self.x.lo, self.x.hi))

    @cached_property
    def lanes_sum(self) -> SumSpec:
        """The sum over the blocks of a beat."""
        return SumSpec(((self.entry, 1),) * self.fold.lanes, self.fold.levels)

    @property
    def acc(self) -> Number:
        """What the sum of an output is in the end; on the way it may wrap."""
        return Number(self.sum.lo, self.sum.hi)

    @property
    def registered(self) -> bool:
        """Whether sums of several beats are added."""
        return self.beats > 1

    @cached_property
    def spec(self) -> ActSpec | None:
        """The activation of one firing's outputs."""
        if self.act is None:
            return None
        f = self.fold
        return ActSpec(self.act, self.sum, f.outs, style=f.act_style, levels=f.levels)

    # Memories. Two pages of each table, so that one is filled while the other is read.

    @property
    def code(self) -> Type:
        """Type of a code."""
        return Type(self.pieces.codes.shape, 0, max(self.pieces.count - 1, 1))

    @property
    def rom(self) -> Rom:
        """The memory of the codes."""
        width = self.fold.outs * self.fold.lanes * self.code.width
        return Rom(width, self.beats * self.steps, self.fold.memory)

    @property
    def book(self) -> Rom:
        """The memory of the pieces."""
        f = self.fold
        width = f.lanes * f.fills * f.size * self.w.width
        return Rom(width, self.beats * self.entries, f.memory)

    @property
    def page(self) -> int:
        """Words from a page to the next."""
        return 1 << (self.entries - 1).bit_length()

    @property
    def depth(self) -> int:
        """Words of a table."""
        return self.page + self.entries

    @property
    def partial(self) -> Form | None:
        """Where the partial sums of the outputs wait; None if one register each is enough."""
        if self.steps == 1 or not self.registered:
            return None
        form = queue_form(self.fold.outs * self.acc.width, self.steps)
        return "bram" if form == "bram" else "lutram"

    # Time.

    @property
    def filled(self) -> int:
        """Cycles from a ``fill`` firing until its products go to the tables."""
        return 1 + self.dot.latency

    @property
    def summed(self) -> int:
        """Cycles from a ``gather`` firing to the sums over its lanes."""
        return self.filled + 1 + self.lanes_sum.latency

    @property
    def latency(self) -> int:
        """Cycles from a ``gather`` firing to the beat it gives."""
        return self.summed + self.registered + (self.spec.latency if self.spec else 0)

    @cached_property
    def layout(self) -> Layout:
        """Layout of the input."""
        return self.taken(self.lanes)

    @cached_property
    def out_layout(self) -> Layout:
        """Layout of the output."""
        return self.given(self.fold.outs)

    def schedule(self) -> Schedule:
        """Two processes: the tables of a beat are filled, and looked up by all outputs; the first
        may be one beat ahead."""
        f, g, n, wide = self.entries, self.steps, self.beats, self.across
        fill = Nest(
            (("pixel", self.pixels), ("tap", self.shape[1]), ("across", wide), ("entry", f)),
            takes={"x": Mask.at(entry="first")},
            needs={"gather": Sum.affine(-g, pixel=n * g, tap=wide * g, across=g)},
            addresses={"piece": Sum.affine(tap=wide * f, across=f, entry=1)},
        )
        gather = Nest(
            (("pixel", self.pixels), ("beat", n), ("out", g)),
            gives={"y": Mask.at(beat="last")},
            needs={"fill": Sum.affine(f, pixel=n * f, beat=f)},
            addresses={"code": Sum.affine(beat=g, out=1)},
        )
        processes = Process("fill", (fill,)), Process("gather", (gather,))
        return Schedule(processes, {"y": self.latency})

    def check(self) -> None:
        """UnitError, with the legal values, if weights or fold do not fit."""
        (n, _, c), f, what = self.shape, self.fold, self.of("LookupMatVec")
        if self.grouped or self.x.bipolar:
            raise UnitError(f"{what}: one group and numbers as inputs are needed; use MatVec")
        if not 1 <= f.size <= c:
            raise UnitError(f"{what}: size must be 1 to {c}, not {f.size}")
        for name, size in (("lanes", self.blocks), ("outs", n)):
            if not 1 <= getattr(f, name) <= size:
                raise UnitError(f"{what}: {name} must be 1 to {size}, not {getattr(f, name)}")
        if f.fills < 1 or f.fills & (f.fills - 1) or f.fills > self.pieces.count:
            most = self.pieces.count
            raise UnitError(f"{what}: fills must be a power of two up to {most}, not {f.fills}")
        check_options(what, f, OPTIONS)
        if f.levels < 4:
            raise UnitError(f"{what}: levels must be at least 4, not {f.levels}")

    # Contents.

    def code_words(self) -> list[int]:
        """Words of codes, beat by beat, in each step by step; lanes inside, first in the low
        bits."""
        layout = Layout(self.code, (self.fold.outs, 1, self.fold.lanes))
        words = layout.pack(self.pieces.codes[None])
        order = np.arange(len(words)).reshape(self.steps, self.beats)
        return [words[i] for i in order.T.ravel()]

    def piece_words(self) -> list[int]:
        """Words of pieces, beat by beat: lanes outside, then pieces, weights inside."""
        f, book = self.fold, self.pieces.book
        t, b, k, d = book.shape
        extra = (0, self.across * f.lanes - b), (0, self.entries * f.fills - k)
        book = np.pad(book, ((0, 0), *extra, (0, 0)))
        book = book.reshape(t * self.across, f.lanes, self.entries, f.fills * d).swapaxes(1, 2)
        flat = book.reshape(self.beats * self.entries, -1)
        kind = Type(flat.shape, self.w.lo, self.w.hi)
        return Layout(kind, (1, flat.shape[1])).pack(flat[None])
