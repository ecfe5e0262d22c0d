"""What moves data: the network between its gearboxes, buffers and DMA."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from hwc.hw.design import Design
from hwc.hw.shell.gearbox import Packer, Unpacker
from hwc.hw.shell.reader import Reader
from hwc.hw.shell.record import Record
from hwc.hw.shell.writer import Writer
from hwc.hw.verilog import TOP

__all__ = ["Engine"]


class Engine(wiring.Component):
    """``reader`` and ``writer`` are submodules whose bus ports the shell wires up.

    ``entered``: a beat moves into the network. ``ended``: per output stream, the last beat of a
    frame moves out of it.
    """

    entered: Signal
    ended: Signal

    def __init__(self, design: Design, address_bits: int) -> None:
        self.design = design
        self.input, self.output = Record.of(design.inputs), Record.of(design.outputs)
        self.reader = Reader(self.input, address_bits)
        self.writer = Writer(self.output, address_bits)
        super().__init__({"entered": Out(1), "ended": Out(len(design.outputs))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader, m.submodules.writer = self.reader, self.writer
        ports: dict[str, object] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        moves, ends = [], []
        for k, (name, item) in enumerate(self.input.streams.items()):
            gears = m.submodules[f"unpack_{k}"] = Unpacker(item)
            connect(m, getattr(self.reader, f"words_{k}"), gears.words)
            ports[f"i_{name}_valid"] = gears.beats.valid
            ports[f"i_{name}_data"] = gears.beats.payload
            ports[f"o_{name}_ready"] = gears.beats.ready
            moves.append(gears.beats.valid & gears.beats.ready)
        for k, (name, item) in enumerate(self.output.streams.items()):
            gears = m.submodules[f"pack_{k}"] = Packer(item)
            connect(m, gears.words, getattr(self.writer, f"words_{k}"))
            ports[f"o_{name}_valid"] = gears.beats.valid
            ports[f"o_{name}_data"] = gears.beats.payload
            ports[f"i_{name}_ready"] = gears.beats.ready
            ends.append(gears.ended)
        m.submodules.network = Instance(TOP, **ports)
        m.d.comb += [self.entered.eq(Cat(moves).any()), self.ended.eq(Cat(ends))]
        return m
