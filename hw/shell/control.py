"""The AXI4-Lite side of the shell: its registers."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.registers import REGISTERS, Control, Status

__all__ = ["BUS", "ControlPort", "status"]

ADDRESS_BITS = 12
BUS: dict[str, wiring.Member] = {
    "awvalid": In(1),
    "awready": Out(1),
    "awaddr": In(ADDRESS_BITS),
    "wvalid": In(1),
    "wready": Out(1),
    "wdata": In(32),
    "wstrb": In(4),
    "bvalid": Out(1),
    "bready": In(1),
    "arvalid": In(1),
    "arready": Out(1),
    "araddr": In(ADDRESS_BITS),
    "rvalid": Out(1),
    "rready": In(1),
    "rdata": Out(32),
}
"""The AXI4-Lite ports that carry something; both responses are always OKAY."""


class ControlPort(wiring.Component):
    """One access of either kind at a time; byte strobes are honoured.

    A port for each register but CONTROL, by lower-case name: read-only ones are inputs, the others
    outputs that do not change while ``busy``, but for SCRATCH. ``start``, ``abort`` and ``clear``
    are 1 for a cycle when written.
    """

    busy: Signal
    start: Signal
    abort: Signal
    clear: Signal
    irq_enable: Signal
    awvalid: Signal
    awready: Signal
    awaddr: Signal
    wvalid: Signal
    wready: Signal
    wdata: Signal
    wstrb: Signal
    bvalid: Signal
    bready: Signal
    arvalid: Signal
    arready: Signal
    araddr: Signal
    rvalid: Signal
    rready: Signal
    rdata: Signal
    id: Signal
    version: Signal
    hash: Signal
    status: Signal
    error: Signal
    frames: Signal
    frames_done: Signal
    input_addr: Signal
    input_addr_high: Signal
    output_addr: Signal
    output_addr_high: Signal
    cycles: Signal
    cycles_high: Signal
    first: Signal
    first_high: Signal
    network_latency: Signal
    network_interval: Signal
    input_stride: Signal
    output_stride: Signal

    def __init__(self) -> None:
        ports: dict[str, wiring.Member] = {
            **BUS,
            "busy": In(1),
            "start": Out(1),
            "abort": Out(1),
            "clear": Out(1),
            "irq_enable": Out(1),
        }
        for register in REGISTERS:
            if register.name != "CONTROL":
                flow = In if register.access == "r" else Out
                ports[register.name.lower()] = flow(32)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._writes(m)
        self._reads(m)
        return m

    def _writes(self, m: Module) -> None:
        addr, word, strobes = Signal(ADDRESS_BITS), Signal(32), Signal(4)
        has_addr, has_word, act = Signal(), Signal(), Signal()
        m.d.comb += [
            self.awready.eq(~has_addr),
            self.wready.eq(~has_word),
            act.eq(has_addr & has_word & ~self.bvalid),
        ]
        with m.If(self.awvalid & self.awready):
            m.d.sync += [has_addr.eq(1), addr.eq(self.awaddr)]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [has_word.eq(1), word.eq(self.wdata), strobes.eq(self.wstrb)]
        with m.If(self.bvalid & self.bready):
            m.d.sync += self.bvalid.eq(0)
        mask = Cat(bit.replicate(8) for bit in strobes)
        with m.If(act):
            m.d.sync += [has_addr.eq(0), has_word.eq(0), self.bvalid.eq(1)]
            with m.Switch(addr[2:]):
                for register in REGISTERS:
                    if register.name == "CONTROL":
                        with m.Case(register.offset >> 2):
                            self._act(m, word, strobes)
                    elif register.access != "r":
                        value: Value = getattr(self, register.name.lower())
                        locked = self.busy if register.name != "SCRATCH" else Const(0)
                        with m.Case(register.offset >> 2), m.If(~locked):
                            m.d.sync += value.eq((value & ~mask) | (word & mask))

    def _act(self, m: Module, word: Signal, strobes: Signal) -> None:
        low = word & strobes[0].replicate(8)
        m.d.comb += [
            self.start.eq((low & Control.START.value).any()),
            self.abort.eq((low & Control.ABORT.value).any()),
            self.clear.eq((low & Control.CLEAR.value).any()),
        ]
        with m.If(strobes[1]):
            m.d.sync += self.irq_enable.eq((word & Control.IRQ_ENABLE.value).any())

    def _reads(self, m: Module) -> None:
        m.d.comb += self.arready.eq(~self.rvalid)
        with m.If(self.rvalid & self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(self.arvalid & self.arready):
            m.d.sync += [self.rvalid.eq(1), self.rdata.eq(0)]
            with m.Switch(self.araddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        if register.name == "CONTROL":
                            m.d.sync += self.rdata.eq(self.irq_enable << 8)
                        else:
                            m.d.sync += self.rdata.eq(getattr(self, register.name.lower()))


def status(bits: Mapping[Status, Value]) -> Value:
    """The STATUS word of these bits."""
    return Cat(bits[flag] for flag in Status)
