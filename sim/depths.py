"""How deep queues have to be: as shallow as they can without costing a cycle.

Deeper queues never slow anything, so each depth is found by bisection. What to keep is what queues
without end would reach: the steady interval and the latency of a first frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from hwc.compiler.graph.errors import HwcError
from hwc.hw.design import Design
from hwc.sim.flatten import Conditions
from hwc.sim.timing import DeadlockError, Timer, Timing

__all__ = ["DepthError", "Sized", "size_queues"]

ENDLESS = 1 << 24
"""Beats that no queue on a chip holds."""


class DepthError(HwcError):
    """No depth is enough."""


@dataclass(frozen=True)
class Sized:
    """A design with its queues sized, and what it then takes.

    ``runs`` counts the evaluations that this took.
    """

    design: Design
    timing: Timing
    runs: int

    @property
    def depths(self) -> dict[str, int]:
        return {edge.name: edge.depth for edge in self.design.edges}


def size_queues(
    design: Design, *, frames: int = 64, least: int = 1, conditions: Conditions | None = None
) -> Sized:
    """The same design with the smallest depths that keep interval and latency.

    Wide queues are made shallow first. The depths that the design came with do not matter.

    Parameters
    ----------
    frames
        Frames to evaluate at most; the steady state usually shows after a few.
    least
        Depth below which no queue is taken.
    conditions
        What data-dependent masks look at, for exactly ``frames`` frames: depths then hold for
        these data. Where only ends of loops depend on data it may be left out: the depths are those
        of full loops, and no data make any beat later.

    Raises DeadlockError if no queues whatever let the design run, DepthError if it needs one of
    more than 2**24 beats.
    """
    search = _Search(design, frames, conditions)
    start = {edge.name: max(least, _latency(design, edge.src) + 2) for edge in design.edges}
    depths = search.grow(start)
    cost = {e.name: design.layout(e.dst, e).width * depths[e.name] for e in design.edges}
    for name in sorted(cost, key=lambda name: -cost[name]):
        depths[name] = search.least(depths, name, start[name], least)
    sized = design.with_depths(depths)
    timing = search.timer.run(steady=True, depths=depths)
    return Sized(sized, timing, search.runs)


def _latency(design: Design, end: tuple[str, str]) -> int:
    """Cycles from a firing to its push, 0 at a stream from the outside."""
    instance, port = end
    return design.instances[instance].schedule().latency[port] if instance else 0


class _Search:
    """Asks whether depths are enough. A short run of one frame rejects most that are not."""

    def __init__(self, design: Design, frames: int, conditions: Conditions | None) -> None:
        self.design = design
        self.timer = Timer(design, frames, conditions)
        self.first = Timer(design, 1, conditions)
        self.runs = 0
        self.latency, self.pace = self._run(self.timer, {e.name: None for e in design.edges})

    def _run(self, timer: Timer, depths: Mapping[str, int | None]) -> tuple[int, Fraction | int]:
        """Latency of the first frame, and interval or, if data decide, the end of the last one."""
        self.runs += 1
        timing = timer.run(steady=True, depths=depths)
        return timing.latency, timing.interval if timer.flat.static else int(timing.last_out[-1])

    def enough(self, depths: Mapping[str, int]) -> bool:
        """Whether the design is as fast as with endless queues."""
        try:
            if self._run(self.first, depths)[0] > self.latency:
                return False
            return self._run(self.timer, depths)[1] <= self.pace
        except DeadlockError:
            return False

    def grow(self, depths: Mapping[str, int]) -> dict[str, int]:
        """Depths that are enough: those given, doubled until they are."""
        grown = dict(depths)
        while not self.enough(grown):
            grown = {name: 2 * depth for name, depth in grown.items()}
            if max(grown.values()) > ENDLESS:
                raise DepthError(
                    f"design {self.design.name!r}: no queues of up to {ENDLESS} beats reach the "
                    f"latency {self.latency} and interval {self.pace} of endless ones"
                )
        return grown

    def least(self, depths: Mapping[str, int], name: str, guess: int, least: int) -> int:
        """The smallest depth of one queue, the others being as they are."""
        low, high = least - 1, depths[name]
        probe = min(guess, high - 1)
        while high - low > 1:
            if self.enough(dict(depths) | {name: probe}):
                high = probe
            else:
                low = probe
            probe = (low + high) // 2
        return high
