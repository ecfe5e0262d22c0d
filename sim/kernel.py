"""The timing recursion, compiled: the least fixed point of a (max, +) system, firing by firing.

Every process keeps the time of its last firing. It can evaluate its next one as soon as the beats
it takes, the credits it needs and the firings it waits for have been evaluated; since each time is
a maximum of times that never change again, the order of evaluation does not matter. So processes
take turns, each running as far as it can, frame by frame.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwc.sim.records import (
    AT,
    CODE,
    CODE_END,
    CROWDED,
    CULPRIT,
    DIGEST,
    DONE,
    EMPTY,
    END,
    ENDLESS,
    FAST_GIVE,
    FAST_LATE,
    FAST_TAKE,
    FINISHED,
    FIRINGS,
    FRAME,
    FRAME_SIZE,
    FRAMES,
    FULL,
    GATE,
    GIVES_END,
    HEAD,
    HISTORY,
    HISTORY_SIZE,
    LEFT,
    LENGTH,
    LINKS,
    LINKS_END,
    LOG_IN,
    LOG_OUT,
    LOOK,
    NEEDS,
    PATTERN,
    POPPED,
    PROCESS,
    PUSHED,
    QUOTA,
    REASON,
    RING,
    SHAPE,
    SIZE,
    START,
    STARVED,
    STEP,
    TAIL,
    TAKES_END,
    TIME,
    USE_SIZE,
    USES,
    WAITED,
    WAITS,
    WAKE,
    WAKE_END,
)
from hwc.sim.stalls import shut

__all__ = ["settle"]

Ints = NDArray[np.int64]

_HASH = -3372029247567499371


@njit
def _due(m, p, segment):
    """When the links let the first firing of a segment happen, or -1 - source if it is unknown."""
    when = 0
    for i in range(m[p + LINKS_END] - m[p + LINKS]):
        src = m[m[p + LINKS] + i]
        want = m[p + FRAME] * m[src + FIRINGS] + m[segment + NEEDS + i]
        if want <= 0:
            continue
        if m[src + DONE] < want:
            return -1 - src
        when = max(when, m[m[src + HISTORY] + (want - 1) % m[src + HISTORY_SIZE]] + 1)
    return when


@njit
def _room(m, p, pattern, most):
    """How many firings of a pattern can be evaluated now; notes what forbids the next."""
    for i in range(pattern + USES, m[pattern + TAKES_END], USE_SIZE):
        q = m[i]
        have = m[q + PUSHED] - m[q + POPPED]
        if have < most:
            most = have
            m[p + REASON] = EMPTY
            m[p + CULPRIT] = q
    for i in range(m[pattern + TAKES_END], m[pattern + GIVES_END], USE_SIZE):
        q = m[i]
        have = m[q + SIZE] - m[q + PUSHED] + m[q + POPPED]
        if have < most:
            most = have
            m[p + REASON] = FULL
            m[p + CULPRIT] = q
    return most


@njit
def _fire(m, p, pattern, count, origin):
    """Evaluate ``count`` firings, whatever they use."""
    time, digest, starved, crowded = m[p + TIME], m[p + DIGEST], 0, 0
    takes, middle, gives = pattern + USES, m[pattern + TAKES_END], m[pattern + GIVES_END]
    for n in range(count):
        time += 1
        for i in range(takes, middle, USE_SIZE):
            at = m[m[m[i] + HEAD]]
            if at > time:
                starved += at - time
                time = at
        for i in range(middle, gives, USE_SIZE):
            at = m[m[m[i] + TAIL] + m[m[i] + SIZE]] + 1
            if at > time:
                crowded += at - time
                time = at
        if m[p + GATE]:
            while shut(m, m[p + GATE], time):
                time += 1
        for i in range(takes, middle, USE_SIZE):
            q = m[i]
            if not m[q + ENDLESS]:
                m[m[q + HEAD] + m[q + SIZE]] = time
            if m[q + LOG_OUT]:
                m[m[q + LOG_OUT] + m[q + POPPED]] = time
            m[q + POPPED] += 1
            m[q + HEAD] = _next(m, q, m[q + HEAD])
        for i in range(middle, gives, USE_SIZE):
            q = m[i]
            m[m[q + TAIL]] = time + m[i + 1]
            if m[q + LOG_IN]:
                m[m[q + LOG_IN] + m[q + PUSHED]] = time + m[i + 1]
            m[q + PUSHED] += 1
            m[q + TAIL] = _next(m, q, m[q + TAIL])
        m[m[p + HISTORY] + (m[p + DONE] + n) % m[p + HISTORY_SIZE]] = time
        digest = digest * _HASH + (time - origin)
    m[p + TIME] = time
    m[p + DIGEST] = digest
    m[p + STARVED] += starved
    m[p + CROWDED] += crowded


@njit
def _next(m, q, at):
    return at + 1 if at + 1 < m[q + RING] + m[q + SIZE] else m[q + RING]


@njit
def _pass(m, p, pattern, count, origin):
    """:func:`_fire` for the common patterns: at most one beat in and one out, nothing special."""
    q, r, late = m[pattern + FAST_TAKE], m[pattern + FAST_GIVE], m[pattern + FAST_LATE]
    time, digest, starved, crowded = m[p + TIME], m[p + DIGEST], 0, 0
    get, get_end, size = m[q + HEAD], m[q + RING] + m[q + SIZE], m[q + SIZE]
    put, put_end, depth = m[r + TAIL], m[r + RING] + m[r + SIZE], m[r + SIZE]
    kept = m[p + HISTORY_SIZE]
    note = m[p + HISTORY] + m[p + DONE] % kept
    note_end = m[p + HISTORY] + kept
    for _ in range(count):
        time += 1
        at = m[get]
        if at > time:
            starved += at - time
            time = at
        at = m[put + depth] + 1
        if at > time:
            crowded += at - time
            time = at
        m[get + size] = time
        m[put] = time + late
        m[note] = time
        get = get + 1 if get + 1 < get_end else get_end - size
        put = put + 1 if put + 1 < put_end else put_end - depth
        note = note + 1 if note + 1 < note_end else note_end - kept
        digest = digest * _HASH + (time - origin)
    m[q + HEAD] = get
    m[q + POPPED] += count
    m[r + TAIL] = put
    m[r + PUSHED] += count
    m[p + TIME] = time
    m[p + DIGEST] = digest
    m[p + STARVED] += starved
    m[p + CROWDED] += crowded


@njit
def _idle(m, p, pattern, count, origin):
    """Evaluate ``count`` firings that use no port, or are skipped."""
    kept, step = m[p + HISTORY_SIZE], m[pattern + STEP]
    for n in range(max(0, count - kept), count):
        m[m[p + HISTORY] + (m[p + DONE] + n) % kept] = m[p + TIME] + step * (n + 1)
    m[p + TIME] += step * count
    m[p + DIGEST] = m[p + DIGEST] * _HASH + (m[p + TIME] - origin)


@njit
def _enter(m, p):
    """Go on to the next segment if the links allow it."""
    segment = m[p + AT] + NEEDS + m[p + LINKS_END] - m[p + LINKS]
    if segment == m[p + CODE_END]:
        segment = m[p + CODE]
    when = _due(m, p, segment)
    if when < 0:
        m[p + REASON] = WAITS
        m[p + CULPRIT] = -1 - when
        return False
    if when > m[p + TIME] + 1:
        m[p + WAITED] += when - m[p + TIME] - 1
        m[p + TIME] = when - 1
    m[p + AT] = segment
    m[p + LEFT] = m[segment + LENGTH]
    return True


@njit
def _advance(m, p, limit):
    """Run a process as far as it goes within ``limit`` frames; whether it went on at all."""
    before = m[p + DONE]
    stop = min(limit * m[p + FIRINGS], m[p + QUOTA])
    while True:
        if m[p + LEFT] == 0:
            if m[p + DONE] == stop:
                m[p + REASON] = FINISHED
                break
            if not _enter(m, p):
                break
        pattern = m[m[p + AT] + PATTERN]
        count = _room(m, p, pattern, m[p + LEFT])
        if count == 0:
            break
        frame = m[p + FRAMES] + m[p + FRAME] * FRAME_SIZE
        first = m[p + DONE] == m[p + FRAME] * m[p + FIRINGS]
        origin = m[frame + START]
        if m[pattern + GIVES_END] == pattern + USES:
            _idle(m, p, pattern, count, origin)
        elif m[pattern + FAST_TAKE]:
            _pass(m, p, pattern, count, origin)
        else:
            _fire(m, p, pattern, count, origin)
        if first:
            m[frame + START] = m[p + TIME]
            m[p + DIGEST] = 0
        m[p + DONE] += count
        m[p + LEFT] -= count
        if m[p + DONE] == (m[p + FRAME] + 1) * m[p + FIRINGS]:
            m[frame + END] = m[p + TIME]
            m[frame + SHAPE] = m[p + DIGEST]
            m[p + FRAME] += 1
        if m[p + LEFT] > 0:
            break  # the queue that _room blames is used up now
    return m[p + DONE] > before


@njit
def settle(m, processes, count, limit):
    """Evaluate everything that lies within ``limit`` frames; whether all processes got there."""
    end = processes + count * PROCESS
    for p in range(processes, end, PROCESS):
        m[p + LOOK] = 1
    # Upstream first, as long as anything moves there: queues fill up and the next process along
    # the way evaluates many firings at once.
    p = processes
    while p < end:
        after = p + PROCESS
        if m[p + LOOK]:
            m[p + LOOK] = 0
            if _advance(m, p, limit):
                for i in range(m[p + WAKE], m[p + WAKE_END]):
                    m[m[i] + LOOK] = 1
                    after = min(after, m[i])
        p = after
    for p in range(processes, end, PROCESS):
        if m[p + REASON] != FINISHED:
            return False
    return True
