"""What depends on loop indices: masks (which firings) and sums (integers, such as addresses)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loops", "Mask", "ScheduleError", "Sum", "Term", "Where"]

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
    if isinstance(where, str):
        where = 0 if where == "first" else count - 1
    if isinstance(where, int):
        return tuple(i == where for i in range(count))
    if len(where) == 2 and not isinstance(where[0], bool):
        lo, hi = where
        return tuple(lo <= i < hi for i in range(count))
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
            values = list(table)
            step = values[1] - values[0] if len(values) > 1 else 0
            if all(v == values[0] + i * step for i, v in enumerate(values)):
                base += values[0]
                linear[loop] = linear.get(loop, 0) + step
            elif loop in rest:
                rest[loop] = tuple(a + b for a, b in zip(rest[loop], table, strict=True))
            else:
                rest[loop] = table
        return base, {k: v for k, v in linear.items() if v and counts[k] > 1}, rest

    def ends(self, loops: Loops) -> tuple[int, int]:
        """Smallest and largest value: every loop goes through its own rounds by itself."""
        lo, linear, rest = self.split(loops)
        hi = lo
        for loop, count in loops:
            step, table = linear.get(loop, 0), rest.get(loop)
            last = step * (count - 1)
            values = (0, last) if table is None else [step * i + v for i, v in enumerate(table)]
            lo, hi = lo + min(values), hi + max(values)
        return lo, hi

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
