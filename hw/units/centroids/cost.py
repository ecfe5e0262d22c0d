"""What a product by centroids costs, and its longest path."""

from __future__ import annotations

from hwc.hw.memory import lutram_single
from hwc.hw.resources import Resources
from hwc.hw.units.centroids.plan import CentroidPlan
from hwc.hw.units.control import control_resources
from hwc.hw.units.mux import mux_levels, mux_luts
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits

__all__ = ["centroid_levels", "centroid_resources"]


def centroid_levels(plan: CentroidPlan) -> float:
    """Longest path between registers of the datapath, in LUT and carry levels."""
    # A code or a place of the sweep, the memory of sums, and what adds to it or chooses from it.
    paths = [2 + adder_levels(plan.bin.width), 2 + mux_levels(plan.rounds)]
    paths += [3.5, plan.rom.levels, plan.table.levels]
    paths += [plan.lanes_sum.worst_levels, plan.dot.worst_levels, plan.acc.worst_levels]
    if plan.spec is not None:
        paths.append(plan.spec.worst_levels)
    return max(paths)


def centroid_resources(plan: CentroidPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    f, width = plan.fold, plan.bin.width
    total = control_resources(plan.schedule()) + plan.rom.resources() + plan.table.resources()
    each = lutram_single(width, len(plan.values)) + width + plan.code.width
    total += Resources(each, 0, 0, 0) * (f.outs * f.lanes)
    total += Resources(width * mux_luts(plan.rounds), width, 0, 0) * (f.macs * f.lanes)
    total += (plan.lanes_sum.resources() + plan.dot.resources() + plan.acc.resources()) * f.macs
    if plan.dot.uses_dsp and plan.lanes_sum.latency:
        # A DSP block has room for the register in front of its own.
        total += Resources(0, -plan.lanes_sum.result.width * f.macs, 0, 0)
    total += _fetch(plan) + _late(plan)
    return total + (plan.spec.resources() if plan.spec else Resources.zero())


def _fetch(plan: CentroidPlan) -> Resources:
    """Operands, what gates them, and the place of a beat in its tap."""
    total = plan.operands.resources()
    if plan.operands.form in (None, "ff"):
        total += Resources(plan.layout.width, 0, 0, 0)
    if plan.shape[2] % plan.fold.lanes and plan.across > 1:
        bits = step_bits(plan.across)
        total += Resources(bits + 1, bits, 0, 0)
    return total


def _late(plan: CentroidPlan) -> Resources:
    """Bits that accompany the data."""
    minor, turn = step_bits(plan.minor), step_bits(plan.rounds)
    total = pipe_resources(2 + minor, plan.fetch) + pipe_resources(turn, plan.fetch)
    total += pipe_resources(minor, plan.fetch + plan.lanes_sum.latency)
    total += pipe_resources(2, plan.multiplied)
    if plan.spec is not None and plan.spec.addressed:
        late = plan.multiplied + plan.acc.latency - plan.spec.lead
        total += pipe_resources(step_bits(plan.groups * plan.rounds), late)
    return total
