"""What a sparse product costs, and its longest path."""

from __future__ import annotations

from hwc.hw.memory import bram18
from hwc.hw.resources import Resources
from hwc.hw.units.control import control_resources
from hwc.hw.units.mux import mux_levels, mux_luts
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits
from hwc.hw.units.sparse.plan import SparsePlan

__all__ = ["ram_luts", "sparse_levels", "sparse_resources"]


def sparse_levels(plan: SparsePlan) -> float:
    """Longest path between registers of the datapath, in LUT and carry levels."""
    # Counting what other processes have done: three numbers are added, one of them chosen.
    paths = [plan.rom.levels, plan.dot.worst_levels, plan.acc.worst_levels]
    paths.append(7 if plan.steps > 1 else 4)
    if plan.rows.relative:
        paths.append(1 + adder_levels(plan.place_bits))
    if plan.fold.buffer == "lutram":
        deep = -(-(plan.stride + plan.beats) // 64)
        paths.append(1 + mux_levels(deep) + (0 if plan.rows.relative else plan.rom.levels > 0))
    if plan.beat > 1:
        paths.append(mux_levels(plan.beat))
    ram = 0 if plan.sums_form == "bram" else 1 + mux_levels(-(-plan.sums_depth // 64))
    paths.append(ram + mux_levels(plan.each))
    if plan.spec is not None:
        paths.append(plan.spec.worst_levels)
    return max(paths)


def sparse_resources(plan: SparsePlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    total = control_resources(plan.schedule()) + plan.rom.resources() + _shared(plan)
    total += _element(plan) * plan.fold.pes + _emit(plan)
    return total + (plan.spec.resources() if plan.spec else Resources.zero())


def _shared(plan: SparsePlan) -> Resources:
    """What accompanies the walk, and the write port of the inputs."""
    address = step_bits(2 * plan.stride)
    write = Resources(address if plan.rows.relative else 0, 0, 0, 0)
    write += Resources(0, plan.lag * (1 + address + plan.layout.width), 0, 0)
    return write + Resources(4, 2 * plan.written + 4, 0, 0)


def _element(plan: SparsePlan) -> Resources:
    f, x, w = plan.fold, plan.x.width, plan.w.width
    total = Resources(1, 1, 0, 0)
    if plan.rows.relative:
        total += Resources(plan.place_bits + 1, plan.place_bits + 1, 0, 0)
    width, depth = plan.layout.width, plan.stride + plan.beats
    if f.buffer == "bram":
        total += Resources(0, 0, 0, bram18(width, depth))
    else:
        total += Resources(ram_luts(width, depth), width, 0, 0)
    if plan.beat > 1:
        luts = f.pixels * x * mux_luts(plan.beat)
        total += Resources(luts, step_bits(plan.beat) + plan.selected * f.pixels * x, 0, 0)
    total += _late(plan, w, plan.fetched - 1) + _late(plan, 1, plan.multiplied - 1)
    total += Resources(0, 1, 0, 0)
    total += (plan.dot.resources() + plan.acc.resources()) * f.pixels
    if plan.sums_form == "bram":
        total += Resources(0, 0, 0, bram18(plan.sums_width, plan.sums_depth))
    else:
        total += Resources(ram_luts(plan.sums_width, plan.sums_depth), 0, 0, 0)
    return total + Resources(plan.slot_bits + 1, plan.slot_bits, 0, 0)


def _late(plan: SparsePlan, width: int, cycles: int) -> Resources:
    """Part of an entry, so many cycles later. The register of a table in LUTs is counted with the
    table, but may be the first of a shift register.
    """
    if plan.fold.memory == "bram" or plan.firings == 1:
        return pipe_resources(width, cycles)
    return pipe_resources(width, cycles + 1) + Resources(0, -width, 0, 0)


def ram_luts(width: int, depth: int) -> int:
    """LUTs of a distributed RAM of one word a cycle each way, of blocks of 32 x 6 or 64 x 3."""
    shapes = [(4 * -(-width // w), -(-depth // d)) for w, d in ((6, 32), (3, 64))]
    each, blocks = min(shapes, key=lambda s: s[0] * s[1])
    return each * blocks + width * mux_luts(blocks)


def _emit(plan: SparsePlan) -> Resources:
    """Order, multiplexers and registers of the sums that leave."""
    width = plan.sums_width * plan.fold.outs
    # DSP blocks of the activation have a register for the sum.
    kept = 0 if plan.spec is not None and plan.spec.resources().dsp else width
    total = Resources(width * mux_luts(plan.each), kept, 0, 0)
    total += pipe_resources(step_bits(plan.given), plan.written - 1)
    total += pipe_resources(1, plan.written) + Resources(1, 1, 0, 0)
    if plan.each > 1:
        total += plan.order_rom.resources()
    if plan.spec is not None and plan.spec.addressed:
        total += pipe_resources(step_bits(plan.given), plan.read - plan.spec.lead)
    return total
