"""The write half of the DMA: one buffer per stream to bursts into memory."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import fifo, stream
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.bursts import UNDER_WAY, Bursts, Half
from hwc.hw.shell.record import WORD, Record
from hwc.hw.shell.walker import BURST

__all__ = ["Writer"]

BUFFER = 32
"""Words of a stream's buffer."""


class Writer(Half):
    """What a buffer holds is written as soon as the port is free, in bursts that are longer the
    busier it is; a burst begins with all its words there. ``done``: frames of which every stream
    has been acknowledged.
    """

    done: Signal
    awvalid: Signal
    awready: Signal
    awaddr: Signal
    awlen: Signal
    wvalid: Signal
    wready: Signal
    wdata: Signal
    wlast: Signal
    bvalid: Signal
    bready: Signal
    bresp: Signal

    def __init__(self, record: Record, address_bits: int) -> None:
        ports = {
            "done": Out(32),
            "awvalid": Out(1),
            "awready": In(1),
            "awaddr": Out(address_bits),
            "awlen": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "wdata": Out(8 * WORD),
            "wlast": Out(1),
            "bvalid": In(1),
            "bready": Out(1),
            "bresp": In(2),
        }
        words = {f"words_{k}": In(stream.Signature(8 * WORD)) for k in range(len(record.streams))}
        super().__init__(record, address_bits, ports | words)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bursts = self.bursts(m, BUFFER, eager=True)
        buffers = [self._buffer(m, k, bursts) for k in range(len(self.record.streams))]
        now, sent = Signal(bursts.burst), Signal()
        sending = now.size != 0
        m.d.comb += [
            self.awvalid.eq(bursts.valid),
            bursts.ready.eq(self.awready),
            self.awaddr.eq(bursts.addr),
            self.awlen.eq(bursts.len),
            bursts.hold.eq(sending),
            self.idle.eq(bursts.idle & ~sending),
            self.wdata.eq(Array(b.r_data for b in buffers)[now.channel]),
            self.wvalid.eq(sending & Array(b.r_rdy for b in buffers)[now.channel]),
            self.wlast.eq(now.size == 1),
            sent.eq(self.wvalid & self.wready),
            self.bready.eq(1),
            bursts.ended.eq(self.bvalid),
        ]
        with m.If(bursts.issue):
            m.d.sync += now.eq(bursts.asked)
        with m.Elif(sent):
            m.d.sync += now.size.eq(now.size - 1)
        for k, buffer in enumerate(buffers):
            m.d.comb += buffer.r_en.eq(sent & (now.channel == k))
        self._acknowledge(m, bursts)
        return m

    def _buffer(self, m: Module, k: int, bursts: Bursts) -> fifo.SyncFIFOBuffered:
        buffer = m.submodules[f"buffer_{k}"] = fifo.SyncFIFOBuffered(width=8 * WORD, depth=BUFFER)
        words = getattr(self, f"words_{k}")
        m.d.comb += [
            getattr(bursts, f"room_{k}").eq(buffer.r_level),
            buffer.w_data.eq(words.payload),
            buffer.w_en.eq(words.valid),
            words.ready.eq(buffer.w_rdy),
        ]
        return buffer

    def _acknowledge(self, m: Module, bursts: Bursts) -> None:
        """Counts frames by words; nothing counts from the first error on."""
        broken = Signal()
        m.d.comb += [self.failed.eq(self.bvalid & self.bresp[1]), self.response.eq(self.bresp)]
        with m.If(self.failed):
            m.d.sync += broken.eq(1)
        every: list[Signal] = []
        for k, item in enumerate(self.record.streams.values()):
            words = Signal(range(item.words + BURST * UNDER_WAY + 1), name=f"acked_{k}")
            mine, more = Signal(32, name=f"done_{k}"), Signal(name=f"more_{k}")
            added = Signal(range(BURST + 1), name=f"added_{k}")
            m.d.comb += more.eq(words >= item.words)
            with m.If(self.bvalid & ~self.failed & ~broken & (bursts.head.channel == k)):
                m.d.comb += added.eq(bursts.head.size)
            m.d.sync += [
                words.eq(words + added - Mux(more, item.words, 0)),
                mine.eq(mine + more),
            ]
            if every:
                least = Signal(32, name=f"least_{k}")
                m.d.sync += least.eq(Mux(mine < every[-1], mine, every[-1]))
                mine = least
            every.append(mine)
        m.d.comb += self.done.eq(every[-1])
