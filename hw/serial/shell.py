"""The serial shell around a network: UART, requests and responses, a frame at a time."""

from __future__ import annotations

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect

from hwc.hw.design import Design
from hwc.hw.queue import Queue
from hwc.hw.serial.link import Op, Requests, Responses, Status
from hwc.hw.serial.uart import Receiver, Transmitter
from hwc.hw.shell.gearbox import Packer, Unpacker
from hwc.hw.shell.record import Record, StreamRecord
from hwc.hw.verilog import TOP

__all__ = ["SERIAL_TOP", "SerialShell"]

SERIAL_TOP = "hwc_serial"
"""Name of the top module."""


class SerialShell(wiring.Component):
    """``digest``: first 32 bits of the hash of the network's Verilog. ``divisor``: cycles of a bit,
    ``gap``: cycles after which a request that pauses is dropped. ``pressed``: what ``rst`` reads
    while its button is pressed.

    A frame is heard as a whole before the network gets any of it, and the network is in reset
    while there is none: nothing that goes wrong on the line outlives its frame.
    """

    clk: Signal
    rst: Signal
    rx: Signal
    tx: Signal

    def __init__(
        self, design: Design, digest: int, divisor: int, gap: int, pressed: int = 0
    ) -> None:
        self.divisor, self.pressed = divisor, pressed
        self.engine = _Engine(design)
        sides = (self.engine.input, self.engine.output)
        sizes = [[_bytes(item) for item in side.streams.values()] for side in sides]
        self.requests = Requests(sizes[0], gap)
        self.responses = Responses(sizes[1], digest)
        super().__init__({"clk": In(1), "rst": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        requests, responses, engine = self.requests, self.responses, self.engine
        m.domains += [
            ClockDomain("sync"),
            ClockDomain("engine"),
            ClockDomain("raw", reset_less=True),
        ]
        running, button = Signal(), Signal()
        m.d.comb += [
            ClockSignal().eq(self.clk),
            ClockSignal("raw").eq(self.clk),
            ClockSignal("engine").eq(self.clk),
            ResetSignal().eq(button),
            ResetSignal("engine").eq(button | ~(requests.collecting | running)),
        ]
        m.submodules.button = FFSynchronizer(self.rst == self.pressed, button, o_domain="raw")
        m.submodules.receiver = receiver = Receiver(self.divisor)
        m.submodules.transmitter = transmitter = Transmitter(self.divisor)
        m.submodules.requests, m.submodules.responses = requests, responses
        m.submodules.engine = DomainRenamer("engine")(engine)
        connect(m, responses.bytes, transmitter.bytes)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            requests.data.eq(receiver.data),
            requests.strobe.eq(receiver.strobe),
            requests.busy.eq(responses.busy),
            responses.start.eq(requests.done),
            responses.op.eq(requests.op),
            responses.status.eq(requests.status),
            responses.latency.eq(engine.latency),
            engine.data.eq(requests.data),
            engine.put.eq(requests.put),
            engine.running.eq(running),
        ]
        for k in range(len(engine.output.streams)):
            connect(m, getattr(engine, f"words_{k}"), getattr(responses, f"words_{k}"))
        with m.If(requests.done):
            good = requests.status == Status.OK
            m.d.sync += running.eq(good & (requests.op == Op.RUN))
        with m.Elif(~responses.busy):
            m.d.sync += running.eq(0)
        return m


class _Engine(wiring.Component):
    """The network between buffers that hold a frame of each stream.

    ``latency``: cycles from its first beat in to the end of the last output.
    """

    data: Signal
    put: Signal
    running: Signal
    latency: Signal

    def __init__(self, design: Design) -> None:
        self.input, self.output = Record.of(design.inputs), Record.of(design.outputs)
        words: dict[str, wiring.Member] = {
            f"words_{k}": Out(stream.Signature(8)) for k in range(len(self.output.streams))
        }
        super().__init__(
            {
                "data": In(8),
                "put": In(len(self.input.streams)),
                "running": In(1),
                "latency": Out(32),
                **words,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports: dict[str, object] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        moves, ends = [], []
        for k, (name, item) in enumerate(self.input.streams.items()):
            queue = m.submodules[f"heard_{k}"] = Queue(8, _bytes(item))
            gears = m.submodules[f"unpack_{k}"] = Unpacker(item, word=1)
            m.d.comb += [
                queue.data.eq(self.data),
                queue.push.eq(self.put[k]),
                queue.give.eq(self.put[k]),
                gears.words.valid.eq(queue.valid & self.running),
                gears.words.payload.eq(queue.head),
                queue.pop.eq(gears.words.valid & gears.words.ready),
            ]
            ports[f"i_{name}_valid"] = gears.beats.valid
            ports[f"i_{name}_data"] = gears.beats.payload
            ports[f"o_{name}_ready"] = gears.beats.ready
            moves.append(gears.beats.valid & gears.beats.ready)
        for k, (name, item) in enumerate(self.output.streams.items()):
            gears = m.submodules[f"pack_{k}"] = Packer(item, word=1)
            queue = m.submodules[f"said_{k}"] = Queue(8, _bytes(item))
            words = getattr(self, f"words_{k}")
            m.d.comb += [
                queue.data.eq(gears.words.payload),
                queue.push.eq(gears.words.valid & queue.credit),
                queue.give.eq(queue.push),
                gears.words.ready.eq(queue.credit),
                words.payload.eq(queue.head),
                words.valid.eq(queue.valid),
                queue.pop.eq(words.valid & words.ready),
            ]
            ports[f"i_{name}_ready"] = gears.beats.ready
            ports[f"o_{name}_valid"] = gears.beats.valid
            ports[f"o_{name}_data"] = gears.beats.payload
            ends.append(gears.ended)
        m.submodules.network = Instance(TOP, **ports)
        inside, seen = Signal(), Signal(len(ends))
        m.d.sync += seen.eq(seen | Cat(ends))
        with m.If((Cat(moves).any() | inside) & ~seen.all()):
            m.d.sync += [inside.eq(1), self.latency.eq(self.latency + 1)]
        return m


def _bytes(item: StreamRecord) -> int:
    """Bytes of a frame of a stream on the line."""
    return item.beat * item.layout.beats
