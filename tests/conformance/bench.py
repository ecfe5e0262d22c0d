"""Puts units on a bench: every unit between streams of its own, all in one design."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hwc.hw.units
from hwc.compiler.graph import run
from hwc.compiler.graph.errors import HwcError
from hwc.hw.design import Design, Edge
from hwc.hw.unit import Unit
from hwc.sim.check import Verified, verify
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer
from hwc.sim.verilator import Simulation, compile

Ints = NDArray[np.int64]

PATTERNS = (
    Stalls(),
    Stalls("random", 1, 0.3, 0.3),
    Stalls("random", 2, 0.8, 0.3),
    Stalls("random", 3, 0.3, 0.8),
    Stalls("random", 4, 0.8, 0.8),
    Stalls("bursts", 5, 0.5, 0.5),
    Stalls("singles", 6, 0.4, 0.4),
)


def discover() -> list[type[Unit]]:
    """Every concrete unit in hwc.hw.units, by the name of its class."""
    found: set[type[Unit]] = set()
    for module in pkgutil.walk_packages(hwc.hw.units.__path__, "hwc.hw.units."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(value)
                and issubclass(value, Unit)
                and not inspect.isabstract(value)
                and value.__module__.startswith("hwc.hw.units")
            ):
                found.add(value)
    return sorted(found, key=lambda unit: unit.__name__)


def bench(units: Sequence[Unit], name: str = "bench") -> Design:
    """Unit ``k`` as instance ``u<k>`` between streams ``u<k>_<port>``.

    Even ones get queues deep enough for their full rate, odd ones the shallowest there are, so
    that both the datapath's and the queues' waiting shows.
    """
    edges = []
    for k, unit in enumerate(units):
        latency = unit.schedule().latency
        for port in unit.inputs():
            edges.append(Edge(("", f"u{k}_{port}"), (f"u{k}", port), 2 - k % 2))
        for port in unit.outputs():
            depth = 1 if k % 2 else latency[port] + 2
            edges.append(Edge((f"u{k}", port), ("", f"u{k}_{port}"), depth))
    return Design(name, {f"u{k}": unit for k, unit in enumerate(units)}, tuple(edges))


@dataclass(frozen=True)
class Trial:
    """A bench with frames for all its units and what they should give."""

    units: tuple[Unit, ...]
    design: Design
    frames: dict[str, Ints]
    expected: dict[str, Ints]
    conditions: dict[str, dict[str, NDArray[np.bool_]]]

    @classmethod
    def of(cls, units: Iterable[Unit], batch: int, seed: int) -> Trial:
        """``batch`` frames of each unit's own stimulus; the reference is ``run(unit.graph())``."""
        units = tuple(units)
        rng = np.random.default_rng(seed)
        frames, expected, conditions = {}, {}, {}
        for k, unit in enumerate(units):
            x = unit.stimulus(rng, batch)
            present = unit.present(x)
            values = dict(x) | run(unit.graph(), x)
            for port in unit.inputs():
                frames[f"u{k}_{port}"] = values[port][present.get(port, slice(None))]
            for port in unit.outputs():
                expected[f"u{k}_{port}"] = values[port][present.get(port, slice(None))]
            conditions[f"u{k}"] = unit.conditions(x)
        return cls(units, bench(units), frames, expected, conditions)

    def build(self, directory: Path) -> Simulation:
        return compile(self.design, directory, optimize=0, jobs=1)

    def timer(self) -> Timer:
        batch = max(len(x) for x in self.frames.values())
        return Timer(self.design, batch, self.conditions)

    def check(
        self,
        simulation: Simulation,
        timer: Timer,
        stalls: Stalls | None = None,
        *,
        reset_at: int | None = None,
        seed: int = 0,
    ) -> Verified:
        """Values equal the reference, cycles the timing engine; an error names the unit."""
        try:
            return verify(
                simulation,
                self.frames,
                self.expected,
                stalls=stalls,
                timer=timer,
                reset_at=reset_at,
                seed=seed,
            )
        except HwcError as error:
            for k in sorted({int(k) for k in re.findall(r"\bu(\d+)_", str(error))}):
                error.add_note(f"u{k} is {self.units[k]!r}")
            raise
