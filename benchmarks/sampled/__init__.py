"""Sampled units, by kind: what their resource models are held against synthesis with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path

from hwc.hw.core import Core
from hwc.hw.queue import Queue, queue_form, queue_resources
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.fold import MatVecFold
from hwc.hw.units.window.plan import WindowFold
from hwc.sim.synth import Synthesis, synthesize

from .compressed import compressed
from .elementwise import activations, adds, pools, ratios, tables
from .gathers import gathers
from .moves import QUEUES, concats, repacks, selects
from .products import products
from .windows import windows

__all__ = ["Sample", "sampled", "within"]


@dataclass(frozen=True)
class Sample:
    """A unit, or the width and depth of a queue."""

    unit: Unit | tuple[int, int]

    @property
    def kind(self) -> str:
        """Of what kind it is."""
        return "Queue" if isinstance(self.unit, tuple) else type(self.unit).__name__

    @property
    def what(self) -> str:
        """Its fold in a few words."""
        if isinstance(self.unit, tuple):
            width, depth = self.unit
            return f"{depth} x {width} bits, {queue_form(width, depth)}"
        fold = getattr(self.unit, "fold", None)
        if not isinstance(fold, MatVecFold | WindowFold):
            return self.unit.describe()
        values = {f.name: getattr(fold, f.name) for f in fields(fold) if f.name != "levels"}
        usual = {0, 1, "auto", "output"}  # False is 0
        return ", ".join(f"{n} {v}" for n, v in values.items() if v not in usual) or "serial"

    @property
    def said(self) -> Resources:
        """What it says it costs."""
        made = self.unit
        return queue_resources(*made) if isinstance(made, tuple) else made.resources()

    def mapped(self, cache: Path | None = None) -> Synthesis:
        """What yosys makes of it."""
        made = Queue(*self.unit) if isinstance(self.unit, tuple) else Core(self.unit)
        return synthesize(made, cache=cache)


def within(said: int, found: int) -> bool:
    """Within a tenth, or 8 where that is more."""
    return abs(said - found) <= max(8, 0.1 * found)


def sampled() -> Iterator[Sample]:
    """The whole sweep."""
    moving = chain(windows(), gathers(), concats(), selects(), repacks())
    parts = chain(adds(), pools(), activations(), tables(), ratios(), QUEUES)
    yield from map(Sample, chain(products(), compressed(), moving, parts))
