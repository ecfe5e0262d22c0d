"""The write half of the DMA: one buffer per stream to bursts into memory."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.arbiter import RoundRobin
from hwc.hw.shell.reader import Want
from hwc.hw.shell.record import WORD, Record
from hwc.hw.shell.walker import BURST, Walker

__all__ = ["Writer"]

BUFFER = 32
"""Words of a stream's buffer."""
UNDER_WAY = 8
"""Bursts whose response is awaited at most."""


class Writer(wiring.Component):
    """What a buffer holds is written as soon as the port is free, in bursts that are longer the
    busier it is; a burst begins with all its words there. ``stop``, ``idle``, ``failed`` as in the
    reader. ``done``: frames of which every stream has been acknowledged.
    """

    start: Signal
    stop: Signal
    base: Signal
    frames: Signal
    idle: Signal
    failed: Signal
    response: Signal
    channel: Signal
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
        self.record = record
        self.address_bits = address_bits
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "base": In(address_bits),
                "frames": In(32),
                "idle": Out(1),
                "failed": Out(1),
                "response": Out(2),
                "channel": Out(8),
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
            | {f"words_{k}": In(stream.Signature(8 * WORD)) for k in range(len(record.streams))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        burst = data.StructLayout({"channel": 8, "size": range(BURST + 1)})
        asked, now = Signal(burst), Signal(burst)
        m.submodules.order = order = fifo.SyncFIFOBuffered(
            width=len(asked.as_value()), depth=UNDER_WAY
        )
        wants, buffers = self._channels(m)
        m.submodules.grant = grant = RoundRobin(len(wants))
        under_way, issue = Signal(range(UNDER_WAY + 2)), Signal()
        sent, acked = Signal(), Signal()
        free = ~self.awvalid & (now.size == 0)
        m.d.comb += [
            grant.requests.eq(Cat(w.ready for w in wants)),
            issue.eq(grant.valid & free & ~self.stop & (under_way < UNDER_WAY)),
            grant.next.eq(issue),
            order.w_en.eq(issue),
            order.w_data.eq(asked),
            self.bready.eq(1),
            acked.eq(self.bvalid),
            order.r_en.eq(acked),
            self.idle.eq((under_way == 0) & free),
            self.wdata.eq(Array(b.r_data for b in buffers)[now.channel]),
            self.wvalid.eq((now.size != 0) & Array(b.r_rdy for b in buffers)[now.channel]),
            self.wlast.eq(now.size == 1),
            sent.eq(self.wvalid & self.wready),
        ]
        m.d.sync += under_way.eq(under_way + issue - acked)
        with m.If(self.awvalid & self.awready):
            m.d.sync += self.awvalid.eq(0)
        with m.If(sent):
            m.d.sync += now.size.eq(now.size - 1)
        for k, buffer in enumerate(buffers):
            m.d.comb += buffer.r_en.eq(sent & (now.channel == k))
        with m.Switch(grant.grant):
            for k, want in enumerate(wants):
                with m.Case(k):
                    m.d.comb += [
                        asked.channel.eq(k),
                        asked.size.eq(want.size),
                        want.issue.eq(issue),
                    ]
                    with m.If(issue):
                        m.d.sync += [
                            self.awvalid.eq(1),
                            self.awaddr.eq(want.addr),
                            self.awlen.eq(want.size - 1),
                            now.eq(asked),
                        ]
        self._acknowledge(m, data.View(burst, order.r_data), acked)
        return m

    def _channels(self, m: Module) -> tuple[list[Want], list[fifo.SyncFIFOBuffered]]:
        """Per stream its walker and its buffer."""
        wants, buffers = [], []
        for k, item in enumerate(self.record.streams.values()):
            walker = Walker(item, self.record.stride, self.address_bits)
            buffer = fifo.SyncFIFOBuffered(width=8 * WORD, depth=BUFFER)
            m.submodules[f"walker_{k}"], m.submodules[f"buffer_{k}"] = walker, buffer
            words = getattr(self, f"words_{k}")
            want = Want(f"want_{k}", walker)
            m.d.comb += [
                walker.start.eq(self.start),
                walker.base.eq(self.base),
                walker.frames.eq(self.frames),
                walker.most.eq(Mux(buffer.r_level > BURST, BURST, buffer.r_level)),
                walker.issue.eq(want.issue),
                want.ready.eq((walker.size != 0) & (walker.size <= buffer.r_level)),
                buffer.w_data.eq(words.payload),
                buffer.w_en.eq(words.valid),
                words.ready.eq(buffer.w_rdy),
            ]
            wants.append(want)
            buffers.append(buffer)
        return wants, buffers

    def _acknowledge(self, m: Module, head: data.View, acked: Signal) -> None:
        """Counts frames by words; nothing counts from the first error on."""
        broken = Signal()
        m.d.comb += [
            self.failed.eq(acked & self.bresp[1]),
            self.response.eq(self.bresp),
            self.channel.eq(head.channel),
        ]
        with m.If(self.failed):
            m.d.sync += broken.eq(1)
        every: list[Signal] = []
        for k, item in enumerate(self.record.streams.values()):
            words = Signal(range(item.words + BURST * UNDER_WAY + 1), name=f"acked_{k}")
            mine, more = Signal(32, name=f"done_{k}"), Signal(name=f"more_{k}")
            added = Signal(range(BURST + 1), name=f"added_{k}")
            m.d.comb += more.eq(words >= item.words)
            with m.If(acked & ~self.bresp[1] & ~broken & (head.channel == k)):
                m.d.comb += added.eq(head.size)
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
