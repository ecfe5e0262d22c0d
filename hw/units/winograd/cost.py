"""What a folded Winograd product costs, and its longest path."""

from __future__ import annotations

from hwc.hw.dot import SumSpec
from hwc.hw.resources import Resources
from hwc.hw.units.control import control_resources
from hwc.hw.units.mux import mux_levels, mux_luts
from hwc.hw.units.parts import pipe_resources, step_bits
from hwc.hw.units.winograd.plan import Sums, WinogradPlan, latest

__all__ = ["winograd_levels", "winograd_resources"]


def winograd_levels(plan: WinogradPlan) -> float:
    """Longest path between registers of the datapath, in LUT and carry levels."""
    # Running addresses: the choice of a step, and the carry chain that adds it.
    paths: list[float] = [3.5 if plan.words > 16 else 2.0, plan.rom.levels]
    for sums in (plan.columns, plan.rows, plan.back_columns, plan.back_rows):
        paths += [s.worst_levels for s in {s for line in sums for s in line}]
    paths += [dot.worst_levels for dot in plan.dots]
    paths.append(plan.division.worst_levels)
    paths.append(mux_levels(plan.steps["point"]))
    if plan.order is not None:
        paths.append(mux_levels(plan.order.beats))
    if plan.registered:
        paths += [a.worst_levels for a in plan.accumulators]
    if plan.spec is not None:
        paths.append(plan.spec.worst_levels)
    return max(paths)


def winograd_resources(plan: WinogradPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    f = plan.fold
    total = _fetch(plan) + plan.rom.resources()
    total += (_sums(plan.columns) + _sums(plan.rows) + _choice(plan)) * f.lanes
    total += (_products(plan) + _back(plan)) * f.outs
    if plan.order is not None:
        total += plan.order.resources(plan.coded)
    return total + _activation(plan) + _control(plan)


def _fetch(plan: WinogradPlan) -> Resources:
    """Operand register, replay buffer, and what clears lanes if there is no multiplexer."""
    total = plan.operands.resources()
    if plan.operands.form is None or plan.operands.form == "ff":
        total += Resources(plan.cleared * plan.places * plan.x.width, 0, 0, 0)
    return total


def _sums(sums: Sums) -> Resources:
    """Sums and the registers of those that are there early."""
    most, total = latest(sums), Resources.zero()
    for spec in (s for line in sums for s in line):
        total += spec.resources() + pipe_resources(spec.result.width, most - spec.latency)
    return total


def _choice(plan: WinogradPlan) -> Resources:
    """For one lane, the multiplexers of places."""
    steps = plan.steps["point"]
    if steps == 1:
        return Resources.zero()
    width = sum(x.width for x, _ in plan.slots)
    return Resources(mux_luts(steps) * width, width, 0, 0)


def _products(plan: WinogradPlan) -> Resources:
    """For one output, products and accumulators."""
    total = Resources.zero()
    for dot, accumulator in zip(plan.dots, plan.accumulators, strict=True):
        total += dot.resources()
        total += pipe_resources(dot.result.width, plan.dot_latency - dot.latency)
        if plan.registered:
            total += accumulator.resources()
    kept = (plan.steps["point"] - 1) * plan.fold.points * plan.total.width
    return total + Resources(0, kept, 0, 0)


def _back(plan: WinogradPlan) -> Resources:
    """For one output, the way out."""
    division: SumSpec = plan.division
    return _sums(plan.back_columns) + _sums(plan.back_rows) + division.resources() * plan.op.m**2


def _activation(plan: WinogradPlan) -> Resources:
    if plan.spec is None:
        return Resources.zero()
    total, parts = plan.spec.resources(), plan.fold.parts
    if parts > 1:
        held = plan.op.m**2 * plan.fold.outs * plan.sum.width
        codes = plan.op.m**2 * plan.fold.outs * plan.y.width
        total += Resources(held * (parts - 1) // parts, held, 0, 0)
        total += Resources(0, codes * (parts - 1) // parts, 0, 0)
    return total


def _control(plan: WinogradPlan) -> Resources:
    """Loop counters, running addresses, and the bits that accompany the data."""
    schedule = plan.schedule()
    total = control_resources(schedule)
    total += pipe_resources(step_bits(plan.words), plan.ready - 1)
    total += pipe_resources(step_bits(plan.steps["point"]), plan.ready - 1)
    if plan.registered:
        total += pipe_resources(1, plan.ready + plan.dot_latency) * 2
    if plan.spec is not None:
        total += pipe_resources(step_bits(plan.steps["out"]), plan.finished)
    return total
