"""Who may go next."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RoundRobin"]


class RoundRobin(wiring.Component):
    """``grant``: of those that ask, the first behind the one that went last; combinational.

    ``next`` says that it goes. Requests may come and go at any time.
    """

    requests: Signal
    next: Signal
    grant: Signal
    valid: Signal

    def __init__(self, count: int) -> None:
        self.count = count
        size = range(max(2, count))
        super().__init__(
            {"requests": In(count), "next": In(1), "grant": Out(size), "valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = Signal.like(self.grant)
        m.d.comb += [self.valid.eq(self.requests.any()), self.grant.eq(last)]
        with m.Switch(last):
            for k in range(self.count):
                with m.Case(k):
                    # Assignments that come later win, so the nearest comes last.
                    for i in reversed(range(1, self.count + 1)):
                        with m.If(self.requests[(k + i) % self.count]):
                            m.d.comb += self.grant.eq((k + i) % self.count)
        with m.If(self.next):
            m.d.sync += last.eq(self.grant)
        return m
