"""When a unit works: cyclo-static processes, written as loop nests.

A schedule is the whole timing contract of a unit. The sequencer turns it into control logic and
the timing engine into firing times, so neither can drift from the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hwc.hw.loops import Loops, Mask, ScheduleError, Sum

__all__ = ["Loops", "Mask", "Nest", "Process", "Schedule", "ScheduleError", "Sum"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


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
                    sums = [(n.needs[source], n) for n in p.nests if source in n.needs]
                    most = max(s.ends(n.loops)[1] for s, n in sums)
                    per = self.process(source).firings
                    far = best[p.name] + max(0, 1 - most // per)
                    best[source] = min(far, best.get(source, far))
        return best[behind]

    def process(self, name: str) -> Process:
        return next(p for p in self.processes if p.name == name)

    def owner(self, port: str) -> Process:
        """The process that takes from, or gives to, ``port``."""
        return next(p for p in self.processes if port in (*p.takes, *p.gives))
