"""The static program of a converter: what each firing takes, gives, and from where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout
from hwc.hw.schedule import Loops, Mask, Nest
from hwc.hw.unit import UnitError

__all__ = ["Program", "RepackPlan", "Routes", "Section", "canonical"]

Ints = NDArray[np.int64]
Axes = tuple[tuple[int, int], ...]
"""``(size, tile)`` per axis."""

Known = dict[tuple[bytes, bytes], "Program"]

SHORT = 64
"""Programs of up to so many steps need one LUT per table bit."""
LONGEST = 1024
"""Steps of the longest program that is built."""


def canonical(shape: Sequence[int], tile: Sequence[int]) -> Axes:
    """The least axes with the same beats: axes of size 1 dropped, mergeable neighbours merged."""
    axes = [(n, t) for n, t in zip(shape, tile, strict=True) if n > 1]
    done: list[tuple[int, int]] = []
    for n, t in reversed(axes):
        if done:
            inner, lanes = done[0]
            if lanes == inner or (t == 1 and inner % lanes == 0):
                done[0] = (n * inner, t * lanes)
                continue
        done.insert(0, (n, t))
    return tuple(done) or ((1, 1),)


@dataclass(frozen=True)
class Program:
    """Firings of one block of elements that both sides finish together.

    ``sources[step, j]``: where element j of the beat given in that step lies, as
    ``age * elements + element`` of the input beat taken ``age`` takes ago (0: taken last, in this
    very step if it takes); -1 for padding and in steps that do not give.
    """

    takes: tuple[bool, ...]
    gives: tuple[bool, ...]
    sources: Ints

    @property
    def steps(self) -> int:
        """Firings."""
        return len(self.takes)

    @classmethod
    def of(cls, src: Ints, dst: Ints) -> Program:
        """Take a beat only if the next output lacks it; give as soon as all is there."""
        elements = src.shape[1]
        beat = np.zeros(int(src.max()) + 1, np.int64)
        place = np.zeros_like(beat)
        rows, columns = np.nonzero(src >= 0)
        beat[src[rows, columns]], place[src[rows, columns]] = rows, columns
        takes: list[bool] = []
        gives: list[bool] = []
        sources: list[Ints] = []
        taken = 0
        for want in dst:
            needed = int(beat[want[want >= 0]].max()) + 1
            lacking = max(needed - taken, 0)
            takes += [True] * lacking or [False]
            gives += [False] * (lacking - 1) + [True]
            sources += [np.full(len(want), -1)] * (lacking - 1)
            taken += lacking
            age = taken - 1 - beat[np.maximum(want, 0)]
            sources.append(np.where(want >= 0, age * elements + place[np.maximum(want, 0)], -1))
        return cls(tuple(takes), tuple(gives), np.array(sources))

    @classmethod
    def join(cls, parts: Sequence[Program]) -> Program:
        """One after the other."""
        takes = tuple(t for p in parts for t in p.takes)
        gives = tuple(g for p in parts for g in p.gives)
        return cls(takes, gives, np.concatenate([p.sources for p in parts]))

    def padded(self, steps: int) -> Program:
        """The same with idle steps at the end."""
        idle = (False,) * (steps - self.steps)
        fill = np.full((len(idle), self.sources.shape[1]), -1)
        return Program(self.takes + idle, self.gives + idle, np.concatenate([self.sources, fill]))


@dataclass(frozen=True)
class Section:
    """A nest: ``repeat`` times ``blocks`` blocks of which the last may run another program."""

    repeat: int
    blocks: int
    program: Program
    last: Program | None

    def loops(self, suffix: str) -> Loops:
        """Of the nest; the names end in ``suffix``."""
        return (
            (f"repeat{suffix}", self.repeat),
            (f"block{suffix}", self.blocks),
            (f"step{suffix}", self.program.steps),
        )

    def nest(self, suffix: str) -> Nest:
        """The nest."""
        return Nest(
            loops=self.loops(suffix),
            takes={"x": self._mask(suffix, "takes")},
            gives={"y": self._mask(suffix, "gives")},
        )

    def _mask(self, suffix: str, what: str) -> Mask:
        step, block = f"step{suffix}", f"block{suffix}"
        main = Mask.table(**{step: getattr(self.program, what)})
        if self.last is None:
            return main
        final = Mask.table(**{step: getattr(self.last, what)})
        early = tuple(k < self.blocks - 1 for k in range(self.blocks))
        tail = tuple(not bit for bit in early)
        return (main & Mask.table(**{block: early})) | (final & Mask.table(**{block: tail}))


class RepackPlan:
    """Programs and nests that turn beats of ``x``, tile ``a``, into beats of ``y``, tile ``b``."""

    def __init__(self, x: Type, a: Sequence[int], y: Type, b: Sequence[int]) -> None:
        src, dst, outer = _factored(canonical(x.shape, a), canonical(y.shape, b))
        self.sections = _sections(_all_blocks(x, src, dst), outer)
        self.elements = math.prod(t for _, t in src)

    @property
    def programs(self) -> list[Program]:
        """All programs, in the order of the sections; the last blocks' behind their section's."""
        return [p for s in self.sections for p in (s.program, s.last) if p is not None]

    def routes(self, late: bool) -> Routes:
        """Where each output element comes from.

        A place is ``register * elements + element``. ``late``: seen one cycle after the firing,
        when register 0 holds the beat taken last; else in the firing, register 0 being the head of
        the queue and register 1 the beat taken before this firing.
        """
        places: list[Ints] = []
        for program in self.programs:
            waits = ~np.array(program.takes)[:, None]
            shift = 0 if late else self.elements * waits
            places.append(np.where(program.sources >= 0, program.sources + shift, -1))
        column_of: dict[tuple[int, ...], int] = {}
        ways: list[tuple[int, ...]] = []
        selects: list[int] = []
        for column in np.concatenate(places).T:
            label: dict[int, int] = {}
            labels, now = [], 0
            for place in column.tolist():
                now = label.setdefault(place, len(label)) if place != -1 else now
                labels.append(now)
            ways.append(tuple(label))
            selects.append(column_of.setdefault(tuple(labels), len(column_of)))
        bounds = np.cumsum([0, *(p.steps for p in self.programs)]).tolist()
        tables = tuple(tuple(labels[i:j] for i, j in pairwise(bounds)) for labels in column_of)
        return Routes(late, self.elements, tuple(ways), tuple(selects), tables)


@dataclass(frozen=True)
class Routes:
    """For each output element its ``ways`` (places) and which of the ``selects`` picks one.

    ``tables[select][program][step]`` is the way's number.
    """

    late: bool
    elements: int
    ways: tuple[tuple[int, ...], ...]
    selects: tuple[int, ...]
    tables: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def most(self) -> int:
        """Ways of the widest multiplexer."""
        return max(map(len, self.ways))

    def registers(self) -> list[int]:
        """Per element of an input beat, how many registers it goes through."""
        count = [0] * self.elements
        for place in (p for ways in self.ways for p in ways):
            register, element = divmod(place, self.elements)
            count[element] = max(count[element], register + self.late)
        return count


def _order(type: Type, axes: Axes, tile: Sequence[int] | None = None) -> Ints:
    """``Layout.order`` for these axes; ``tile`` may be wider than an axis (the rest is padding)."""
    tile = tile or tuple(t for _, t in axes)
    steps = [-(-n // t) for (n, _), t in zip(axes, tile, strict=True)]
    full = tuple(s * t for s, t in zip(steps, tile, strict=True))
    sizes = tuple(n for n, _ in axes)
    index = np.full(full, -1, np.int64)
    index[tuple(slice(n) for n in sizes)] = np.arange(math.prod(sizes)).reshape(sizes)
    wide = Layout(type.with_shape(full), tuple(tile))
    return index.ravel()[wide.order()]


def _factored(a: Axes, b: Axes) -> tuple[Axes, Axes, int]:
    """Both without the outer steps that they have in common, and how many those were."""
    outer = 1
    while len(a) > 1 and len(b) > 1 and a[0][1] == b[0][1] == 1:
        common = math.gcd(a[0][0], b[0][0])
        if common == 1:
            break
        outer *= common
        a, b = (((n[0][0] // common, 1), *n[1:]) for n in (a, b))
        a, b = (canonical(*zip(*n, strict=True)) for n in (a, b))
    return a, b, outer


def _divided(axes: Axes, size: int) -> Axes:
    """The same beats with an outer axis of ``size``, if that is possible."""
    (n, t), *rest = axes
    inner = n // size
    if n % size or inner == 1:
        return axes
    if inner % t == 0:
        return ((size, 1), (inner, t), *rest)
    return axes if t % inner else ((size, t // inner), (inner, inner), *rest)


def _all_blocks(x: Type, src: Axes, dst: Axes) -> list[Program]:
    """Programs of a tensor with these axes on either side, in order; equal ones are one object."""
    known: Known = {}
    src, dst = _divided(src, dst[0][0]), _divided(dst, src[0][0])
    (size, a), (other, b) = src[0], dst[0]
    period = math.lcm(a, b)
    if size != other or size < 2 * period:
        return _blocks(_order(x, src), _order(x, dst), known)
    # The outer axis repeats itself: look at one period and at what is left over in the end.
    parts: list[list[Program]] = []
    for part in (period, size % period):
        if part:
            axes = [((part, min(ax[0][1], part)), *ax[1:]) for ax in (src, dst)]
            wide = [(a, *(t for _, t in src[1:])), (b, *(t for _, t in dst[1:]))]
            orders = [_order(x, ax, tile) for ax, tile in zip(axes, wide, strict=True)]
            parts.append(_blocks(orders[0], orders[1], known))
    return parts[0] * (size // period) + (parts[1] if len(parts) > 1 else [])


def _blocks(src: Ints, dst: Ints, known: Known) -> list[Program]:
    """The programs from one point to the next at which both sides have moved the same elements."""
    ends = []
    for order in (src, dst):
        count = np.cumsum((order >= 0).sum(1))
        whole = np.maximum.accumulate(order.max(1)) + 1 == count
        ends.append({int(c): k + 1 for k, c in enumerate(count) if whole[k]})
    out: list[Program] = []
    base, i, j = 0, 0, 0
    for end in sorted(ends[0].keys() & ends[1].keys()):
        parts = [
            np.where(order >= 0, order - base, -1)
            for order in (src[i : ends[0][end]], dst[j : ends[1][end]])
        ]
        key = parts[0].tobytes(), parts[1].tobytes()
        if key not in known:
            known[key] = Program.of(*parts)
        out.append(known[key])
        base, i, j = end, ends[0][end], ends[1][end]
    return out


def _sections(blocks: list[Program], outer: int) -> list[Section]:
    """Blocks as nests; UnitError if they make no short program."""
    first, final = blocks[0], blocks[-1]
    if (longest := max(b.steps for b in blocks)) > LONGEST:
        raise _too_long(longest)
    if all(b is first for b in blocks):
        return [Section(outer, len(blocks), first, None)]
    total = sum(b.steps for b in blocks)
    if total <= SHORT:
        return [Section(outer, 1, Program.join(blocks), None)]
    if all(b is first for b in blocks[:-1]):
        if outer == 1:
            return [Section(1, len(blocks) - 1, first, None), Section(1, 1, final, None)]
        steps = max(first.steps, final.steps)
        return [Section(outer, len(blocks), first.padded(steps), final.padded(steps))]
    for length in range(2, len(blocks) // 2 + 1):
        period = blocks[:length]
        if all(b is period[k % length] for k, b in enumerate(blocks)):
            return _sections(period, outer * (len(blocks) // length))
    if total > LONGEST:
        raise _too_long(total)
    return [Section(outer, 1, Program.join(blocks), None)]


def _too_long(steps: int) -> UnitError:
    return UnitError(
        f"Repack: the order of elements repeats only after {steps} firings, at most {LONGEST} are "
        "built; convert in two steps, by way of one pixel a beat"
    )
