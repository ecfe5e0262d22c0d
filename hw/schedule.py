"""When a unit works: cyclo-static processes, written as loop nests.

A schedule is the whole timing contract of a unit. The sequencer turns it into control logic and
the timing engine into firing times, so neither can drift from the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loops", "Mask", "Nest", "Process", "Schedule", "ScheduleError", "Sum"]

Loops = tuple[tuple[str, int], ...]
Where = int | tuple[int, int] | Literal["first", "last"]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class ScheduleError(ValueError):
    """A unit describes a schedule that cannot exist."""


@dataclass(frozen=True)
class Term:
    """True where every named loop's table is true and, if given, the condition holds."""

    where: tuple[tuple[str, Where | tuple[bool, ...]], ...] = ()
    condition: str | None = None
    polarity: bool = True

    def table(self, loops: Loops) -> dict[str, tuple[bool, ...]]:
        """One table of booleans per loop that matters."""
        counts = dict(loops)
        out = {}
        for loop, where in self.where:
            if loop not in counts:
                raise ScheduleError(f"mask names loop {loop!r}; the nest has {list(counts)}")
            bits = _bits(where, counts[loop])
            if len(bits) != counts[loop]:
                raise ScheduleError(f"table of {len(bits)} for loop {loop!r} of {counts[loop]}")
            if loop in out:
                bits = tuple(a and b for a, b in zip(out[loop], bits, strict=True))
            out[loop] = bits
        return {k: v for k, v in out.items() if not all(v)}


def _bits(where: Where | tuple[bool, ...], count: int) -> tuple[bool, ...]:
    if where == "first":
        where = 0
    elif where == "last":
        where = count - 1
    if isinstance(where, int) and not isinstance(where, bool):
        return tuple(i == where for i in range(count))
    assert not isinstance(where, (str, int))
    if len(where) == 2 and not isinstance(where[0], bool):
        return tuple(where[0] <= i < where[1] for i in range(count))
    return tuple(bool(b) for b in where)


@dataclass(frozen=True)
class Mask:
    """Which firings of a nest: an OR of terms, each an AND of one table per loop.

    A term may also ask for a *condition*: a bit that the datapath computes, combinationally, from
    beats that the same firing takes unconditionally. Conditions depend on data, never on time.
    """

    terms: tuple[Term, ...]

    @classmethod
    def always(cls) -> Self:
        return cls((Term(),))

    @classmethod
    def never(cls) -> Self:
        return cls(())

    @classmethod
    def at(cls, **where: Where) -> Self:
        """``at(row=0, col="last", k=(2, 5))``: row 0, last column, 2 <= k < 5."""
        return cls((Term(tuple(where.items())),))

    @classmethod
    def table(cls, **bits: tuple[bool, ...]) -> Self:
        """An explicit table for each named loop."""
        return cls((Term(tuple((k, tuple(bool(b) for b in v)) for k, v in bits.items())),))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.terms + other.terms)

    def __and__(self, other: Mask) -> Mask:
        return Mask(tuple(_both(a, b) for a in self.terms for b in other.terms))

    def when(self, condition: str) -> Mask:
        """Additionally ask that ``condition`` is 1."""
        return self & Mask((Term((), condition, True),))

    def unless(self, condition: str) -> Mask:
        """Additionally ask that ``condition`` is 0."""
        return self & Mask((Term((), condition, False),))

    @property
    def conditions(self) -> frozenset[str]:
        return frozenset(t.condition for t in self.terms if t.condition is not None)

    def over(self, loops: Loops, conditions: Mapping[str, Bools] | None = None) -> Bools:
        """The mask of every firing of the nest, conditions taken from ``bool[firings]`` arrays."""
        shape = tuple(n for _, n in loops)
        axis = {name: i for i, (name, _) in enumerate(loops)}
        out = np.zeros(math.prod(shape), bool)
        for term in self.terms:
            grid = np.ones(shape, bool)
            for loop, bits in term.table(loops).items():
                view = [1] * len(shape)
                view[axis[loop]] = len(bits)
                grid = grid & np.array(bits).reshape(view)
            hit = grid.ravel()
            if term.condition is not None:
                if conditions is None:
                    raise ScheduleError(f"condition {term.condition!r} needs data")
                hit = hit & (np.asarray(conditions[term.condition], bool) == term.polarity)
            out |= hit
        return out


def _both(a: Term, b: Term) -> Term:
    if a.condition is not None and b.condition is not None:
        raise ScheduleError(
            f"one term asks for {a.condition!r} and {b.condition!r}: merge them in the datapath"
        )
    pick = a if a.condition is not None else b
    return Term(a.where + b.where, pick.condition, pick.polarity)


@dataclass(frozen=True)
class Sum:
    """An integer that depends on the loop indices: a base plus one table per loop."""

    base: int = 0
    tables: tuple[tuple[str, tuple[int, ...] | int], ...] = ()
    """A loop's table, or its coefficient if it is linear."""

    @classmethod
    def affine(cls, base: int = 0, **coefficients: int) -> Self:
        """``base + sum(coefficient * index)``."""
        return cls(base, tuple(coefficients.items()))

    @classmethod
    def table(cls, base: int = 0, **tables: tuple[int, ...]) -> Self:
        return cls(base, tuple((k, tuple(int(i) for i in v)) for k, v in tables.items()))

    def __add__(self, other: Sum | int) -> Sum:
        if isinstance(other, int):
            return replace(self, base=self.base + other)
        return Sum(self.base + other.base, self.tables + other.tables)

    def split(self, loops: Loops) -> tuple[int, dict[str, int], dict[str, tuple[int, ...]]]:
        """``(base, linear, rest)``: coefficients per loop and what no coefficient can say."""
        counts = dict(loops)
        base, linear, rest = self.base, {}, {}
        for loop, table in self.tables:
            if loop not in counts:
                raise ScheduleError(f"sum names loop {loop!r}; the nest has {list(counts)}")
            if isinstance(table, int):
                linear[loop] = linear.get(loop, 0) + table
                continue
            if len(table) != counts[loop]:
                raise ScheduleError(f"table of {len(table)} for loop {loop!r} of {counts[loop]}")
            step = table[1] - table[0] if len(table) > 1 else 0
            if all(v == table[0] + i * step for i, v in enumerate(table)):
                base += table[0]
                linear[loop] = linear.get(loop, 0) + step
            elif loop in rest:
                rest[loop] = tuple(a + b for a, b in zip(rest[loop], table, strict=True))
            else:
                rest[loop] = table
        return base, {k: v for k, v in linear.items() if v and counts[k] > 1}, rest

    def over(self, loops: Loops) -> Ints:
        """The value in every firing of the nest."""
        shape = tuple(n for _, n in loops)
        base, linear, rest = self.split(loops)
        out = np.full(shape, base, np.int64)
        for i, (name, count) in enumerate(loops):
            view = [1] * len(shape)
            view[i] = count
            line = linear.get(name, 0) * np.arange(count) + np.array(rest.get(name, 0))
            out = out + np.broadcast_to(line, count).reshape(view)
        return out.ravel()


@dataclass(frozen=True)
class Nest:
    """A loop nest of firings, outer loop first. An empty nest is a single firing."""

    loops: Loops
    takes: Mapping[str, Mask] = field(default_factory=dict)
    gives: Mapping[str, Mask] = field(default_factory=dict)
    needs: Mapping[str, Sum] = field(default_factory=dict)
    addresses: Mapping[str, Sum] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [name for name, _ in self.loops]
        if len(set(names)) != len(names):
            raise ScheduleError(f"two loops share a name: {names}")
        if any(count < 1 for _, count in self.loops):
            raise ScheduleError(f"a loop runs at least once: {self.loops}")

    @property
    def firings(self) -> int:
        return math.prod(count for _, count in self.loops)


@dataclass(frozen=True)
class Process:
    """Something that fires at most once a cycle and walks its nests in order, for ever.

    All nests once are one frame. Firing ``n`` of a frame takes a beat from each input whose mask
    is set, gives a beat to each output whose mask is set, and waits for the firings of other
    processes of the same unit that ``needs`` asks for: ``needs[src] = v`` in frame ``f`` means
    that ``f * src.firings + v`` firings of ``src`` lie at least one cycle back.
    """

    name: str
    nests: tuple[Nest, ...]

    @cached_property
    def firings(self) -> int:
        """Firings per frame."""
        return sum(nest.firings for nest in self.nests)

    @property
    def takes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(port for nest in self.nests for port in nest.takes))

    @property
    def gives(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(port for nest in self.nests for port in nest.gives))

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(src for nest in self.nests for src in nest.needs))

    @property
    def conditions(self) -> tuple[str, ...]:
        masks = [m for n in self.nests for m in (*n.takes.values(), *n.gives.values())]
        return tuple(sorted(frozenset().union(*(m.conditions for m in masks))))

    def conditions_of(self, port: str) -> tuple[str, ...]:
        """Conditions that decide whether a firing uses ``port``."""
        masks = [m for n in self.nests for m in (n.takes.get(port), n.gives.get(port)) if m]
        return tuple(sorted(frozenset().union(*(m.conditions for m in masks))))

    def mask(self, port: str, conditions: Mapping[str, Bools] | None = None) -> Bools:
        """Whether each firing of a frame takes from, or gives to, ``port``."""
        parts, at = [], 0
        for nest in self.nests:
            mask = nest.takes.get(port) or nest.gives.get(port) or Mask.never()
            part = None
            if conditions is not None:
                part = {k: v[at : at + nest.firings] for k, v in conditions.items()}
            parts.append(mask.over(nest.loops, part))
            at += nest.firings
        return np.concatenate(parts)

    def need(self, source: str) -> Ints:
        """Firings of ``source`` that each firing waits for; a nest without the need never waits."""
        never = np.iinfo(np.int64).min // 4
        return np.concatenate(
            [
                nest.needs[source].over(nest.loops)
                if source in nest.needs
                else np.full(nest.firings, never)
                for nest in self.nests
            ]
        )


@dataclass(frozen=True)
class Schedule:
    """All processes of a unit, and how long after its firing each output's beat is pushed."""

    processes: tuple[Process, ...]
    latency: Mapping[str, int]

    def __post_init__(self) -> None:
        takers: dict[str, str] = {}
        names = [p.name for p in self.processes]
        if len(set(names)) != len(names):
            raise ScheduleError(f"two processes share a name: {names}")
        for p in self.processes:
            for port in (*p.takes, *p.gives):
                if takers.setdefault(port, p.name) != p.name:
                    raise ScheduleError(f"port {port!r} belongs to {takers[port]!r} and {p.name!r}")
            for source in p.needs:
                if source not in names:
                    raise ScheduleError(f"{p.name!r} waits for unknown process {source!r}")
                if p.name not in self._waits_for(source):
                    raise ScheduleError(
                        f"{p.name!r} waits for {source!r}, which can run ahead of it for ever: "
                        f"let {source!r} need {p.name!r}"
                    )
            for port in set(p.takes) & set(p.gives):
                raise ScheduleError(f"{p.name!r} takes from and gives to one port {port!r}")
            for port in p.gives:
                if self.latency.get(port, -1) < 0:
                    raise ScheduleError(f"output {port!r} of {p.name!r} has no latency")

    @classmethod
    def single(cls, nest: Nest, latency: Mapping[str, int] | int, name: str = "main") -> Self:
        """A unit with one process; a plain latency holds for all outputs."""
        if isinstance(latency, int):
            latency = dict.fromkeys(nest.gives, latency)
        return cls((Process(name, (nest,)),), latency)

    def _waits_for(self, name: str) -> set[str]:
        """All processes that ``name`` waits for, directly or not."""
        seen: set[str] = set()
        todo = [name]
        while todo:
            for source in self.process(todo.pop()).needs:
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
        return seen

    def lead(self, ahead: str, behind: str) -> int:
        """Frames by which process ``ahead`` can be further than ``behind``, at most.

        A process that has ended a frame has met the greatest need of it, so along each chain of
        needs from ``ahead`` to ``behind`` the distances add up; the shortest chain counts.
        """
        best = {ahead: 0}
        for _ in self.processes:
            for p in self.processes:
                for source in p.needs if p.name in best else ():
                    most, per = int(p.need(source).max()), self.process(source).firings
                    far = best[p.name] + max(0, 1 - most // per)
                    best[source] = min(far, best.get(source, far))
        return best[behind]

    def process(self, name: str) -> Process:
        return next(p for p in self.processes if p.name == name)

    def owner(self, port: str) -> Process:
        """The process that takes from, or gives to, ``port``."""
        return next(p for p in self.processes if port in (*p.takes, *p.gives))
