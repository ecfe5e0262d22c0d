"""What both halves of the DMA share: which burst is asked for next, and which are under way."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.arbiter import RoundRobin
from hwc.hw.shell.record import Record
from hwc.hw.shell.walker import BURST, Walker

__all__ = ["Bursts", "Half"]

UNDER_WAY = 8
"""Bursts under way at most, over all streams."""


class Half(wiring.Component):
    """Ports of a half of the DMA, beside those of its bus and streams.

    ``start`` begins ``frames`` records from ``base`` on. ``stop`` ends asking for bursts; ``idle``
    says that none is under way. ``failed`` with ``response`` and ``channel``: one came back wrong.
    """

    start: Signal
    stop: Signal
    base: Signal
    frames: Signal
    idle: Signal
    failed: Signal
    response: Signal
    channel: Signal

    def __init__(
        self, record: Record, address_bits: int, ports: Mapping[str, wiring.Member]
    ) -> None:
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
                **ports,
            }
        )

    def bursts(self, m: Module, room: int, *, eager: bool) -> Bursts:
        """The bursts of this half, with start and stop wired up."""
        m.submodules.bursts = bursts = Bursts(self.record, self.address_bits, room, eager=eager)
        m.d.comb += [
            bursts.start.eq(self.start),
            bursts.stop.eq(self.stop),
            bursts.base.eq(self.base),
            bursts.frames.eq(self.frames),
            self.channel.eq(bursts.head.channel),
        ]
        return bursts


class Bursts(wiring.Component):
    """The address channel of one direction.

    ``room_k`` are the words that the buffer of stream k can move now: a burst is asked for only if
    it has room for all of it, full bursts where possible, or as many words as there are if
    ``eager``. ``issue`` is 1 in the cycle in which the burst ``asked`` is decided on; ``hold`` puts
    that off. ``head`` is the oldest burst under way, which ``ended`` takes off.
    """

    start: Signal
    stop: Signal
    base: Signal
    frames: Signal
    hold: Signal
    issue: Signal
    ended: Signal
    idle: Signal
    valid: Signal
    ready: Signal
    addr: Signal
    len: Signal
    asked: data.View
    head: data.View

    def __init__(self, record: Record, address_bits: int, room: int, *, eager: bool) -> None:
        self.record = record
        self.address_bits = address_bits
        self.eager = eager
        self.burst = data.StructLayout({"channel": 8, "size": range(BURST + 1)})
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "base": In(address_bits),
                "frames": In(32),
                "hold": In(1),
                "issue": Out(1),
                "ended": In(1),
                "idle": Out(1),
                "valid": Out(1),
                "ready": In(1),
                "addr": Out(address_bits),
                "len": Out(4),
                "asked": Out(self.burst),
                "head": Out(self.burst),
            }
            | {f"room_{k}": In(range(room + 1)) for k in range(len(record.streams))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.order = order = fifo.SyncFIFOBuffered(
            width=len(self.asked.as_value()), depth=UNDER_WAY
        )
        walkers = [self._walker(m, k) for k in range(len(self.record.streams))]
        rooms = [getattr(self, f"room_{k}") for k in range(len(walkers))]
        m.submodules.grant = grant = RoundRobin(len(walkers))
        under_way = Signal(range(UNDER_WAY + 2))
        m.d.comb += [
            grant.requests.eq(
                Cat((w.size != 0) & (w.size <= r) for w, r in zip(walkers, rooms, strict=True))
            ),
            self.issue.eq(
                grant.valid & ~self.valid & ~self.hold & ~self.stop & (under_way < UNDER_WAY)
            ),
            grant.next.eq(self.issue),
            order.w_en.eq(self.issue),
            order.w_data.eq(self.asked),
            order.r_en.eq(self.ended),
            self.head.as_value().eq(order.r_data),
            self.idle.eq((under_way == 0) & ~self.valid),
        ]
        m.d.sync += under_way.eq(under_way + self.issue - self.ended)
        with m.If(self.valid & self.ready):
            m.d.sync += self.valid.eq(0)
        with m.Switch(grant.grant):
            for k, walker in enumerate(walkers):
                with m.Case(k):
                    m.d.comb += [
                        self.asked.channel.eq(k),
                        self.asked.size.eq(walker.size),
                        walker.issue.eq(self.issue),
                    ]
                    with m.If(self.issue):
                        m.d.sync += [
                            self.valid.eq(1),
                            self.addr.eq(walker.addr),
                            self.len.eq(walker.size - 1),
                        ]
        return m

    def _walker(self, m: Module, k: int) -> Walker:
        item = list(self.record.streams.values())[k]
        walker = m.submodules[f"walker_{k}"] = Walker(item, self.record.stride, self.address_bits)
        room = getattr(self, f"room_{k}")
        m.d.comb += [
            walker.start.eq(self.start),
            walker.base.eq(self.base),
            walker.frames.eq(self.frames),
            walker.most.eq(Mux(room > BURST, BURST, room) if self.eager else BURST),
        ]
        return walker
