"""The one queue between units: credits in front, first-word fall-through behind."""

from __future__ import annotations

from typing import Literal

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.memory import bram18, lutram
from hwc.hw.resources import Resources

__all__ = ["Form", "Queue", "queue_form", "queue_resources"]

Form = Literal["ff", "lutram", "bram"]


def queue_form(width: int, depth: int) -> Form:
    """Where a queue of ``depth`` beats of ``width`` bits is cheapest on a 7-series part.

    One beat is a register. Up to 64 beats distributed RAM costs about ``width * 4 / 3`` LUTs for
    each 64 words; from there a block RAM pays once it is at least an eighth full.
    """
    if depth == 1:
        return "ff"
    return "bram" if depth > 64 and depth * width >= 18 * 1024 // 8 else "lutram"


class Queue(wiring.Component):
    """A queue of ``depth`` beats whose timing does not depend on its form.

    A beat pushed in cycle ``t`` is at the head, if the queue was empty, in ``t + 1``. A producer
    reserves (``give``) before it pushes; ``credit`` says whether it may. A popped beat's credit is
    back one cycle after the pop. Pushing without a reservation or popping while ``valid`` is 0 is
    an error of the caller and corrupts the count.
    """

    give: Signal
    credit: Signal
    push: Signal
    data: Signal
    valid: Signal
    head: Signal
    pop: Signal

    def __init__(self, width: int, depth: int, form: Form | None = None) -> None:
        if depth < 1 or width < 1:
            raise ValueError(f"a queue holds at least one beat of one bit, not {depth} of {width}")
        self.width = width
        self.depth = depth
        self.form: Form = form or queue_form(width, depth)
        super().__init__(
            {
                "give": In(1),
                "credit": Out(1),
                "push": In(1),
                "data": In(width),
                "valid": Out(1),
                "head": Out(width),
                "pop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        room = Signal(range(self.depth + 1), init=self.depth)
        level = Signal(range(self.depth + 1))
        m.d.sync += [room.eq(room - self.give + self.pop), level.eq(level + self.push - self.pop)]
        m.d.comb += [self.credit.eq(room != 0), self.valid.eq(level != 0)]
        if self.depth == 1:
            with m.If(self.push):
                m.d.sync += self.head.eq(self.data)
            return m

        m.submodules.ram = ram = memory.Memory(shape=self.width, depth=self.depth, init=[])
        ram.attrs["ram_style"] = "block" if self.form == "bram" else "distributed"
        write = ram.write_port()
        put = Signal(range(self.depth))
        get = Signal(range(self.depth))
        after = Signal(range(self.depth))
        m.d.comb += after.eq(Mux(self.pop, Mux(get == self.depth - 1, 0, get + 1), get))
        m.d.sync += get.eq(after)
        m.d.comb += [write.addr.eq(put), write.data.eq(self.data), write.en.eq(self.push)]
        with m.If(self.push):
            m.d.sync += put.eq(Mux(put == self.depth - 1, 0, put + 1))
        if self.form == "bram":
            # The read is issued a cycle early, for the head after this cycle's pop; a beat that is
            # written in that very cycle is forwarded by the transparent port.
            read = ram.read_port(transparent_for=(write,))
            m.d.comb += [read.addr.eq(after), self.head.eq(read.data)]
        else:
            read = ram.read_port(domain="comb")
            m.d.comb += [read.addr.eq(get), self.head.eq(read.data)]
        return m


def queue_resources(width: int, depth: int) -> Resources:
    """Estimated primitives of a :class:`Queue` in the form that :func:`queue_form` picks."""
    count, pointer = depth.bit_length(), (depth - 1).bit_length()
    if depth == 1:
        return Resources(lut=2, ff=2 + width, dsp=0, bram18=0)
    # Level and credit go up and down and are compared with zero; the pointers go round.
    control_lut, control_ff = 4 * count + 2 * pointer - 6, 2 * count + 2 * pointer
    if queue_form(width, depth) == "bram":
        # The forwarding of a beat written in the cycle of its read: a register and a multiplexer.
        # Of a pointer that does not wrap by itself, both values are chosen from.
        control_lut += pointer if depth & depth - 1 else 3
        return Resources(
            lut=control_lut + width, ff=control_ff + width + 1, dsp=0, bram18=bram18(width, depth)
        )
    return Resources(lut=control_lut + lutram(width, depth), ff=control_ff, dsp=0, bram18=0)
