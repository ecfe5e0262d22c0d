"""What a line buffer costs, from its plan alone."""

from __future__ import annotations

from hwc.hw.memory import bram18, lutram
from hwc.hw.queue import queue_form
from hwc.hw.resources import Resources
from hwc.hw.units.mux import mux_luts
from hwc.hw.units.parts import adder_levels, pipe_resources, step_bits
from hwc.hw.units.window.plan import WindowPlan

__all__ = ["datapath_levels", "datapath_resources"]


def datapath_resources(plan: WindowPlan, out_width: int) -> Resources:
    """Estimated primitives of memories, addresses and multiplexers; elements leave ``out_width``
    bits wide.
    """
    return _memories(plan) + _writing(plan) + _reading(plan) + _output(plan, out_width)


def datapath_levels(plan: WindowPlan) -> float:
    """Longest path: the choice of the next address and its adder, or the multiplexers."""
    address = 3 + adder_levels(max(1, plan.address_width))
    rows, columns = plan.mux_levels
    pads = any(_padded(plan)) + any(plan.stale_tap(kx) for kx in range(plan.par_columns))
    return max(address, max(rows, columns + pads) if plan.cut else rows + columns + pads)


def _padded(plan: WindowPlan) -> list[bool]:
    """For each tap of a beat, whether it is ever padding."""
    return [
        plan.padded_row(ky) or plan.padded_column(pixel, kx) for pixel, ky, kx in plan.read_places()
    ]


def _memories(plan: WindowPlan) -> Resources:
    width, depth = plan.word_width, plan.depth
    form = queue_form(width, depth)
    if form == "bram":
        each = Resources(0, 0, 0, bram18(width, depth))
    elif form == "ff":
        each = Resources(0, 2 * width, 0, 0)
    else:
        each = Resources(lutram(width, depth), width, 0, 0)
    return each * (plan.row_banks * plan.banks)


def _writing(plan: WindowPlan) -> Resources:
    """Counters of the loader, write enables, and the stage that adds the slot."""
    address, rams = plan.address_width, plan.row_banks * plan.banks
    small = step_bits(plan.banks // plan.fold.pixels_in) + step_bits(plan.slots)
    total = Resources(address + small + rams // 2, address + small, 0, 0)
    if plan.address_stages:
        beat = plan.fold.pixels_in * plan.word_width
        total += Resources(address // 2, address + beat + rams, 0, 0)
    return total


def _reading(plan: WindowPlan) -> Resources:
    """Walking addresses, one a bank, and what says which slot and bank comes first."""
    address = plan.address_width
    small = step_bits(plan.slots) + step_bits(plan.banks)
    total = Resources(small, small * (2 + plan.address_stages + plan.cut), 0, 0)
    each = Resources(address, address, 0, 0)
    if plan.address_stages:
        # The slot is added to what has moved on by a step that depends on the turn.
        luts = address + address // 2 if len(plan.turns()) > 1 else -(-address // 2)
        each += Resources(luts, address, 0, 0)
    return total + each * plan.banks


def _output(plan: WindowPlan, out_width: int) -> Resources:
    """Multiplexers and padding, for which a multiplexer has an input left unless its last LUT takes
    three ways."""
    rows = len(plan.bases()) if plan.row_banks > 1 else 1
    turns = len(plan.turns())
    width = plan.word_width
    luts = plan.par_rows * width * plan.banks * mux_luts(rows)
    luts += plan.par_rows * width * len(plan.offsets) * mux_luts(turns)
    padded = sum(_padded(plan))
    last = turns if turns > 1 else rows
    if last % 3 == 1:
        luts += padded * plan.fold.lanes * out_width
    stages = plan.address_stages + 1 + plan.cut
    ff = padded * stages + plan.cut * plan.par_rows * plan.banks * width
    return Resources(luts + 2 * padded + _edges(plan), ff, 0, 0) + _shift(plan, out_width)


def _edges(plan: WindowPlan) -> int:
    """LUTs that tell the padding beyond edges that are not powers of two."""
    rows = {ky for _, ky, _ in plan.read_places() if plan.padded_row(ky)}
    columns = {
        pixel * plan.hop + kx * plan.dw
        for pixel, _, kx in plan.read_places()
        if plan.padded_column(pixel, kx)
    }
    ends = (len(rows), plan.height), (len(columns), plan.width)
    return sum(3 * count for count, size in ends if size & size - 1)


def _shift(plan: WindowPlan, out_width: int) -> Resources:
    """Shift registers, 32 deep in a LUT, and the mask of those that may be stale."""
    if not plan.fold.shift:
        return Resources.zero()
    width = plan.par_rows * plan.fold.lanes * out_width
    stale = sum(plan.stale_tap(kx) for kx in range(plan.par_columns))
    each = pipe_resources(width, plan.shift_depth)
    if plan.shift_depth >= 16:
        each = Resources(width * -(-plan.shift_depth // 32), 0, 0, 0)
    return each * (plan.par_columns - 1) + Resources(stale * (width + 1), stale + 1, 0, 0)
