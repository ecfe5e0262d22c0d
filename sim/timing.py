"""The timing engine: when every beat of a design moves, to the cycle, without simulating it.

Firing ``n`` of process ``p`` happens at

    s_p(n) = gate_p(max(s_p(n-1) + 1, s_maker(k) + latency + 1 for each beat k it takes,
                        s_pop(k - depth) + 1 for each beat k it gives,
                        s_src(frame * N_src + need - 1) + 1 for each process it waits for))

with ``gate`` the next cycle in which a source or sink is not stalled. That is exactly what the
generated control does, so the answer has no error; see docs/timing_engine.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hwc.hw.design import Design
from hwc.sim import loop, records
from hwc.sim.actor import lowest
from hwc.sim.deadlock import DeadlockError, check
from hwc.sim.flatten import Conditions, Flat, Run
from hwc.sim.stalls import Stalls

__all__ = ["DeadlockError", "Load", "Timer", "Timing", "simulate", "throughput"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Load:
    """How one process spends its time, over all evaluated frames.

    ``starved``, ``crowded`` and ``waited`` are cycles lost to missing beats, to full queues behind
    and to other processes of the unit, charged in this order.
    """

    name: str
    firings: int
    starved: int
    crowded: int
    waited: int


@dataclass(frozen=True)
class Timing:
    """What a run takes.

    Attributes
    ----------
    frames
        Frames evaluated.
    cycles
        Per outside stream the cycle of every transfer (cycle 0 is the first after reset).
    visible, taken
        Per watched edge the cycle from which each beat is at the queue's head or behind it, and
        the cycle in which it is popped.
    first_in, last_out
        Per frame the cycle of its first input and of its last output transfer.
    interval
        Cycles from frame to frame in the steady state, a fraction if they differ by turns; without
        a steady state the mean over the second half of the frames.
    period
        Frames after which the steady state repeats; 0 if none was reached.
    loads
        Every process.
    bottleneck
        The process with the most firings a frame: nothing can be faster than it.
    """

    frames: int
    cycles: Mapping[str, Ints]
    visible: Mapping[str, Ints]
    taken: Mapping[str, Ints]
    first_in: Ints
    last_out: Ints
    interval: Fraction
    period: int
    loads: tuple[Load, ...]
    bottleneck: str

    @property
    def latency(self) -> int:
        """Cycles of the first frame, from its first input transfer to its last output transfer."""
        return int(self.last_out[0] - self.first_in[0]) + 1


class Timer:
    """Times one design for up to ``frames`` frames, again and again.

    With ``conditions`` (what each instance's ``unit.conditions`` says of its frames) the times are
    exact for these data. Without any, loops that data may stop are taken as full, and no beat of
    any data comes later than these times; masks that depend on data then raise DesignError.
    """

    def __init__(self, design: Design, frames: int, conditions: Conditions | None = None) -> None:
        if frames < 1:
            raise ValueError(f"timing needs at least one frame, not {frames}")
        self.flat = Flat(design, frames, conditions)

    def run(
        self,
        *,
        stalls: Stalls | None = None,
        depths: Mapping[str, int | None] | None = None,
        watch: tuple[str, ...] = (),
        steady: bool = False,
        counts: Mapping[str, int] | None = None,
    ) -> Timing:
        """Evaluate the recursion.

        Parameters
        ----------
        stalls
            At sources and sinks; none by default.
        depths
            Per edge name a depth other than the design's; None never lacks room.
        watch
            Edges whose cycles are kept, beside the streams to the outside.
        steady
            Stop as soon as the steady state is reached; ``cycles`` then stays empty.
        counts
            Frames of outside streams that carry only some of them, as data decide.

        Raises DeadlockError if some frame cannot be completed.
        """
        flat = self.flat
        stalls = stalls or Stalls()
        outside = {} if steady else _streams(flat.design)
        watched = tuple(dict.fromkeys((*watch, *outside.values())))
        job = flat.build(depths or {}, watched, stalls, counts or {})
        frames, period = loop.run(
            job.memory,
            (flat.process(0), len(flat.actors)),
            (flat.queue(0), len(flat.edges)),
            frames=flat.frames,
            static=flat.static,
            horizon=_horizon(flat, depths or {}) if flat.static and stalls.idle else 0,
        )
        if not period:
            check(job)
        starts, ends = job.frames(records.START), job.frames(records.END)
        if period and not steady:
            _extend(job, starts, ends, frames, period, watched)
            frames = flat.frames
        logs = {name: _logged(job, name, period > 0) for name in watched}
        cycles = {
            name: logs[edge][0] - 1 if name in flat.sources else logs[edge][1]
            for name, edge in outside.items()
        }
        kept = {name: logs[name] for name in watch}
        return _timing(job, starts[:frames], ends[:frames], period, cycles, kept)


def simulate(
    design: Design,
    frames: int,
    *,
    stalls: Stalls | None = None,
    conditions: Conditions | None = None,
    watch: tuple[str, ...] = (),
    counts: Mapping[str, int] | None = None,
) -> Timing:
    """Every transfer of ``frames`` frames; see :meth:`Timer.run`."""
    return Timer(design, frames, conditions).run(stalls=stalls, watch=watch, counts=counts)


def throughput(design: Design, limit: int = 512) -> Timing:
    """Latency of a first frame and the steady interval, of at most ``limit`` frames.

    Loops that data may stop are taken as full: with data nothing is slower.
    """
    return Timer(design, limit).run(steady=True)


def _streams(design: Design) -> dict[str, str]:
    """One edge that carries each outside stream."""
    ends = {e.src[1]: e.name for e in design.edges if e.src[0] == ""}
    return ends | {e.dst[1]: e.name for e in design.edges if e.dst[0] == ""}


def _horizon(flat: Flat, depths: Mapping[str, int | None]) -> int:
    """How many frames back a firing can depend on, plus one."""
    back = [1]
    for edge, beats in zip(flat.design.edges, flat.beats.tolist(), strict=True):
        depth = depths.get(edge.name, edge.depth)
        back.append(0 if depth is None else -(-depth // beats))
    for actor in flat.actors:
        back += [-(lowest(need) // flat.actors[src].firings) for src, need in actor.needs]
    return max(back) + 1


def _extend(
    job: Run, starts: Ints, ends: Ints, done: int, period: int, watched: tuple[str, ...]
) -> None:
    """Fill in the frames from ``done`` on, each ``period`` frames after one like it."""
    flat = job.flat
    rest = flat.frames - done
    shift = starts[done - 1] - starts[done - 1 - period]
    later = np.arange(1, -(-rest // period) + 1)[:, None, None]

    def fill(table: Ints, step: Ints) -> None:
        """``table[frame]`` is one row a frame."""
        copies = table[done - period : done][None] + later * step
        table[done:] = copies.reshape(-1, table.shape[1])[:rest]

    if rest:
        fill(starts, shift)
        fill(ends, shift)
        for name in watched:
            k = flat.edges[name]
            visible, taken = job.log(name)
            fill(visible, shift[flat.maker[k]])
            fill(taken, shift[flat.taker[k]])


def _logged(job: Run, name: str, full: bool) -> tuple[Ints, Ints]:
    """Visible and pop cycles of a watched edge, cut to the beats that moved."""
    visible, taken = (table.ravel() for table in job.log(name))
    if full:
        return visible, taken
    return visible[: job.queue(name, records.PUSHED)], taken[: job.queue(name, records.POPPED)]


def _timing(
    job: Run,
    starts: Ints,
    ends: Ints,
    period: int,
    cycles: dict[str, Ints],
    kept: dict[str, tuple[Ints, Ints]],
) -> Timing:
    flat, frames = job.flat, len(starts)
    outs = ends[:, list(flat.sinks.values())]
    if period:
        interval = Fraction(int((outs[-1] - outs[-1 - period]).max()), period)
    elif frames == 1:
        interval = Fraction(int(outs.max()) + 1)
    else:
        half = frames // 2
        interval = Fraction(int((outs[-1] - outs[half - 1]).max()), frames - half)
    fields = (records.DONE, records.STARVED, records.CROWDED, records.WAITED)
    columns = np.stack([job.processes(field) for field in fields], axis=1).tolist()
    return Timing(
        frames=frames,
        cycles=cycles,
        visible={name: log[0] for name, log in kept.items()},
        taken={name: log[1] for name, log in kept.items()},
        first_in=starts[:, list(flat.sources.values())].min(axis=1),
        last_out=outs.max(axis=1),
        interval=interval,
        period=period,
        loads=tuple(Load(a.name, *row) for a, row in zip(flat.actors, columns, strict=True)),
        bottleneck=max(flat.actors, key=lambda actor: actor.firings).name,
    )
