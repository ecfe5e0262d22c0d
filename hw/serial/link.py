"""Requests and responses on a line of bytes; the contract is docs/serial.md."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "GAP_SECONDS",
    "IDENTITY",
    "VERSION",
    "Op",
    "Requests",
    "Responses",
    "Status",
    "crc_step",
]

IDENTITY = b"HWC1"
VERSION = 1
"""Of the contract; counts up with every change that a driver must know of."""
GAP_SECONDS = 0.02
"""A request that pauses for so long is dropped."""
CRC_INIT = 0xFFFF
CRC_TAPS = 0x1021
LATENCY_BYTES = 4


class Op(IntEnum):
    """First byte of a request."""

    IDENTIFY = 0x49
    RUN = 0x52
    RESET = 0x58


class Status(IntEnum):
    """First byte of a response."""

    OK = 0
    BAD_CRC = 1
    UNKNOWN_OP = 2


def crc_step(crc: Value, byte: Value) -> Value:
    """CRC-16/CCITT after one more byte, most significant bit first."""
    bits = list(crc)
    for k in reversed(range(8)):
        top = bits[15] ^ byte[k]
        bits = [top if CRC_TAPS & 1 else Const(0, 1), *bits[:15]]
        bits = [bit ^ top if j > 0 and CRC_TAPS >> j & 1 else bit for j, bit in enumerate(bits)]
    return Cat(*bits)


class Requests(wiring.Component):
    """Bytes that were heard to whole requests.

    ``sizes``: bytes of each input stream of a frame. ``put[k]`` is 1 when ``data`` is the next one
    of stream k; ``collecting`` while a frame comes in. ``done`` is 1 for one cycle at the end of a
    request that has to be answered, with its ``op`` and, if it cannot be obeyed, its ``status``.
    What began while ``busy`` is dropped unanswered, unless it is a good reset. A request that
    pauses for ``gap`` cycles is dropped; CRCs are sent high byte first, so that the CRC over all of
    a good request is 0.
    """

    data: Signal
    strobe: Signal
    busy: Signal
    put: Signal
    collecting: Signal
    op: Signal
    status: Signal
    done: Signal

    def __init__(self, sizes: Sequence[int], gap: int) -> None:
        self.sizes = tuple(sizes)
        self.gap = gap
        super().__init__(
            {
                "data": In(8),
                "strobe": In(1),
                "busy": In(1),
                "put": Out(len(self.sizes)),
                "collecting": Out(1),
                "op": Out(8),
                "status": Out(2),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crc, late = Signal(16), Signal()
        left, quiet = Signal(range(max(self.sizes))), Signal(range(self.gap + 1))
        crc_after, known = Signal(16), Signal()
        names = [f"input_{k}" for k in range(len(self.sizes))] + ["crc_high"]
        m.d.comb += [
            crc_after.eq(crc_step(crc, self.data)),
            known.eq(Cat(self.op == op for op in Op).any()),
        ]
        m.d.sync += quiet.eq(Mux(self.strobe, 0, quiet + 1))
        with m.If(self.strobe):
            m.d.sync += crc.eq(crc_after)
        with m.FSM() as states:
            with m.State("op"):
                m.d.sync += [crc.eq(CRC_INIT), quiet.eq(0), left.eq(self.sizes[0] - 1)]
                with m.If(self.strobe):
                    m.d.sync += [
                        self.op.eq(self.data),
                        late.eq(self.busy),
                        crc.eq(crc_step(Const(CRC_INIT, 16), self.data)),
                    ]
                    with m.If(self.data == Op.RUN):
                        m.next = names[0]
                    with m.Else():
                        m.next = "crc_high"
            for k, name in enumerate(names[:-1]):
                with m.State(name):
                    m.d.comb += self.put[k].eq(self.strobe & ~late)
                    with m.If(self.strobe):
                        m.d.sync += left.eq(left - 1)
                    with m.If(self.strobe & (left == 0)):
                        m.d.sync += left.eq((*self.sizes, 1)[k + 1] - 1)
                        m.next = names[k + 1]
                    with m.Elif(quiet == self.gap):
                        m.next = "op"
            with m.State("crc_high"):
                with m.If(self.strobe):
                    m.next = "crc_low"
                with m.Elif(quiet == self.gap):
                    m.next = "op"
            with m.State("crc_low"):
                good = crc_after == 0
                m.d.comb += [
                    self.done.eq(self.strobe & (~late | (good & (self.op == Op.RESET)))),
                    self.status.eq(
                        Mux(good, Mux(known, Status.OK, Status.UNKNOWN_OP), Status.BAD_CRC)
                    ),
                ]
                with m.If(self.strobe | (quiet == self.gap)):
                    m.next = "op"
            idle = states.ongoing("op")
        m.d.comb += self.collecting.eq(~idle & ~late & (self.op == Op.RUN))
        return m


class Responses(wiring.Component):
    """Sends the response to ``op`` from the cycle after ``start`` on; ``busy`` until it is all at
    ``bytes``.

    ``sizes``: bytes of each output stream of a frame, which come from ``words_k``. ``latency`` has
    to be still. A ``start`` while busy gives up the response under way.
    """

    start: Signal
    op: Signal
    status: Signal
    latency: Signal
    busy: Signal
    bytes: stream.Interface

    def __init__(self, sizes: Sequence[int], digest: int) -> None:
        self.sizes = tuple(sizes)
        self.identity = [*IDENTITY, VERSION, *digest.to_bytes(4, "big")]
        ports: dict[str, wiring.Member] = {
            "start": In(1),
            "op": In(8),
            "status": In(2),
            "latency": In(32),
            "busy": Out(1),
            "bytes": Out(stream.Signature(8)),
        }
        super().__init__(
            ports | {f"words_{k}": In(stream.Signature(8)) for k in range(len(self.sizes))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crc, sent = Signal(16), Signal()
        op, status = Signal.like(self.op), Signal.like(self.status)
        at = Signal(range(max(*self.sizes, len(self.identity), LATENCY_BYTES)))
        out = self.bytes
        m.d.comb += sent.eq(out.valid & out.ready)
        with m.If(sent):
            m.d.sync += [crc.eq(crc_step(crc, out.payload)), at.eq(at + 1)]
        identity = self._identity(m, at)
        body = [f"output_{k}" for k in range(len(self.sizes))] + ["latency", "crc_high"]
        with m.FSM() as states:

            def state(name: str, value: Value, size: int, after: str, valid: Value) -> None:
                """``size`` bytes, each when ``valid``, and then the next state."""
                with m.State(name):
                    m.d.comb += [out.payload.eq(value), out.valid.eq(valid)]
                    with m.If(sent & (at == size - 1)):
                        m.d.sync += at.eq(0)
                        m.next = after
                    with m.If(self.start):
                        m.next = "status"

            with m.State("idle"), m.If(self.start):
                m.next = "status"
            with m.State("status"):
                m.d.comb += [out.payload.eq(status), out.valid.eq(1)]
                with m.If(sent):
                    m.d.sync += [at.eq(0), crc.eq(crc_step(Const(CRC_INIT, 16), out.payload))]
                    m.next = "crc_high"
                with m.If(sent & (status == Status.OK) & (op == Op.IDENTIFY)):
                    m.next = "identity"
                with m.If(sent & (status == Status.OK) & (op == Op.RUN)):
                    m.next = body[0]
                with m.If(self.start):
                    m.next = "status"
            always = Const(1, 1)
            state("identity", identity, len(self.identity), "crc_high", always)
            for k, size in enumerate(self.sizes):
                words = getattr(self, f"words_{k}")
                state(body[k], words.payload, size, body[k + 1], words.valid)
                m.d.comb += words.ready.eq(states.ongoing(body[k]) & out.ready)
            part = self.latency.word_select(at[:2], 8)
            state("latency", part, LATENCY_BYTES, "crc_high", always)
            with m.State("crc_high"):
                m.d.comb += [out.payload.eq(crc[8:]), out.valid.eq(1)]
                with m.If(sent):
                    # The low byte is left as it is: the CRC is shifted, not fed with itself.
                    m.d.sync += crc.eq(Cat(crc[:8], crc[:8]))
                    m.next = "crc_low"
                with m.If(self.start):
                    m.next = "status"
            with m.State("crc_low"):
                m.d.comb += [out.payload.eq(crc[:8]), out.valid.eq(1)]
                with m.If(sent):
                    m.next = "idle"
                with m.If(self.start):
                    m.next = "status"
            m.d.comb += self.busy.eq(~states.ongoing("idle"))
        with m.If(self.start):
            m.d.sync += [op.eq(self.op), status.eq(self.status), at.eq(0)]
        return m

    def _identity(self, m: Module, at: Signal) -> Signal:
        value = Signal(8)
        with m.Switch(at):
            for k, byte in enumerate(self.identity):
                with m.Case(k):
                    m.d.comb += value.eq(byte)
        return value
