"""When the timing recursion has reached a steady state, and whether that lasts. Compiled."""

from __future__ import annotations

from numba import njit

from hwc.sim.records import (
    END,
    ENDLESS,
    FRAME_SIZE,
    FRAMES,
    LINKS,
    LINKS_END,
    MAKER,
    PROCESS,
    QUEUE,
    SHAPE,
    START,
    TAKER,
)

__all__ = ["lasting", "repeats"]


@njit
def _shift(m, p, frame, period):
    """By how much a process is later in ``frame`` than ``period`` frames before."""
    now = m[p + FRAMES] + frame * FRAME_SIZE
    return m[now + START] - m[now - period * FRAME_SIZE + START]


@njit
def repeats(m, processes, count, frame, period):
    """Whether every process did in ``frame`` what it did ``period`` frames earlier, shifted."""
    for p in range(processes, processes + count * PROCESS, PROCESS):
        now = m[p + FRAMES] + frame * FRAME_SIZE
        old = now - period * FRAME_SIZE
        shift = _shift(m, p, frame, period)
        if m[now + SHAPE] != m[old + SHAPE] or m[now + END] - m[old + END] != shift:
            return False
        if frame > period and _shift(m, p, frame - 1, period) != shift:
            return False
    return True


@njit
def lasting(m, processes, count, queues, edges, frame, period):
    """Whether nothing can end the repetition: nobody waits for a process that is slower.

    Processes shift by different amounts only across endless queues. If each waits only for ones
    that shift by no more than itself, whatever bound it in this period binds it in the next.
    """
    for q in range(queues, queues + edges * QUEUE, QUEUE):
        a = _shift(m, m[q + MAKER], frame, period)
        b = _shift(m, m[q + TAKER], frame, period)
        if a > b or (a < b and not m[q + ENDLESS]):
            return False
    for p in range(processes, processes + count * PROCESS, PROCESS):
        for i in range(m[p + LINKS], m[p + LINKS_END]):
            if _shift(m, m[i], frame, period) > _shift(m, p, frame, period):
                return False
    return True
