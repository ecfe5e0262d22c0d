"""Who waits for whom in a line buffer: sums over rows and columns for the schedule."""

from __future__ import annotations

from hwc.hw.units.window.plan import WindowPlan

__all__ = ["emit_needs", "load_needs"]

Tables = tuple[list[int], list[int]]


def emit_needs(plan: WindowPlan) -> Tables:
    """Firings of the loader before a window is there, less the channel step: by oy, by ox.

    Windows that are all padding wait for the first row or column, so that no beat of a frame
    leaves before the frame is there.
    """
    row = plan.in_beats * plan.chunks
    rows = [max(plan.real_rows(oy), default=0) * row for oy in range(plan.out_rows)]
    columns = [
        max((x // plan.fold.pixels_in for x in plan.real_columns(ox)), default=0) * plan.chunks
        for ox in range(plan.counts["ox"])
    ]
    return rows, columns


def load_needs(plan: WindowPlan) -> Tables:
    """Firings of the emitter before a beat may overwrite what is in its place: by row, by beat.

    At the granularity of windows: a word is free when all windows that read it are done.
    """
    return _ring_needs(plan) if plan.ring else _slot_needs(plan)


def _slot_needs(plan: WindowPlan) -> Tables:
    frame = plan.out_rows * plan.per_row
    last, rows = _last_rows(plan), []
    for r in range(plan.height):
        frames, y = divmod(r - plan.slots, plan.height)
        rows.append(frames * frame + last[y] * plan.per_row)
    release = _column_release(plan)
    ends = ((j + 1) * plan.fold.pixels_in - 1 for j in range(plan.in_beats))
    return rows, [release[min(x, plan.width - 1)] for x in ends]


def _ring_needs(plan: WindowPlan) -> Tables:
    """A word overwrites the one ``ring // chunks`` words back, perhaps of the row above.

    Rows that no window reads are not stored and never wait.
    """
    never = -2 * plan.out_rows * plan.per_row
    last, used = _last_rows(plan), plan.used_rows()
    rows = [last[r] * plan.per_row if used[r] else never for r in range(plan.height)]
    release, columns = _column_release(plan), []
    words = plan.pitch // plan.chunks
    for j in range(plan.in_beats):
        w = j * plan.fold.pixels_in // plan.banks - plan.ring // plan.chunks
        above = w < 0
        x = (w + words * above + 1) * plan.banks - 1
        columns.append(release[min(x, plan.width - 1)] - above * plan.per_row)
    return rows, columns


def _last_rows(plan: WindowPlan) -> list[int]:
    """Last output row that reads each input row or one above it; -1 if none."""
    last = [-1] * plan.height
    for oy in range(plan.out_rows):
        for y in plan.real_rows(oy):
            last[y] = oy
    return _running_max(last)


def _column_release(plan: WindowPlan) -> list[int]:
    """Firings within an output row until each column, and all to its left, is free."""
    last = [-1] * plan.width
    for ox in range(plan.counts["ox"]):
        for x in plan.real_columns(ox):
            last[x] = ox
    return [(ox + 1) * plan.per_position for ox in _running_max(last)]


def _running_max(values: list[int]) -> list[int]:
    out, top = [], values[0]
    for v in values:
        top = max(top, v)
        out.append(top)
    return out
