"""The read half of the DMA: bursts from memory into one buffer per stream."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.bursts import Bursts, Half
from hwc.hw.shell.record import WORD, Record
from hwc.hw.shell.registers import Response
from hwc.hw.shell.walker import BURST

__all__ = ["Reader"]

BUFFER = 64
"""Words of a stream's buffer: four bursts under way hide a latency of 48 cycles."""


class Reader(Half):
    """A burst is asked for once its stream's buffer has room for all of it, so data is always
    taken at once. Bursts of another length than asked for have failed as well.
    """

    arvalid: Signal
    arready: Signal
    araddr: Signal
    arlen: Signal
    rvalid: Signal
    rready: Signal
    rdata: Signal
    rresp: Signal
    rlast: Signal

    def __init__(self, record: Record, address_bits: int) -> None:
        ports = {
            "arvalid": Out(1),
            "arready": In(1),
            "araddr": Out(address_bits),
            "arlen": Out(4),
            "rvalid": In(1),
            "rready": Out(1),
            "rdata": In(8 * WORD),
            "rresp": In(2),
            "rlast": In(1),
        }
        words = {f"words_{k}": Out(stream.Signature(8 * WORD)) for k in range(len(record.streams))}
        super().__init__(record, address_bits, ports | words)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bursts = self.bursts(m, BUFFER, eager=False)
        m.d.comb += [
            self.arvalid.eq(bursts.valid),
            bursts.ready.eq(self.arready),
            self.araddr.eq(bursts.addr),
            self.arlen.eq(bursts.len),
            self.rready.eq(1),
            bursts.ended.eq(self.rvalid & self.rlast),
            self.idle.eq(bursts.idle),
        ]
        for k in range(len(self.record.streams)):
            self._buffer(m, k, bursts)
        self._check(m, bursts)
        return m

    def _buffer(self, m: Module, k: int, bursts: Bursts) -> None:
        """The buffer of a stream; its room is given away when a burst is asked for."""
        buffer = m.submodules[f"buffer_{k}"] = fifo.SyncFIFOBuffered(width=8 * WORD, depth=BUFFER)
        words = getattr(self, f"words_{k}")
        room, popped = Signal(range(BUFFER + 1), init=BUFFER), Signal()
        spent = Signal(range(BURST + 1))
        m.d.comb += [
            getattr(bursts, f"room_{k}").eq(room),
            buffer.w_data.eq(self.rdata),
            buffer.w_en.eq(self.rvalid & (bursts.head.channel == k)),
            words.payload.eq(buffer.r_data),
            words.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(words.ready),
            popped.eq(words.valid & words.ready),
        ]
        with m.If(bursts.issue & (bursts.asked.channel == k)):
            m.d.comb += spent.eq(bursts.asked.size)
        m.d.sync += room.eq(room + popped - spent)

    def _check(self, m: Module, bursts: Bursts) -> None:
        """Whether each burst is as long as asked and free of errors."""
        beat, wrong = Signal(range(BURST + 1)), Signal()
        m.d.comb += [
            wrong.eq(self.rlast != (beat == bursts.head.size - 1)),
            self.failed.eq(self.rvalid & (self.rresp[1] | wrong)),
            self.response.eq(Response.LENGTH),
        ]
        with m.If(self.rresp[1]):
            m.d.comb += self.response.eq(self.rresp)
        with m.If(self.rvalid):
            m.d.sync += beat.eq(beat + 1)
            with m.If(self.rlast):
                m.d.sync += beat.eq(0)
