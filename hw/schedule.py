"""When a unit works: cyclo-static processes, written as loop nests.

A schedule is the whole timing contract of a unit. The sequencer turns it into control logic and
the timing engine into firing times, so neither can drift from the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
    """A loop nest of firings, outer loop first. An empty nest is a single firing.

    ``stop`` names a condition of the datapath, asked in every firing: one for which it holds is the
    last of the innermost loop. The firings of the loop that are left are *skipped*: they take no
    cycle, use no port and count as done in the same cycle, so that numbers of firings do not depend
    on data. In masks of the nest the name stands for "the last of the innermost loop", by count or
    before, and only that firing uses ports; no need or address depends on the loop's index; and
    whoever waits for the nest waits for whole rounds of the loop. So data do not decide how many
    beats there are nor whether they ever come, and no beat is later than if nothing is skipped:
    whatever is seen from outside of a round happens in its last firing, which can only be earlier.
    """

    loops: Loops
    takes: Mapping[str, Mask] = field(default_factory=dict)
    gives: Mapping[str, Mask] = field(default_factory=dict)
    needs: Mapping[str, Sum] = field(default_factory=dict)
    addresses: Mapping[str, Sum] = field(default_factory=dict)
    stop: str = ""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.loops]
        if len(set(names)) != len(names):
            raise ScheduleError(f"two loops share a name: {names}")
        if any(count < 1 for _, count in self.loops):
            raise ScheduleError(f"a loop runs at least once: {self.loops}")
        if self.stop:
            self._check_stop()

    def _check_stop(self) -> None:
        if not self.loops:
            raise ScheduleError(f"{self.stop!r} can stop no loop: the nest has none")
        inner = self.loops[-1][0]
        for port, mask in (*self.takes.items(), *self.gives.items()):
            for term in mask.terms:
                last = term.condition == self.stop and term.polarity
                if self.inner > 1 and (not last or inner in term.table(self.loops)):
                    raise ScheduleError(
                        f"{self.stop!r} may stop loop {inner!r}: port {port!r} is used by its last "
                        f"firing, when({self.stop!r}), or not at all"
                    )
        for what, sums in (("need", self.needs), ("address", self.addresses)):
            for name, total in sums.items():
                _, linear, rest = total.split(self.loops)
                if inner in linear or inner in rest:
                    raise ScheduleError(
                        f"{self.stop!r} may stop loop {inner!r}: {what} {name!r} depends on it"
                    )

    @property
    def firings(self) -> int:
        return math.prod(count for _, count in self.loops)

    @property
    def inner(self) -> int:
        """Rounds of the innermost loop."""
        return self.loops[-1][1] if self.loops else 1

    def ends(self, stop: Bools | None = None) -> Bools:
        """Which firings are the last of the innermost loop, with ``stop`` given for each; skipped
        ones may be among them. Without, nothing stops before its time."""
        last = np.arange(self.firings) % self.inner == self.inner - 1
        return last if stop is None else last | stop

    def skipped(self, stop: Bools) -> Bools:
        """Which firings are skipped."""
        rounds = np.asarray(stop, bool).reshape(-1, self.inner)
        before = np.logical_or.accumulate(rounds, axis=1)[:, :-1]
        return np.pad(before, ((0, 0), (1, 0))).ravel()


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
    def stops(self) -> tuple[str, ...]:
        """Conditions by which inner loops end early."""
        return tuple(sorted({nest.stop for nest in self.nests if nest.stop}))

    @cached_property
    def rounds(self) -> Bools:
        """Per firing whether no round of a loop that may stop has begun before it and goes on."""
        ends = [nest.ends() if nest.stop else np.ones(nest.firings, bool) for nest in self.nests]
        return np.roll(np.concatenate(ends), 1)

    @property
    def conditions(self) -> tuple[str, ...]:
        ports = dict.fromkeys((*self.takes, *self.gives))
        found = {c for port in ports for c in self.conditions_of(port)}
        return tuple(sorted(found | set(self.stops)))

    def conditions_of(self, port: str, *, stops: bool = True) -> tuple[str, ...]:
        """Conditions that decide whether a firing uses ``port``; without ``stops`` those that do if
        nothing is skipped."""
        found: set[str] = set()
        for nest in self.nests:
            mask = nest.takes.get(port) or nest.gives.get(port)
            if mask:
                found |= mask.conditions - {nest.stop}
                found |= {nest.stop} if nest.stop and stops else set()
        return tuple(sorted(found))

    def mask(self, port: str, conditions: Mapping[str, Bools] | None = None) -> Bools:
        """Whether each firing of a frame takes from, or gives to, ``port``.

        Nothing is skipped if no conditions are given.
        """
        parts = []
        for nest, part in self._parts(conditions):
            mask = nest.takes.get(port) or nest.gives.get(port)
            if mask is None:
                parts.append(np.zeros(nest.firings, bool))
            elif not nest.stop:
                parts.append(mask.over(nest.loops, part))
            else:
                stop = None if part is None else part[nest.stop]
                bits = mask.over(nest.loops, dict(part or {}) | {nest.stop: nest.ends(stop)})
                parts.append(bits if stop is None else bits & ~nest.skipped(stop))
        return np.concatenate(parts)

    def skipped(self, conditions: Mapping[str, Bools]) -> Bools:
        """Whether each firing of a frame is skipped."""
        parts = [
            nest.skipped(part[nest.stop]) if nest.stop else np.zeros(nest.firings, bool)
            for nest, part in self._parts(conditions)
            if part is not None
        ]
        return np.concatenate(parts)

    def _parts(
        self, conditions: Mapping[str, Bools] | None
    ) -> Iterator[tuple[Nest, dict[str, Bools] | None]]:
        """Every nest with its part of the conditions."""
        at = 0
        for nest in self.nests:
            cut = slice(at, at + nest.firings)
            if conditions is None:
                yield nest, None
            else:
                yield nest, {k: np.asarray(v, bool)[cut] for k, v in conditions.items()}
            at += nest.firings

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
                self._check_rounds(p, self.process(source))
            for port in set(p.takes) & set(p.gives):
                raise ScheduleError(f"{p.name!r} takes from and gives to one port {port!r}")
            for port in p.gives:
                if self.latency.get(port, -1) < 0:
                    raise ScheduleError(f"output {port!r} of {p.name!r} has no latency")

    @staticmethod
    def _check_rounds(p: Process, source: Process) -> None:
        """Of a loop that may stop only whole rounds can be waited for."""
        if not source.stops:
            return
        for nest in p.nests:
            if source.name in nest.needs:
                places = nest.needs[source.name].over(nest.loops) % source.firings
                within = places[~source.rounds[places]]
                if len(within):
                    raise ScheduleError(
                        f"{p.name!r} waits for {within[0]} firings of {source.name!r}, which is "
                        "within a round of a loop that may stop"
                    )

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
