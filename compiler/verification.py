"""Proving the shipped RTL: real frames through its simulation, every value and every cycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Graph, run
from hwc.compiler.map.mapping import Mapping as Mapped
from hwc.hw.design import Edge
from hwc.sim.check import VerificationError, verify
from hwc.sim.flatten import Conditions
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timing, simulate
from hwc.sim.verilator import Simulation

__all__ = ["Checked", "check_passes", "layer_boundaries", "switches", "verify_network"]

Ints = NDArray[np.int64]

TAP_FRAMES = 4
"""Frames in which every beat of every inner stream is compared as well."""
STEADY_FRAMES = 64
"""Most frames that the run without stalls takes to reach its steady state."""
STALLS = {
    "bursts": Stalls("bursts", inputs=0.3, outputs=0.3),
    "singles after a reset in mid-frame": Stalls("singles", inputs=0.4, outputs=0.4),
    "random": Stalls("random", inputs=0.3, outputs=0.3),
}


@dataclass(frozen=True)
class Checked:
    """What was compared, all of it equal, and the figures counted on the way."""

    frames: int
    values: int
    transfers: int
    stalls: tuple[str, ...]
    taps: int
    latency: int
    interval: Fraction
    predicted: tuple[int, Fraction]
    """Latency and interval as the timing engine gives them for these frames."""


def check_passes(before: Graph, after: Graph, frames: Mapping[str, Ints]) -> None:
    """Compare what the lowered graph says with the graph that is built, on raw frames.

    Raises VerificationError: a pass between the two changed the network, which is a fault of ours.
    """
    wanted, found = run(before, frames), run(after, frames)
    for name in before.outputs:
        wrong = np.argwhere(found[name] != wanted[name])
        if len(wrong):
            place = tuple(int(i) for i in wrong[0])
            raise VerificationError(
                f"output {name!r}: the graph that is built says {found[name][place]} at {place}, "
                f"the lowered network {wanted[name][place]}; please report this with the model"
            )


def layer_boundaries(mapped: Mapped) -> tuple[str, ...]:
    """One edge behind each unit whose queue can be watched: every layer boundary."""
    seen: dict[str, str] = {}
    for edge in mapped.design.edges:
        if edge.src[0] and edge.dst[0]:
            seen.setdefault(edge.src[0], edge.name)
    return tuple(seen.values())


def switches(mapped: Mapped, graph: Graph, frames: Mapping[str, Ints]) -> Conditions:
    """What the units whose schedule depends on data look at, for these frames (raw integers per
    input): per instance its :meth:`Unit.conditions`. Empty if there is no such unit."""
    design = mapped.design
    units = {
        name: unit
        for name, unit in design.instances.items()
        if any(p.conditions for p in unit.schedule().processes)
    }
    if not units:
        return {}
    ends = {e.dst: e.src for e in design.edges if e.dst[0] in units}
    tensors = {dst: mapped.carries[src] if src else port for dst, (src, port) in ends.items()}
    values = _values(graph, frames, set(tensors.values()))
    found = {}
    for name, unit in units.items():
        taken = {
            port: values[tensors[name, port]].reshape(-1, *layout.type.shape)
            for port, layout in unit.inputs().items()
        }
        found[name] = unit.conditions(taken)
    return found


def verify_network(
    simulation: Simulation,
    mapped: Mapped,
    graph: Graph,
    frames: Mapping[str, Ints],
    steady: Timing,
    seed: int,
) -> Checked:
    """Run ``frames`` (raw integers per input, channels last) through the RTL in four ways.

    A few without stalls, for as long as it takes to reach the ``steady`` state (latency and
    interval are counted there); the first ones under long stalls, and after a reset in the middle
    of a frame under short ones, where every beat of the tapped streams is compared as well; and
    all of them under random stalls at both ends. Where data decide the schedule, predictions are
    for these frames, and ``steady`` is what none of them may exceed. Raises VerificationError at
    the first value or cycle that is not as predicted.
    """
    frames = _streams(mapped, frames)
    few = {name: x[:TAP_FRAMES] for name, x in frames.items()}
    count = max(2, min(steady.frames + 1, STEADY_FRAMES))
    busy = {name: np.resize(x, (count, *x.shape[1:])) for name, x in frames.items()}
    asked = switches(mapped, graph, busy)
    plain = verify(
        simulation,
        busy,
        _expected(simulation, mapped, graph, busy, False),
        conditions=asked,
        seed=seed,
    )
    done = [plain]
    for k, (name, stalls) in enumerate(STALLS.items(), 1):
        inner = name != "random"
        part = few if inner else frames
        done.append(
            verify(
                simulation,
                part,
                _expected(simulation, mapped, graph, part, inner),
                stalls=Stalls(stalls.kind, seed + k, stalls.inputs, stalls.outputs),
                conditions=switches(mapped, graph, part),
                reset_at=max(1, steady.latency // 2) if "reset" in name else None,
                seed=seed + k,
            )
        )
    predicted, over = (steady.latency, steady.interval), min(max(steady.period, 1), count - 1)
    if asked:
        over = count - 1
        one = {name: x[:1] for name, x in few.items()}
        alone = simulate(mapped.design, 1, conditions=switches(mapped, graph, one))
        predicted = alone.latency, _interval(plain.timing.cycles, mapped, over)
    return Checked(
        frames=sum(v.frames for v in done),
        values=sum(v.values for v in done),
        transfers=sum(v.transfers for v in done),
        stalls=("none", *STALLS),
        taps=len(simulation.taps),
        latency=_latency(simulation, mapped, few),
        interval=_interval(plain.result.cycles, mapped, over),
        predicted=predicted,
    )


def _expected(
    simulation: Simulation, mapped: Mapped, graph: Graph, frames: Mapping[str, Ints], inner: bool
) -> dict[str, Ints]:
    """What the reference says of every outside stream and, if ``inner``, of every tap."""
    edges = {e.name: e for e in mapped.design.edges}
    taps = {t: _tensor(mapped, edges[t]) for t in simulation.taps} if inner else {}
    values = _values(graph, frames, taps.values())
    out = {}
    for tensor, stream in mapped.outputs.items():
        shape = mapped.design.outputs[stream].type.shape
        out[stream] = values[tensor].reshape(-1, *shape)
    for name, tensor in taps.items():
        shape = mapped.design.layout(edges[name].dst, edges[name]).type.shape
        out[name] = values[tensor].reshape(-1, *shape)
    return out


def _values(graph: Graph, frames: Mapping[str, Ints], tensors: Iterable[str]) -> dict[str, Ints]:
    """Inputs, outputs and these tensors of the graph, as the reference gives them."""
    known = {*graph.outputs, *frames}
    wanted = tuple(dict.fromkeys(t for t in tensors if t not in known))
    inputs = {name: frames[name].reshape(-1, *type.shape) for name, type in graph.inputs}
    return {**inputs, **run(graph, inputs, wanted)}


def _streams(mapped: Mapped, frames: Mapping[str, Ints]) -> dict[str, Ints]:
    """Frames in the shape that their streams have (a reshape may come first in the graph)."""
    layouts = mapped.design.inputs
    return {name: x.reshape(-1, *layouts[name].type.shape) for name, x in frames.items()}


def _tensor(mapped: Mapped, edge: Edge) -> str:
    """The tensor of the graph that travels over an inner edge (with the edge's own shape)."""
    return mapped.carries[edge.src[0]]


def _latency(simulation: Simulation, mapped: Mapped, frames: Mapping[str, Ints]) -> int:
    """Cycles of a frame alone, from its first input transfer to its last output transfer."""
    result = simulation.run({name: x[:1] for name, x in frames.items()})
    first = min(int(result.cycles[name][0]) for name in mapped.design.inputs)
    return max(int(result.cycles[name][-1]) for name in mapped.design.outputs) - first + 1


def _interval(cycles: Mapping[str, Ints], mapped: Mapped, frames: int) -> Fraction:
    """Cycles from frame to frame, over the last ``frames`` frames, from those of all transfers."""
    gaps = []
    for name, layout in mapped.design.outputs.items():
        ends = cycles[name][layout.beats - 1 :: layout.beats]
        gaps.append(Fraction(int(ends[-1] - ends[-1 - frames]), frames))
    return max(gaps)
