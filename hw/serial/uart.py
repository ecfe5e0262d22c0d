"""A UART of 8 data bits, no parity and one stop bit, its bit time a whole number of cycles."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["LEAST_DIVISOR", "Receiver", "Transmitter"]

LEAST_DIVISOR = 4
"""Cycles of the shortest bit: with fewer the middle of a bit is not hit well enough."""
FRAME = 10
"""Bits of a byte on the line: start, 8 of data, stop."""


def _checked(divisor: int) -> int:
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"a bit takes at least {LEAST_DIVISOR} cycles, not {divisor}")
    return divisor


class Receiver(wiring.Component):
    """``strobe`` is 1 for the one cycle in which ``data`` is a byte that was heard.

    Each bit is sampled once, in its middle. A byte whose stop bit is low is dropped, and the line
    has to go high before the next one can begin.
    """

    rx: Signal
    data: Signal
    strobe: Signal

    def __init__(self, divisor: int) -> None:
        self.divisor = _checked(divisor)
        super().__init__({"rx": In(1), "data": Out(8), "strobe": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.line = FFSynchronizer(self.rx, line, init=1)
        wait = Signal(range(self.divisor))
        left = Signal(range(FRAME))
        m.d.comb += self.strobe.eq(0)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [wait.eq(self.divisor // 2 - 1), left.eq(FRAME - 1)]
                with m.If(~line):
                    m.next = "bits"
            with m.State("bits"):
                m.d.sync += wait.eq(Mux(wait == 0, self.divisor - 1, wait - 1))
                with m.If(wait == 0):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 0):
                        m.d.comb += self.strobe.eq(line)
                        m.next = "stop"
                    with m.Elif((left == FRAME - 1) & line):
                        m.next = "idle"  # too short for a start bit
                    with m.Else():
                        m.d.sync += self.data.eq(Cat(self.data[1:], line))
            with m.State("stop"), m.If(line):
                m.next = "idle"
        return m


class Transmitter(wiring.Component):
    """Sends what comes at ``bytes``; ``ready`` while nothing is on the line."""

    bytes: stream.Interface
    tx: Signal

    def __init__(self, divisor: int) -> None:
        self.divisor = _checked(divisor)
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait = Signal(range(self.divisor))
        left = Signal(range(FRAME + 1))
        bits = Signal(FRAME - 1, init=(1 << (FRAME - 1)) - 1)
        m.d.comb += [self.bytes.ready.eq(left == 0), self.tx.eq(bits[0])]
        with m.If(left == 0):
            m.d.sync += wait.eq(self.divisor - 1)
            with m.If(self.bytes.valid):
                # Zero is the start bit; behind the data ones move up, the stop bit and the idle.
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.bytes.payload)), left.eq(FRAME)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                wait.eq(self.divisor - 1),
                bits.eq(Cat(bits[1:], Const(1, 1))),
                left.eq(left - 1),
            ]
        return m
