"""What a design costs after synthesis: each distinct unit and queue once, then the sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amaranth.lib import wiring

from hwc.hw.core import Core
from hwc.hw.design import Design
from hwc.hw.queue import Queue
from hwc.sim.synth import Synthesis, synthesize

__all__ = ["Synthesized", "synthesize_design"]


@dataclass(frozen=True)
class Synthesized:
    """Mapped netlists of a design's parts, by instance and by queue."""

    units: Mapping[str, Synthesis]
    queues: Mapping[str, Synthesis]

    @property
    def parts(self) -> tuple[Synthesis, ...]:
        """All of them, as often as they are built."""
        return (*self.units.values(), *self.queues.values())

    def record(self) -> dict[str, float]:
        """Sums for a report. Parts are mapped by themselves: nothing is shared between them, and
        paths from one to another are not seen (all begin and end at registers)."""
        return {
            "lut": sum(p.lut for p in self.parts),
            "lc": sum(p.lc for p in self.parts),
            "ff": sum(p.ff for p in self.parts),
            "dsp": sum(p.dsp for p in self.parts),
            "bram36": sum(p.bram18 for p in self.parts) / 2,
        }

    @property
    def levels(self) -> int:
        """The longest path within a part, in LUT and carry levels."""
        return max(p.levels for p in self.parts)


def synthesize_design(design: Design, step: Callable[[str], None] | None = None) -> Synthesized:
    """Synthesize every distinct unit and queue of a design; ``step`` hears what comes next.

    Results are kept by content (see :mod:`hwc.sim.synth`), so that only what changed is done anew.
    Raises MissingTool without a yosys and SynthesisError if yosys fails.
    """
    known: dict[object, Synthesis] = {}

    def mapped(key: object, what: str, make: Callable[[], wiring.Component]) -> Synthesis:
        if key not in known:
            if step is not None:
                step(f"synthesizing {what}")
            known[key] = synthesize(make())
        return known[key]

    units = {
        name: mapped(unit, name, lambda unit=unit: Core(unit))
        for name, unit in design.instances.items()
    }
    queues = {}
    for edge in design.edges:
        width, depth = design.layout(edge.dst, edge).width, edge.depth
        queues[edge.name] = mapped(
            (width, depth),
            f"queues of {depth} x {width} bits",
            lambda width=width, depth=depth: Queue(width, depth),
        )
    return Synthesized(units, queues)
