"""The recursion of the timing engine, naively: an independent answer for small designs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwc.hw.design import Design
from hwc.hw.schedule import Mask, Nest, Process, Schedule

Bools = NDArray[np.bool_]


def naive(
    design: Design, frames: int, given: Mapping[str, Mapping[str, Bools]]
) -> dict[str, list[int]]:
    """Cycles of each outside stream, straight from the recursion and the words on skipping: one
    firing after the other, each nest walked loop by loop. Without stalls.
    """
    beats: dict[str, list[int]] = {e.name: [] for e in design.edges}
    pops: dict[str, list[int]] = {e.name: [] for e in design.edges}
    times: dict[tuple[str, str], list[int]] = {}
    todo = {}
    for e in design.edges:
        n = frames * design.layout(e.dst, e).beats
        if e.src[0] == "":
            times["", e.src[1]] = []
            todo["", e.src[1]] = [((), ((e, 0),), (), False)] * n
        if e.dst[0] == "":
            times["", e.dst[1]] = []
            todo["", e.dst[1]] = [((e,), (), (), False)] * n
    for name, unit in design.instances.items():
        schedule = unit.schedule()
        for p in schedule.processes:
            times[name, p.name] = []
            todo[name, p.name] = _firings(design, name, schedule, p, frames, given[name])
    moved = True
    while moved:
        moved = False
        for key, firings in todo.items():
            mine = times[key]
            while len(mine) < len(firings):
                takes, gives, needs, skipped = firings[len(mine)]
                if skipped:
                    mine.append(mine[-1])
                    continue
                at = mine[-1] + 1 if mine else 0
                if any(len(pops[e.name]) >= len(beats[e.name]) for e in takes):
                    break
                if any(len(beats[e.name]) - len(pops[e.name]) >= e.depth for e, _ in gives):
                    break
                if any(len(times[key[0], src]) < want for src, want in needs):
                    break
                at = max([at, *(beats[e.name][len(pops[e.name])] for e in takes)])
                full = [e for e, _ in gives if len(beats[e.name]) >= e.depth]
                at = max([at, *(pops[e.name][len(beats[e.name]) - e.depth] + 1 for e in full)])
                asked = [times[key[0], src][want - 1] + 1 for src, want in needs if want > 0]
                at = max([at, *asked])
                for e in takes:
                    pops[e.name].append(at)
                for e, late in gives:
                    beats[e.name].append(at + late + 1)
                mine.append(at)
                moved = True
    assert all(len(times[key]) == len(firings) for key, firings in todo.items())
    return {key[1]: t for key, t in times.items() if not key[0]}


def _firings(
    design: Design,
    name: str,
    schedule: Schedule,
    p: Process,
    frames: int,
    given: Mapping[str, Bools],
) -> list:
    """Per firing the edges it takes from and gives to, what it needs, and whether it is skipped."""
    out = []
    for f in range(frames):
        base = f * p.firings
        for nest in p.nests:
            inner = nest.loops[-1][1]
            stopped = False
            for n in range(nest.firings):
                k = n % inner
                stopped = stopped and k > 0
                if stopped:
                    out.append(((), (), (), True))
                else:
                    stopped = bool(nest.stop) and bool(given[nest.stop][base + n])
                    last = stopped or k == inner - 1
                    takes, gives = (
                        [port for port, mask in ports.items() if _uses(nest, mask, n, last)]
                        for ports in (nest.takes, nest.gives)
                    )
                    needs = [
                        (src, f * schedule.process(src).firings + int(s.over(nest.loops)[n]))
                        for src, s in nest.needs.items()
                    ]
                    out.append(
                        (
                            [e for e in design.edges if e.dst[0] == name and e.dst[1] in takes],
                            [
                                (e, schedule.latency[e.src[1]])
                                for e in design.edges
                                if e.src[0] == name and e.src[1] in gives
                            ],
                            needs,
                            False,
                        )
                    )
            base += nest.firings
    return out


def _uses(nest: Nest, mask: Mask, n: int, last: bool) -> bool:
    """Whether firing ``n`` uses a port, its round of the innermost loop ending there or not."""
    values = {c: np.full(nest.firings, last) for c in mask.conditions}
    return bool(mask.over(nest.loops, values)[n])
