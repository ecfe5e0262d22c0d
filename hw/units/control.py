"""What the generated control of a unit costs, from its schedule alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.units.parts import lookup_luts, step_bits

__all__ = ["control_resources"]


def control_resources(schedule: Schedule, reads: Collection[str] | None = None) -> Resources:
    """Estimated primitives of all sequencers of a unit and of the push bits of its outputs.

    ``reads`` are the loops whose place the datapath looks at (None: all of them); counters of loops
    that nobody needs vanish in synthesis.
    """
    total = Resources.zero()
    for process in schedule.processes:
        total += _process(process, schedule, reads)
    pushes = sum(schedule.latency[port] for p in schedule.processes for port in p.gives)
    return total + Resources(0, pushes, 0, 0)


def _process(process: Process, schedule: Schedule, reads: Collection[str] | None) -> Resources:
    nests = process.nests
    live = _live(process, reads)
    counters = {
        loop: step_bits(n) for nest in nests for loop, n in nest.loops if n > 1 and loop in live
    }
    luts = 1 + bool(counters) + sum(counters.values())
    bits = sum(counters.values()) + (step_bits(len(nests)) if len(nests) > 1 else 0)
    for nest in nests:
        luts += sum(_mask(mask, nest) for mask in (*nest.takes.values(), *nest.gives.values()))
    for name in dict.fromkeys(a for nest in nests for a in nest.addresses):
        width, cost = _sum([_of(n.addresses, name) for n in nests], nests)
        luts, bits = luts + cost, bits + width
    for source in process.needs:
        ahead = schedule.process(source).firings, schedule.lead(source, process.name)
        width, cost = _sum([_of(n.needs, source) for n in nests], nests, ahead)
        # Wide ones had a comparison with 0 as well when this was measured; it took 4 LUTs.
        luts, bits = luts + cost + width // 2 - 4 * (width > 12), bits + width
    return Resources(luts, bits, 0, 0)


def _live(process: Process, reads: Collection[str] | None) -> set[str]:
    """Loops whose counters are needed: where one is, all within it are, for they step it on."""
    nest, *more = process.nests
    if reads is None or more or process.needs:
        return {loop for nest in process.nests for loop, _ in nest.loops}
    wanted = set(reads)
    for mask in (*nest.takes.values(), *nest.gives.values()):
        wanted.update(loop for term in mask.terms for loop in term.table(nest.loops))
    for total in nest.addresses.values():
        _, linear, rest = total.split(nest.loops)
        wanted.update(linear, rest)
    names = [loop for loop, _ in nest.loops]
    outermost = min((k for k, loop in enumerate(names) if loop in wanted), default=len(names))
    return set(names[outermost:])


def _of(sums: Mapping[str, Sum], name: str) -> Sum:
    return sums.get(name, Sum())


def _mask(mask: Mask, nest: Nest) -> int:
    """LUTs of a mask: one for each table of up to 64 rounds, one to join them. Above, an interval
    is compared with its ends."""
    luts = 0
    for term in mask.terms:
        tables = term.table(nest.loops)
        luts += sum(map(_table, tables.values())) + (len(tables) > 1)
    return luts


def _table(bits: tuple[bool, ...]) -> int:
    inputs = step_bits(len(bits))
    edges = sum(a != b for a, b in pairwise((False, *bits, False)))
    return -(-inputs // 6) if edges <= 2 else lookup_luts(inputs, 1)


def _sum(
    sums: list[Sum], nests: tuple[Nest, ...], ahead: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Bits and LUTs of a running sum: an adder, and the choice of what to add.

    ``ahead``, where it counts what another process is ahead: firings of that one in a frame, and
    by how many frames it can be further.
    """
    ends = [s.ends(n.loops) for s, n in zip(sums, nests, strict=True)]
    lo, hi = min(e[0] for e in ends), max(e[1] for e in ends)
    if ahead is not None:
        firings, lead = ahead
        lo, hi = lo - hi - firings, (lead + 1) * firings - lo
    width = max(1, (max(hi, -lo - 1)).bit_length() + (lo < 0))
    if lo == hi:
        return 0, 0
    luts = width
    for total, nest in zip(sums, nests, strict=True):
        _, linear, rest = total.split(nest.loops)
        counts = dict(nest.loops)
        luts += width // 2 * (len(linear) > 1 or len(rest) > 0)
        for loop, table in rest.items():
            steps = {b - a for a, b in pairwise(table)}
            shape = max(s.bit_length() for s in steps) if steps else 0
            distinct = min(shape, len(steps) - 1)
            luts += lookup_luts(step_bits(counts[loop]), distinct)
    return width, luts
