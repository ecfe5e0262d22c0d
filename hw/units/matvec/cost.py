"""What a folded product costs, and its longest path."""

from __future__ import annotations

from dataclasses import replace

from hwc.hw.memory import bram18, lutram
from hwc.hw.resources import Resources
from hwc.hw.units.matvec.plan import MatVecPlan
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits

__all__ = [
    "plan_levels",
    "plan_resources",
    "product_resources",
    "sum_resources",
    "weight_resources",
]


def plan_levels(plan: MatVecPlan) -> float:
    """Longest path between registers of the datapath, in LUT and carry levels."""
    # Running addresses: the choice of a step, and the carry chain that adds it.
    paths = [3.5 if plan.words > 16 else 2.0, plan.rom.levels]
    if plan.fold.memory == "wired":
        paths += [dot.worst_levels for dot in plan.wired]
    else:
        worst = plan.dot.worst_levels if plan.pair is None else plan.pair.worst_levels
        paths.append(worst + plan.fold.coded)
    if plan.registered:
        paths.append(adder_levels(plan.acc.width))
    if plan.spec is not None:
        paths.append(plan.spec.worst_levels)
    return max(paths)


def plan_resources(plan: MatVecPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    total = (
        _fetch(plan)
        + weight_resources(plan)
        + product_resources(plan)
        + sum_resources(plan)
        + _control(plan)
    )
    return total + (plan.spec.resources() if plan.spec else Resources.zero())


def _fetch(plan: MatVecPlan) -> Resources:
    """Operand register, replay buffer, what clears without one, and mask bits."""
    total = Resources(0, plan.masked, 0, 0) + plan.operands.resources()
    if plan.replay is None or plan.replay == "ff":
        cleared = plan.cleared * plan.x.width * plan.fold.pixels * plan.fold.groups
        return total + Resources(cleared, 0, 0, 0)
    return total


def weight_resources(plan: MatVecPlan) -> Resources:
    """Their memory, and the table that makes weights of codes: a LUT a bit that is no code bit."""
    rom = plan.rom
    if rom.form == "bram":
        rom = replace(rom, width=plan.varying)
    total = rom.resources()
    if not plan.fold.coded:
        return total
    return total + Resources(plan.decoded_bits * plan.outputs * plan.lanes, 0, 0, 0)


def product_resources(plan: MatVecPlan) -> Resources:
    """Sums of products. Outputs share the registers in which x waits, pixels those of weights,
    and so do weights that are always the same."""
    f, pixels = plan.fold, plan.fold.pixels
    if plan.pair is not None:
        pairs, odd = divmod(f.outs, 2)
        x, w = plan.pair.waiting()
        twice = x * (pairs - 1) * pixels * f.groups
        twice += w * pairs * f.groups * pixels - round(w * pairs * f.groups * plan.rom.distinct)
        each = plan.pair.resources() * pairs
        if odd:
            each += plan.dot.resources()
            waits = plan.dot_latency - plan.dot.latency
            each += pipe_resources(plan.dot.result.width, waits)
        return each * (pixels * f.groups) + Resources(0, -twice, 0, 0)
    if f.memory != "wired":
        x, w = plan.dot.waiting()
        twice = 0 if plan.own_inputs else x * (f.outs - 1) * pixels * f.groups
        twice += w * plan.outputs * pixels - round(w * plan.outputs * plan.rom.distinct)
        return plan.dot.resources() * (pixels * plan.outputs) + Resources(0, -twice, 0, 0)
    total = Resources.zero()
    for dot in plan.wired:
        total += dot.resources()
        total += pipe_resources(dot.result.width, plan.dot_latency - dot.latency)
    return total * pixels


def sum_resources(plan: MatVecPlan) -> Resources:
    """Accumulators, and the memory of partial sums."""
    if not plan.registered:
        return Resources.zero()
    width, count = plan.acc.width, plan.fold.pixels * plan.outputs
    total = Resources(width, width, 0, 0) * count
    depth = plan.steps["out"]
    if plan.partial == "bram":
        total += Resources(0, 0, 0, bram18(width * count, depth))
    elif plan.partial == "lutram":
        total += Resources(lutram(width * count, depth), width * count, 0, 0)
    return total


def _control(plan: MatVecPlan) -> Resources:
    """Loop counters, running addresses, and the bits that accompany the data."""
    schedule = plan.schedule()
    (nest,) = schedule.processes[0].nests
    counters = [step_bits(count) for _, count in nest.loops if count > 1]
    bits = sum(counters)
    for address in nest.addresses.values():
        bits += step_bits(int(address.over(nest.loops).max()) + 1)
    # A LUT for each bit of a counter or an address. The push bit has a reset and stays in
    # flip-flops; the rest may become shift registers.
    total = Resources(bits, bits + plan.latency, 0, 0)
    late = plan.fetch + plan.dot_latency
    if plan.registered:
        total += pipe_resources(1, late) * 2
    if plan.spec is not None:
        steps = plan.steps["group"] * plan.steps["out"]
        total += pipe_resources(step_bits(steps), plan.accumulated - plan.spec.lead)
    if plan.partial:
        total += pipe_resources(step_bits(plan.steps["out"]), late)
    return total
