"""What a product that skips zero activations costs, and its longest path."""

from __future__ import annotations

from hwc.hw.memory import bram18
from hwc.hw.resources import Resources
from hwc.hw.units.control import control_resources
from hwc.hw.units.matvec.cost import (
    plan_levels,
    product_resources,
    sum_resources,
    weight_resources,
)
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits
from hwc.hw.units.skip.plan import Buffer, SkipPlan
from hwc.hw.units.sparse.cost import ram_luts

__all__ = ["skip_levels", "skip_resources"]


def skip_levels(plan: SkipPlan) -> float:
    """Longest path between registers of datapath and control, in LUT and carry levels."""
    address = adder_levels(step_bits(plan.words)) + plan.rom.levels
    # Counting what the other process has done: two numbers are added, one of them by choice.
    counting = 9 if step_bits(plan.pixels * plan.words) > 8 else 7
    return max(plan_levels(plan), address, counting)


def skip_resources(plan: SkipPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    total = control_resources(plan.schedule()) + _load(plan) + _walk(plan)
    total += weight_resources(plan) + product_resources(plan) + sum_resources(plan)
    return total + (plan.spec.resources() if plan.spec else Resources.zero())


def _load(plan: SkipPlan) -> Resources:
    """What lies past the end is cleared, a beat compared with 0, kept ones counted; both memories,
    and where each vector ends."""
    bits, width = plan.number_bits, plan.layout.width
    total = Resources(plan.cleared * plan.x.width, 0, 0, 0)
    total += Resources(-(-width // 6) + 2, 0, 0, 0)
    total += Resources(bits + 2, bits + 1, 0, 0) + Resources(2, 2 * bits, 0, 0)
    return total + _memory(plan, plan.buffer, width) + _memory(plan, plan.numbers_form, bits)


def _memory(plan: SkipPlan, form: Buffer, width: int) -> Resources:
    if form == "bram":
        return Resources(0, 0, 0, bram18(width, plan.depth))
    return Resources(ram_luts(width, plan.depth), width, 0, 0)


def _walk(plan: SkipPlan) -> Resources:
    """The end of a vector, the address of weights, and the bits that accompany the data."""
    bits, base = plan.number_bits, step_bits((plan.blocks - 1) * plan.beats + 1)
    total = Resources(bits + 2, 1, 0, 0) + pipe_resources(bits + 1, 1)
    total += Resources(step_bits(plan.words), base, 0, 0)
    # Places of blocks, and walked firings, are multiples of the beats: low bits that are always 0.
    low = (plan.beats & -plan.beats).bit_length() - 1
    total += Resources(-7 * low // 2, -3 * low, 0, 0)
    total += pipe_resources(1, plan.fetch + plan.dot_latency) * 2
    if plan.spec is not None and plan.spec.addressed:
        total += pipe_resources(step_bits(plan.blocks), plan.accumulated - plan.spec.lead)
    return total
