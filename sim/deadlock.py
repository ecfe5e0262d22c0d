"""Tells why a design cannot go on: who waits for whom."""

from __future__ import annotations

from hwc.compiler.graph.errors import HwcError
from hwc.sim import records
from hwc.sim.flatten import Run

__all__ = ["DeadlockError", "check"]


class DeadlockError(HwcError):
    """Processes wait for each other for ever."""

    exit_code = 2


def check(job: Run) -> None:
    """DeadlockError if a stream did not move all its beats."""
    flat = job.flat
    # Behind data-dependent masks a process may rightly end up waiting for beats that never come.
    judged = range(len(flat.actors))
    if not flat.static:
        judged = [*flat.sources.values(), *flat.sinks.values()]
    late = (job.processes(records.DONE) < job.processes(records.QUOTA)) & (
        job.processes(records.REASON) != records.FINISHED
    )
    for k in judged:
        if late[k]:
            raise DeadlockError(_story(job, k))


def _story(job: Run, start: int) -> str:
    """Who waits for whom, from ``start`` until it comes round or to someone who has finished."""
    flat, at = job.flat, start
    lines: list[str] = []
    seen: list[int] = []
    done, reasons, culprits = (
        job.processes(field).tolist() for field in (records.DONE, records.REASON, records.CULPRIT)
    )
    while at not in seen:
        seen.append(at)
        actor = flat.actors[at]
        frame, firing = divmod(done[at], actor.firings)
        who = f"{actor.name} (frame {frame}, firing {firing} of {actor.firings})"
        if reasons[at] == records.WAITS:
            at = (culprits[at] - flat.process(0)) // records.PROCESS
            lines.append(f"{who} waits for firings of {flat.actors[at].name}")
        elif reasons[at] in (records.EMPTY, records.FULL):
            k = (culprits[at] - flat.queue(0)) // records.QUEUE
            edge, empty = flat.design.edges[k], reasons[at] == records.EMPTY
            what = "a beat in" if empty else f"room (depth {edge.depth}) in"
            lines.append(f"{who} waits for {what} {edge.name}")
            at = int((flat.maker if empty else flat.taker)[k])
        else:
            lines.append(f"{who} has nothing left to do")
            break
    else:
        lines.append(f"which is {flat.actors[at].name} again")
    return f"design {flat.design.name!r} deadlocks: " + "; ".join(lines)
