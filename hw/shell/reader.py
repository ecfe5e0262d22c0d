"""The read half of the DMA: bursts from memory into one buffer per stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.arbiter import RoundRobin
from hwc.hw.shell.record import WORD, Record
from hwc.hw.shell.registers import Response
from hwc.hw.shell.walker import BURST, Walker

__all__ = ["Reader", "Want"]

BUFFER = 64
"""Words of a stream's buffer: four bursts under way hide a latency of 48 cycles."""
UNDER_WAY = 8
"""Bursts under way at most, over all streams."""


class Reader(wiring.Component):
    """A burst is asked for once its stream's buffer has room for all of it, so data is always
    taken at once. ``stop`` ends asking; ``idle`` says that nothing is under way. ``failed`` with
    ``response`` and ``channel``: a burst came back with an error, or of another length.
    """

    start: Signal
    stop: Signal
    base: Signal
    frames: Signal
    idle: Signal
    failed: Signal
    response: Signal
    channel: Signal
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
            | {f"words_{k}": Out(stream.Signature(8 * WORD)) for k in range(len(record.streams))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        burst = data.StructLayout({"channel": 8, "size": range(BURST + 1)})
        asked = Signal(burst)
        m.submodules.order = order = fifo.SyncFIFOBuffered(
            width=len(asked.as_value()), depth=UNDER_WAY
        )
        head = data.View(burst, order.r_data)
        wants = self._channels(m, head.channel)
        m.submodules.grant = grant = RoundRobin(len(wants))
        m.d.comb += grant.requests.eq(Cat(w.ready for w in wants))
        under_way = Signal(range(UNDER_WAY + 2))
        ended = Signal()
        issue = Signal()
        m.d.comb += [
            issue.eq(grant.valid & ~self.arvalid & ~self.stop & (under_way < UNDER_WAY)),
            grant.next.eq(issue),
            order.w_en.eq(issue),
            order.w_data.eq(asked),
            ended.eq(self.rvalid & self.rready & self.rlast),
            self.rready.eq(1),
            self.idle.eq((under_way == 0) & ~self.arvalid),
        ]
        m.d.sync += under_way.eq(under_way + issue - ended)
        with m.If(self.arvalid & self.arready):
            m.d.sync += self.arvalid.eq(0)
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
                            self.arvalid.eq(1),
                            self.araddr.eq(want.addr),
                            self.arlen.eq(want.size - 1),
                        ]
        self._count(m, order, head)
        return m

    def _channels(self, m: Module, taken: Signal) -> list[Want]:
        """Per stream its walker and its buffer, filled while ``taken`` names it."""
        wants = []
        for k, item in enumerate(self.record.streams.values()):
            walker = Walker(item, self.record.stride, self.address_bits)
            buffer = fifo.SyncFIFOBuffered(width=8 * WORD, depth=BUFFER)
            m.submodules[f"walker_{k}"], m.submodules[f"buffer_{k}"] = walker, buffer
            words = getattr(self, f"words_{k}")
            room, popped = Signal(range(BUFFER + 1), init=BUFFER), Signal()
            want = Want(f"want_{k}", walker)
            m.d.comb += [
                walker.start.eq(self.start),
                walker.base.eq(self.base),
                walker.frames.eq(self.frames),
                walker.most.eq(BURST),
                walker.issue.eq(want.issue),
                want.ready.eq((walker.size != 0) & (walker.size <= room)),
                buffer.w_data.eq(self.rdata),
                buffer.w_en.eq(self.rvalid & (taken == k)),
                words.payload.eq(buffer.r_data),
                words.valid.eq(buffer.r_rdy),
                buffer.r_en.eq(words.ready),
                popped.eq(words.valid & words.ready),
            ]
            spent = Signal(range(BURST + 1))
            with m.If(want.issue):
                m.d.comb += spent.eq(walker.size)
            m.d.sync += room.eq(room + popped - spent)
            wants.append(want)
        return wants

    def _count(self, m: Module, order: fifo.SyncFIFOBuffered, head: data.View) -> None:
        """Whether each burst is as long as asked and free of errors."""
        beat, wrong = Signal(range(BURST + 1)), Signal()
        final = Signal()
        m.d.comb += [
            final.eq(beat == head.size - 1),
            wrong.eq(self.rlast != final),
            order.r_en.eq(self.rvalid & self.rlast),
            self.failed.eq(self.rvalid & (self.rresp[1] | wrong)),
            self.channel.eq(head.channel),
            self.response.eq(Response.LENGTH),
        ]
        with m.If(self.rresp[1]):
            m.d.comb += self.response.eq(self.rresp)
        with m.If(self.rvalid):
            m.d.sync += beat.eq(beat + 1)
            with m.If(self.rlast):
                m.d.sync += beat.eq(0)


class Want:
    """What a channel asks for."""

    def __init__(self, name: str, walker: Walker) -> None:
        self.addr, self.size = walker.addr, walker.size
        self.ready = Signal(name=f"{name}_ready")
        self.issue = Signal(name=f"{name}_issue")
