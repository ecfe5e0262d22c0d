"""The shell around a network: control and DMA under one top; see docs/shell.md."""

from __future__ import annotations

import re

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Signal,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.design import Design
from hwc.hw.shell.control import BUS, ControlPort, status
from hwc.hw.shell.engine import Engine
from hwc.hw.shell.registers import IDENTITY, VERSION, Status
from hwc.hw.verilog import plain_verilog

__all__ = ["SHELL_TOP", "Shell", "shell_verilog"]

SHELL_TOP = "hwc_top"
"""Name of the top module."""
FLUSH = 4
"""Cycles of reset that the engine gets before a batch and after a broken one."""


class Shell(wiring.Component):
    """``digest``: first 32 bits of the hash of the network's Verilog. Ports: see docs/shell.md."""

    aclk: Signal
    aresetn: Signal
    irq: Signal

    def __init__(self, design: Design, digest: int, address_bits: int = 32) -> None:
        if not 32 <= address_bits <= 64:
            raise ValueError(f"addresses have 32 to 64 bits, not {address_bits}")
        self.design = design
        self.digest = digest
        self.address_bits = address_bits
        self.control = ControlPort()
        self.engine = Engine(design, address_bits)
        ports: dict[str, wiring.Member] = {"aclk": In(1), "aresetn": In(1), "irq": Out(1)}
        ports |= {f"s_axi_{name}": member for name, member in BUS.items()}
        ports |= {"s_axi_bresp": Out(2), "s_axi_rresp": Out(2)}
        for part in (self.engine.reader, self.engine.writer):
            for name, member in part.signature.members.items():
                if name.startswith(("ar", "aw")) or name in _DATA:
                    width = 8 if name.endswith("len") else member.shape
                    ports[f"m_axi_{name}"] = wiring.Member(member.flow, width)
        ports |= {f"m_axi_{name}": Out(width) for name, (width, _) in _CONSTANTS.items()}
        ports |= {"m_axi_bid": In(1), "m_axi_rid": In(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flush = Signal()
        m.domains += [ClockDomain("sync"), ClockDomain("engine")]
        m.d.comb += [
            ClockSignal().eq(self.aclk),
            ResetSignal().eq(~self.aresetn),
            ClockSignal("engine").eq(self.aclk),
            ResetSignal("engine").eq(~self.aresetn | flush),
        ]
        m.submodules.control = self.control
        m.submodules.engine = DomainRenamer("engine")(self.engine)
        self._bus(m)
        self._run(m, flush)
        return m

    def _bus(self, m: Module) -> None:
        for prefix, part in (
            ("s_axi_", self.control),
            ("m_axi_", self.engine.reader),
            ("m_axi_", self.engine.writer),
        ):
            for name, member in part.signature.members.items():
                port = getattr(self, prefix + name, None)
                if port is not None:
                    inner = getattr(part, name)
                    m.d.comb += port.eq(inner) if member.flow is Out else inner.eq(port)
        for name, (_, value) in _CONSTANTS.items():
            m.d.comb += getattr(self, f"m_axi_{name}").eq(value)

    def _run(self, m: Module, flush: Signal) -> None:
        """The life of a batch: flush, run, and after an error or an abort drain and flush."""
        control, reader, writer = self.control, self.engine.reader, self.engine.writer
        bits = {flag: Signal(name=str(flag.name).lower()) for flag in Status}
        begin, over, wait = Signal(), Signal(), Signal(range(FLUSH + 1))
        failing, dropped = Signal(), Signal()
        done = Signal(32)
        error = Signal(16)
        addresses = [
            Cat(control.input_addr, control.input_addr_high)[: self.address_bits],
            Cat(control.output_addr, control.output_addr_high)[: self.address_bits],
        ]
        m.d.comb += [
            control.busy.eq(bits[Status.BUSY]),
            control.status.eq(status(bits)),
            control.error.eq(error),
            control.frames_done.eq(done),
            self.irq.eq(
                control.irq_enable & (bits[Status.DONE] | bits[Status.ERROR] | bits[Status.ABORTED])
            ),
            failing.eq(reader.failed | writer.failed),
        ]
        for part, base in zip((reader, writer), addresses, strict=True):
            m.d.comb += [part.base.eq(base), part.frames.eq(control.frames), part.start.eq(begin)]
        legal = (control.frames != 0) & ~Cat(a[:3] for a in addresses).any()
        with m.If(control.clear):
            m.d.sync += [bits[f].eq(0) for f in Status if f != Status.BUSY]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += flush.eq(wait != 0)
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Elif(control.start & legal):
                    m.d.sync += [bits[flag].eq(flag == Status.BUSY) for flag in Status]
                    m.d.sync += [wait.eq(FLUSH), done.eq(0), error.eq(0), dropped.eq(0)]
                    m.next = "flush"
                with m.Elif(control.start):
                    m.d.sync += bits[Status.REJECTED].eq(1)
            with m.State("flush"):
                m.d.comb += flush.eq(wait != 1)
                m.d.sync += wait.eq(wait - 1)
                with m.If(control.abort):
                    m.d.sync += dropped.eq(1)
                with m.If(wait == 1):
                    m.d.comb += begin.eq(1)
                    m.next = "run"
            with m.State("run"):
                m.d.comb += [
                    reader.stop.eq(failing | dropped),
                    writer.stop.eq(failing | dropped),
                    over.eq((done == control.frames) & ~failing & ~dropped),
                ]
                m.d.sync += done.eq(writer.done)
                self._fail(m, failing, dropped, error)
                with m.If(over):
                    m.d.sync += [bits[Status.BUSY].eq(0), bits[Status.DONE].eq(1)]
                    m.next = "idle"
                with m.Elif(dropped & reader.idle & writer.idle):
                    m.d.sync += [bits[Status.BUSY].eq(0), wait.eq(FLUSH)]
                    with m.If(error != 0):
                        m.d.sync += bits[Status.ERROR].eq(1)
                    with m.Else():
                        m.d.sync += bits[Status.ABORTED].eq(1)
                    m.next = "idle"
        with m.If(control.start & bits[Status.BUSY]):
            m.d.sync += bits[Status.REJECTED].eq(1)
        self._measure(m, bits[Status.BUSY], begin, done)

    def _fail(self, m: Module, failing: Signal, dropped: Signal, error: Signal) -> None:
        """The first error is kept; from it, or from an abort, the batch is dropped."""
        reader, writer = self.engine.reader, self.engine.writer
        with m.If(failing | self.control.abort):
            m.d.sync += dropped.eq(1)
        with m.If(failing & (error == 0)):
            m.d.sync += error.eq(
                Mux(
                    reader.failed,
                    Cat(reader.response, Const(0, 6), reader.channel),
                    Cat(writer.response, Const(1, 6), writer.channel),
                )
            )

    def _measure(self, m: Module, busy: Signal, begin: Signal, done: Signal) -> None:
        """Cycle counters, and constants."""
        control, engine = self.control, self.engine
        cycles, first = Signal(64), Signal(64)
        m.d.comb += [
            control.id.eq(IDENTITY),
            control.version.eq(VERSION),
            control.hash.eq(self.digest),
            control.input_stride.eq(engine.input.stride),
            control.output_stride.eq(engine.output.stride),
            Cat(control.cycles, control.cycles_high).eq(cycles),
            Cat(control.first, control.first_high).eq(first),
        ]
        with m.If(busy):
            m.d.sync += cycles.eq(cycles + 1)
            with m.If(done == 0):
                m.d.sync += first.eq(cycles + 1)
        with m.If(begin):
            m.d.sync += [cycles.eq(0), first.eq(0)]
        # At the network itself: from its first beat, and from its first frame to its last one.
        latency, interval, since = Signal(32), Signal(32), Signal(32)
        inside, seen = Signal(), Signal(len(engine.ended))
        whole = (seen | engine.ended).all()
        with m.If(begin):
            m.d.sync += [latency.eq(0), interval.eq(0), since.eq(0), inside.eq(0), seen.eq(0)]
        with m.Else():
            m.d.sync += seen.eq(seen | engine.ended)
            with m.If(engine.entered | inside):
                m.d.sync += inside.eq(1)
                with m.If(~seen.all()):
                    m.d.sync += latency.eq(latency + 1)
                with m.Else():
                    m.d.sync += since.eq(since + 1)
            with m.If(engine.ended.any() & whole):
                m.d.sync += interval.eq(Mux(seen.all(), since + 1, 0))
        m.d.comb += [control.network_latency.eq(latency), control.network_interval.eq(interval)]


_DATA = ("rvalid", "rready", "rdata", "rresp", "rlast")
_DATA += ("wvalid", "wready", "wdata", "wlast", "bvalid", "bready", "bresp")
_CONSTANTS = {
    "arid": (1, 0),
    "awid": (1, 0),
    "arsize": (3, 3),
    "arburst": (2, 1),
    "arcache": (4, 3),
    "arprot": (3, 0),
    "awsize": (3, 3),
    "awburst": (2, 1),
    "awcache": (4, 3),
    "awprot": (3, 0),
    "wstrb": (8, 0xFF),
}
"""Outputs of the master that never change: (width, value). One ID, INCR bursts of 8 bytes,
bufferable."""


def shell_verilog(shell: Shell) -> str:
    """Verilog-2001 of the shell as one text, the network a module of its own elsewhere."""
    text = plain_verilog(shell, SHELL_TOP)
    before, head, rest = text.rpartition(f"module {SHELL_TOP}(")
    top, end, after = rest.partition("\nendmodule\n")
    return before + head + _PORT.sub(_interface, top) + end + after


_PORT = re.compile(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);$", re.MULTILINE)
_SIGNAL = "xilinx.com:signal:"
_NOTES = {
    "aclk": (
        f"{_SIGNAL}clock:1.0 aclk CLK",
        "ASSOCIATED_BUSIF s_axi:m_axi, ASSOCIATED_RESET aresetn",
    ),
    "aresetn": (f"{_SIGNAL}reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
    "irq": (f"{_SIGNAL}interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    "s_axi_awaddr": ("", "PROTOCOL AXI4LITE, DATA_WIDTH 32"),
    "m_axi_araddr": ("", "PROTOCOL AXI4, DATA_WIDTH 64, MAX_BURST_LENGTH 16"),
}
"""Per port: the interface signal that it is (AXI: by its name) and parameters of the interface."""


def _interface(port: re.Match[str]) -> str:
    """What tells Vivado which ports of the top make an interface; other tools ignore it."""
    name = port[1]
    info, parameters = _NOTES.get(name, ("", ""))
    if not info:
        bus, _, signal = name.rpartition("_")
        info = f"xilinx.com:interface:aximm:1.0 {bus} {signal.upper()}"
    notes = [f'X_INTERFACE_INFO = "{info}"']
    if parameters:
        notes.append(f'X_INTERFACE_PARAMETER = "{parameters}"')
    return f"  (* {', '.join(notes)} *)\n{port[0]}"
