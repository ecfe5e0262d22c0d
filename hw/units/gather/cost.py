"""What a rearrangement costs, from its plan alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwc.compiler.graph import Type
from hwc.hw.memory import bram18, lutram
from hwc.hw.queue import queue_form
from hwc.hw.resources import Resources
from hwc.hw.schedule import Schedule
from hwc.hw.units.control import control_resources
from hwc.hw.units.gather.path import place_rom, place_words
from hwc.hw.units.gather.plan import GatherPlan
from hwc.hw.units.gather.walk import Walk, irregular_bits, step_luts
from hwc.hw.units.parts import adder_levels, lookup_luts, pipe_resources, step_bits
from hwc.hw.units.truth import padded, truth_bits, truth_luts

__all__ = ["gather_levels", "gather_resources"]


def gather_resources(plan: GatherPlan, y: Type, schedule: Schedule) -> Resources:
    """Estimated primitives: control, memory, addresses, fill and the held word."""
    width, fills = len(plan.used) * plan.element, bool(plan.fills.any())
    out = sum(e >= 0 for e in plan.words.pattern) * y.width * fills
    total = _control(schedule)
    if plan.passing is not None:
        return total
    if plan.holding is not None:
        real = _mask_luts(plan.holding, 1) if fills else 0
        held = width * plan.repeats
        return total + Resources(max(out, held) + real, held, 0, 0)
    return total + _memory(plan, width) + _places(plan) + Resources(out, 0, 0, 0)


def gather_levels(plan: GatherPlan, schedule: Schedule) -> float:
    """Longest path: masks and the choice of what is given, or what a firing adds to an address."""
    if plan.passing is not None:
        return 1 if plan.given == plan.taken else 3
    if plan.holding is not None:
        return 3
    loops = [count for p in schedule.processes for _, count in p.nests[0].loops]
    firings = max(p.firings for p in schedule.processes)
    # From whether the process fires and which loop steps on to a running sum.
    return 3 + (max(loops) > 16) + adder_levels(step_bits(firings) + 2)


def _control(schedule: Schedule) -> Resources:
    """All sequencers: about a LUT for each bit of their registers but the lowest of a counter, what
    makes up a running sum's next step, and masks."""
    reads = () if len(schedule.processes) == 1 else None
    ff = control_resources(schedule, reads).ff
    luts = ff - sum(schedule.latency.values())
    for process in schedule.processes:
        (nest,) = process.nests
        counts = dict(nest.loops)
        luts += 2 - sum(n > 1 for n in counts.values()) * (len(schedule.processes) > 1)
        # How much a sum steps by depends on the loop that steps; one of blocks has one step.
        choice = max(1, 2 * len(counts) - 5) if nest.gives else 3
        choice += step_bits(nest.firings) // 4 if nest.gives and len(counts) > 2 else 0
        for total in (*nest.needs.values(), *nest.addresses.values()):
            tables = total.split(nest.loops)[2].values() if nest.gives else ()
            luts += choice + sum(step_luts(t) + irregular_bits(t) for t in tables)
        for mask in (*nest.takes.values(), *nest.gives.values()):
            tables = [t for term in mask.terms for t in term.table(nest.loops).values()]
            luts += _tables_luts(tables)
    return Resources(max(1, luts), ff, 0, 0)


def _tables_luts(tables: Sequence[Sequence[bool]]) -> int:
    """LUTs of a product of tables."""
    return sum(lookup_luts(step_bits(len(t)), 1) for t in tables) + (len(tables) > 1)


def _mask_luts(walk: Walk, k: int) -> int:
    return _tables_luts([t for t in walk.masks[k].values() if not all(t)])


def _memory(plan: GatherPlan, width: int) -> Resources:
    depth = plan.ring.depth
    if queue_form(width, depth) == "bram":
        return Resources(0, 0, 0, bram18(width, depth))
    return Resources(lutram(width, depth), width, 0, 0)


def _rom(plan: GatherPlan) -> Resources:
    rom, words = place_rom(plan), np.array(place_words(plan))
    if rom.form == "bram":
        return rom.resources()
    size = 1 << step_bits(len(words))
    luts, bits = truth_luts(padded(words, size), rom.width), truth_bits(words, rom.width)
    return Resources(luts, bits, 0, 0)


def _places(plan: GatherPlan) -> Resources:
    """Counter of the words written, address of the words read, and how late writes are."""
    ring, fills = plan.ring, bool(plan.fills.any())
    bits, frame = step_bits(ring.depth), step_bits(plan.taken)
    late = (plan.nest is None) + (ring.bases > 0)
    width = len(plan.used) * plan.element
    total = Resources(bits, bits, 0, 0) + pipe_resources(1 + bits + width, late)
    if ring.depth & ring.depth - 1:
        total += Resources(bits // 2, 0, 0, 0)
    if plan.nest is None:
        total += _rom(plan) + pipe_resources(ring.bases, 1)
    else:
        # Of a place that wraps in the ring, the upper bits are nobody's.
        over = max(0, frame - bits)
        total += Resources(_mask_luts(plan.nest, 0) if fills else 0, 0, 0, 0)
        total += Resources(-over, -over, 0, 0)
    total += pipe_resources(int(fills), 1 + (ring.bases > 0))
    if ring.bases:
        total += Resources(bits + ring.bases, bits + ring.bases, 0, 0)
    return total
