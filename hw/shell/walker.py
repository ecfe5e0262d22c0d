"""Cuts the frames of a stream into bursts."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.record import WORD, StreamRecord

__all__ = ["BURST", "Walker"]

BURST = 16
"""Most beats of a burst: what AXI3 allows."""
PAGE = 4096 // WORD
"""Words of the page that no burst may leave."""


class Walker(wiring.Component):
    """Address and size of the next burst of one stream.

    ``start`` loads ``base`` and ``frames``. From then on ``size`` is 0 or the words of the burst at
    ``addr``: as many as ``most``, the frame and the page allow. ``issue`` takes it; the next one is
    there at the earliest three cycles later. Where frames follow each other without a gap a burst
    may go over their ends, so that frames of a word or two do not cost a burst each.
    """

    start: Signal
    base: Signal
    frames: Signal
    most: Signal
    addr: Signal
    size: Signal
    issue: Signal

    def __init__(self, record: StreamRecord, stride: int, address_bits: int) -> None:
        self.record = record
        self.stride = stride
        super().__init__(
            {
                "start": In(1),
                "base": In(address_bits),
                "frames": In(32),
                "most": In(range(BURST + 1)),
                "addr": Out(address_bits),
                "size": Out(range(BURST + 1)),
                "issue": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, fresh = Signal(64), Signal()
        page = Signal(range(PAGE + 1))
        m.d.comb += page.eq(PAGE - self.addr[3:12])
        near = Signal(range(BURST + 1))
        m.d.comb += near.eq(_least(_least(left, page), self.most))
        # Two steps: first the size, then its use, or the path would be a subtractor long.
        m.d.sync += [fresh.eq(1), self.size.eq(Mux(fresh, near, 0))]
        with m.If(self.issue):
            m.d.sync += [
                self.addr.eq(self.addr + (self.size << 3)),
                left.eq(left - self.size),
                self.size.eq(0),
                fresh.eq(0),
            ]
        with m.If(self.start):
            m.d.sync += [fresh.eq(0), self.size.eq(0), left.eq(0)]
            m.d.sync += self.addr.eq(self.base + self.record.offset)
        if self.stride == self.record.words * WORD:
            self._multiply(m, left)
        else:
            self._step(m, left, fresh)
        return m

    def _multiply(self, m: Module, left: Signal) -> None:
        """All frames are one run of ``frames * words``: a bit of ``frames`` a cycle."""
        rest, term = Signal(32), Signal(64)
        with m.If(self.start):
            m.d.sync += [rest.eq(self.frames), term.eq(self.record.words)]
        with m.Elif(rest != 0):
            m.d.sync += [rest.eq(rest >> 1), term.eq(term << 1), self.size.eq(0)]
            with m.If(rest[0]):
                m.d.sync += left.eq(left + term)

    def _step(self, m: Module, left: Signal, fresh: Signal) -> None:
        """A run for each frame, ``stride`` bytes apart."""
        rest, place = Signal(32), Signal.like(self.addr)
        with m.If(self.start):
            m.d.sync += [rest.eq(self.frames), place.eq(self.base + self.record.offset)]
        with m.Elif((left == 0) & (rest != 0) & ~self.issue):
            m.d.sync += [
                self.addr.eq(place),
                place.eq(place + self.stride),
                left.eq(self.record.words),
                rest.eq(rest - 1),
                fresh.eq(0),
                self.size.eq(0),
            ]


def _least(a: Value, b: Value) -> Value:
    return Mux(a < b, a, b)
