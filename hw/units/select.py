"""Which elements are the largest: classification results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwc.compiler.graph import ArgMax, Graph, Node, TopK, Type
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Schedule, Sum
from hwc.hw.unit import Datapath, Ints, Unit, UnitError, extremes
from hwc.hw.units.control import control_resources
from hwc.hw.units.parts import (
    SHIFT_REGISTER,
    adder_levels,
    compare_levels,
    pipe,
    pipe_resources,
)
from hwc.hw.units.reducer import greater_luts, split

__all__ = ["SelectUnit"]


@dataclass(frozen=True)
class Entry:
    """A candidate: its value and index, and whether it exists at all."""

    value: Value
    index: Value
    valid: Value


@dataclass(frozen=True)
class SelectUnit(Unit):
    """Graph op ``ArgMax`` or ``TopK`` on ``x`` (..., C), ``lanes`` channels of a pixel a beat.

    Port ``y`` gives all indices of a pixel in one beat. A tree of merges finds the largest k of a
    beat, then they are merged into the largest k so far. Of equal values the lower index is first.
    Latency: one cycle per rank of the tree, and one.
    """

    op: ArgMax | TopK
    x: Type
    lanes: int

    def __post_init__(self) -> None:
        if not isinstance(self.op, ArgMax | TopK):
            raise UnitError(f"SelectUnit: the op is ArgMax or TopK, not {type(self.op).__name__}")
        self.op.infer(self.x)
        _ = self.inputs()

    @property
    def k(self) -> int:
        """How many are selected."""
        return self.op.k if isinstance(self.op, TopK) else 1

    @cached_property
    def ranks(self) -> tuple[tuple[int, ...], ...]:
        """Lengths of the sorted lists behind each rank of the tree, the lanes first."""
        out = [(1,) * self.lanes]
        while len(row := out[-1]) > 1:
            pairs = zip(row[::2], row[1::2], strict=False)
            merged = (min(self.k, a + b) for a, b in pairs)
            out.append((*merged, *row[len(row) // 2 * 2 :]))
        return tuple(out)

    @property
    def _pixel(self) -> tuple[int, ...]:
        """The tile of one pixel, but for its channels."""
        return (1,) * (len(self.x.shape) - 1)

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, (*self._pixel, self.lanes))}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.op.infer(self.x), (*self._pixel, self.k))}

    def schedule(self) -> Schedule:
        *pixels, steps = self.inputs()["x"].steps
        nest = Nest(
            loops=(("pixel", math.prod(pixels)), ("step", steps)),
            takes={"x": Mask.always()},
            gives={"y": Mask.at(step="last")},
            addresses={"base": Sum.affine(step=self.lanes)},
        )
        return Schedule.single(nest, len(self.ranks))

    def resources(self) -> Resources:
        value, index = self.x.width, self.outputs()["y"].type.width
        once, found = self.lanes == self.x.shape[-1], self.ranks[-1][0]
        total = control_resources(self.schedule(), ()) + self._tree()
        total += pipe_resources(1 if once else index + 2, len(self.ranks) - 1)
        if once and self.k == 1:
            # Nothing comes after, so nobody looks at the largest value.
            return total + Resources(-value * (self.lanes > 1), index - value, 0, 0)
        # The best one so far stays where it is by its clock enable; of more, each place chooses.
        width = 0 if self.k == 1 else value + index
        total += self._merge_cost(self.k, found, self.k, width)
        add = index * found * (self.lanes > 1)
        return total + Resources(add, self.k * (value + index + 1), 0, 0)

    def _tree(self) -> Resources:
        """All ranks of merges; a list that waits for three ranks is shift registers."""
        value, total, waits = self.x.width, Resources.zero(), 0
        tail = self.x.shape[-1] % self.lanes > 0
        for n, (before, after) in enumerate(pairwise(self.ranks), 1):
            # Behind n ranks an index is at most n bits of the lane's number, the last one of which
            # is which of both was taken.
            width = value + min(n, (self.lanes - 1).bit_length())
            for k, (a, b) in enumerate(zip(before[::2], before[1::2], strict=False)):
                total += self._merge_cost(a, b, after[k], width - 1)
            total += Resources(0, sum(after) * (width + tail), 0, 0)
            if len(before) % 2:
                waits += 1 + (waits == 0 and n > 1)
                continue
            if waits >= SHIFT_REGISTER:
                total += Resources(width - 1, -waits * (width - 1), 0, 0) * before[-1]
            waits = 0
        return total

    def _merge_cost(self, a: int, b: int, kept: int, width: int) -> Resources:
        """Comparators of all pairs, and for each place a choice of those who may take it."""
        luts = a * b * greater_luts(self.x.width)
        for place in range(kept):
            picks = sum(0 <= place - i <= b for i in range(a))
            picks += sum(0 <= place - j <= a for j in range(b))
            # Of three, each has a bit of its own that says so, and whether it exists is another.
            luts += width * max(1, picks // 2) + 4 * (picks == 3)
        return Resources(luts, 0, 0, 0)

    def levels(self) -> int:
        index = adder_levels(self.outputs()["y"].type.width)
        terms = 2 * min(self.k, self.ranks[-1][0])
        pick = 1 if terms <= 2 else 1 + math.log(3 * terms, 6)
        return math.ceil(max(compare_levels(self.x.width) + pick, index + pick) + 1)

    def component(self) -> Datapath:
        return _Path(self)

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        """Half of the frames have three values a power of two apart: many are equal, and which of
        two is larger hangs on one bit."""
        x, kind = extremes(self.x, rng, batch), self.x
        if not kind.bipolar:
            for frame in x[::2]:
                step = 1 << rng.integers(0, kind.width)
                middle = rng.integers(kind.lo, kind.hi + 1)
                few = np.clip(middle + np.array([-step, 0, step]), kind.lo, kind.hi)
                frame[:] = few[rng.integers(0, 3, frame.shape)]
        return {"x": x}

    @classmethod
    def candidates(cls, op: ArgMax | TopK, x: Type) -> Iterator[Self]:
        """One for each distinct number of beats."""
        channels = x.shape[-1]
        for lanes in sorted({-(-channels // steps) for steps in range(1, channels + 1)}):
            yield cls(op, x, lanes)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        s6, u2, pm = Type((1,), -32, 31), Type((1,), 0, 3), Type((1,), -1, 1, bipolar=True)
        yield cls(ArgMax(), s6.with_shape((2, 3, 5)), 2)
        yield cls(ArgMax(), pm.with_shape((3, 4)), 4)
        yield cls(TopK(2), u2.with_shape((2, 2, 7)), 3)
        for op, size, kind, lanes in (
            (ArgMax(), 10, s6, 1),
            (ArgMax(), 10, s6, 3),
            (ArgMax(), 10, u2, 4),
            (ArgMax(), 10, s6, 10),
            (ArgMax(), 7, pm, 2),
            (ArgMax(), 1, u2, 1),
            (TopK(1), 5, u2, 2),
            (TopK(3), 10, s6, 1),
            (TopK(3), 10, u2, 4),
            (TopK(5), 11, s6, 3),
            (TopK(5), 5, pm, 2),
            (TopK(4), 6, u2, 6),
        ):
            yield cls(op, kind.with_shape((size,)), lanes)


class _Path(Datapath):
    """A pipelined tree of merges, then the merge with the best so far."""

    def __init__(self, unit: SelectUnit) -> None:
        super().__init__(unit)
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m, unit, ctl = Module(), self.unit, self.ctl["main"]
        late = len(unit.ranks) - 1
        lists = self._leaves()
        for n, rank in enumerate(unit.ranks[1:]):
            pairs = zip(lists[::2], lists[1::2], strict=False)
            merged = [_merge(a, b, unit.k) for a, b in pairs] + lists[len(lists) // 2 * 2 :]
            lists = [self._keep(m, es, f"rank_{n}_{i}") for i, es in enumerate(merged)]
            assert tuple(map(len, lists)) == rank
        base = pipe(m, ctl.address["base"], late, "base")
        fire, first = pipe(m, ctl.fire, late, "fire"), pipe(m, ctl.first["step"], late, "first")
        width = unit.outputs()["y"].type.width
        new = [Entry(e.value, (e.index + base)[:width], e.valid) for e in lists[0]]
        best = [
            Entry(
                Signal(e.value.shape(), name=f"best_{i}", reset_less=True),
                Signal(width, name=f"best_{i}_index", reset_less=True),
                Signal(name=f"best_{i}_valid", reset_less=True),
            )
            for i, e in enumerate([new[0]] * unit.k)
        ]
        old = [Entry(e.value, e.index, e.valid & ~first) for e in best]
        with m.If(fire):
            m.d.sync += _assign(best, _merge(old, new, unit.k))
        m.d.comb += self.y["y"].eq(Cat(*(e.index for e in best)))
        return m

    def _leaves(self) -> list[list[Entry]]:
        """A list of one for each lane; lanes past the end of the last beat do not exist."""
        unit = self.unit
        tail = unit.x.shape[-1] - (unit.inputs()["x"].steps[-1] - 1) * unit.lanes
        last = self.ctl["main"].last["step"]
        size = max(1, (unit.lanes - 1).bit_length())
        return [
            [Entry(v, Const(i, size), Const(1, 1) if i < tail else ~last)]
            for i, v in enumerate(split(self.x["x"], unit.x, unit.lanes))
        ]

    def _keep(self, m: Module, entries: Sequence[Entry], name: str) -> list[Entry]:
        """Registers behind the entries."""
        return [
            Entry(
                pipe(m, e.value, 1, f"{name}_{i}"),
                pipe(m, e.index, 1, f"{name}_{i}_index"),
                pipe(m, e.valid, 1, f"{name}_{i}_valid"),
            )
            for i, e in enumerate(entries)
        ]


def _assign(targets: Sequence[Entry], sources: Sequence[Entry]) -> list:
    out = []
    for t, s in zip(targets, sources, strict=True):
        for to, what in ((t.value, s.value), (t.index, s.index), (t.valid, s.valid)):
            assert isinstance(to, Signal)
            out.append(to.eq(what))
    return out


def _merge(a: Sequence[Entry], b: Sequence[Entry], most: int) -> list[Entry]:
    """The first ``most`` of two sorted lists, of which ``a`` has the lower indices.

    ``beats[i][j]``: b[j] goes before a[i]. Both lists are sorted, so a[i] comes out in place i + n
    exactly if b[n - 1] goes before it and b[n] does not.
    """
    beats = [[y.valid & ((y.value > x.value) | ~x.valid) for y in b] for x in a]

    def before(i: int, j: int) -> Value:
        """b[j] before a[i]; both lists go on for ever with the least on either side."""
        if j < 0 or i >= len(a):
            return Const(1, 1)
        return Const(0, 1) if j >= len(b) or i < 0 else beats[i][j]

    out: list[Entry] = []
    for place in range(min(most, len(a) + len(b))):
        picks: list[tuple[Value, Entry]] = []
        for i in range(min(place + 1, len(a))):
            n = place - i
            if n <= len(b):
                picks.append((before(i, n - 1) & ~before(i, n), a[i]))
        for j in range(min(place + 1, len(b))):
            n = place - j
            if n <= len(a):
                picks.append((~before(n - 1, j) & before(n, j), b[j]))
        out.append(_one_hot(picks))
    return out


def _one_hot(picks: Sequence[tuple[Value, Entry]]) -> Entry:
    """The entry whose bit is set; exactly one is."""
    bits = [bit for bit, _ in picks]
    return Entry(
        _choose(bits, [e.value for _, e in picks]),
        _choose(bits, [e.index for _, e in picks]),
        _choose(bits, [e.valid for _, e in picks]),
    )


def _choose(bits: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose bit is set, all of one shape: an OR of ANDs is flatter than a chain."""
    if len(values) == 1:
        return values[0]
    if len(values) == 2:
        return Mux(bits[0], values[0], values[1])
    total = Const(0, len(values[0]))
    for bit, value in zip(bits, values, strict=True):
        total = total | Mux(bit, value.as_unsigned(), 0)
    return total.as_signed() if values[0].shape().signed else total
