"""What a product by tables costs, and its longest path."""

from __future__ import annotations

from hwc.hw.memory import bram18, lutram
from hwc.hw.resources import Resources
from hwc.hw.units.control import control_resources
from hwc.hw.units.lookups.plan import LookupPlan
from hwc.hw.units.mux import mux_levels, mux_luts
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits

__all__ = ["lookup_levels", "lookup_resources"]


def lookup_levels(plan: LookupPlan) -> float:
    """Longest path between registers of the datapath, in LUT and carry levels."""
    # Counting what the other process has done: three numbers are added, one of them chosen.
    paths = [7, plan.rom.levels, plan.book.levels, plan.dot.worst_levels]
    paths.append(1 + mux_levels(-(-plan.depth // 64)) + mux_levels(plan.fold.fills))
    paths.append(plan.lanes_sum.worst_levels)
    if plan.registered:
        paths.append(adder_levels(plan.acc.width))
    if plan.spec is not None:
        paths.append(plan.spec.worst_levels)
    return max(paths)


def lookup_resources(plan: LookupPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    f = plan.fold
    total = _control(plan) + plan.rom.resources() + plan.book.resources() + _fill(plan)
    width = plan.entry.width
    each = lutram(width, plan.depth) * f.fills + width * mux_luts(f.fills)
    total += Resources(each, width, 0, 0) * (f.outs * f.lanes)
    total += plan.lanes_sum.resources() * f.outs + _partial(plan) + _late(plan)
    return total + (plan.spec.resources() if plan.spec else Resources.zero())


def _control(plan: LookupPlan) -> Resources:
    """Both sequencers. What a firing needs of the other process grows alike over all rounds of the
    outer loops, so that nothing is chosen, and counters that nobody reads vanish.
    """
    n = plan.pixels * plan.beats
    unread = 2 * step_bits(plan.pixels) + step_bits(plan.shape[1])
    unread += 0 if plan.cleared else step_bits(plan.across)
    chosen = step_bits(3 * n * plan.steps) + step_bits(3 * n * plan.entries)
    return control_resources(plan.schedule()) + Resources(-unread - chosen, -unread, 0, 0)


def _fill(plan: LookupPlan) -> Resources:
    """Operands, and products with pieces; those of a lane share the registers in which x waits."""
    f = plan.fold
    clear = len(plan.cleared) * plan.x.width
    total = Resources(1 + clear, plan.layout.width, 0, 0)
    x, _ = plan.dot.waiting()
    return (
        total
        + plan.dot.resources() * (f.lanes * f.fills)
        + Resources(0, -x * (f.fills - 1) * f.lanes, 0, 0)
    )


def _partial(plan: LookupPlan) -> Resources:
    """Accumulators, and the memory of partial sums."""
    if not plan.registered:
        return Resources.zero()
    width = plan.acc.width * plan.fold.outs
    total = Resources(width, width, 0, 0)
    if plan.partial == "bram":
        total += Resources(0, 0, 0, bram18(width, plan.steps))
    elif plan.partial == "lutram":
        total += Resources(lutram(width, plan.steps), width, 0, 0)
    return total


def _late(plan: LookupPlan) -> Resources:
    """Bits that accompany the data, and the pages."""
    total = pipe_resources(step_bits(plan.entries) + 1, plan.filled) + Resources(2, 2, 0, 0)
    total += Resources(0, plan.filled, 0, 0)
    total += pipe_resources(step_bits(plan.beats * plan.steps), plan.filled - 1)
    total += pipe_resources(1, plan.filled)
    if plan.registered:
        total += pipe_resources(1, plan.summed) * 2
    if plan.partial:
        total += pipe_resources(step_bits(plan.steps), plan.summed)
    if plan.spec is not None and plan.spec.addressed:
        late = plan.summed + plan.registered - plan.spec.lead
        total += pipe_resources(step_bits(plan.steps), late)
    return total
