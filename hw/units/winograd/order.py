"""Codes of whole tiles, output by output, become pixels with all of their outputs."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import memory

from hwc.hw.memory import bram18, lutram
from hwc.hw.queue import queue_form
from hwc.hw.resources import Resources
from hwc.hw.sequencer import Control
from hwc.hw.units.mux import mux_luts, pick
from hwc.hw.units.parts import pipe, pipe_resources, step_bits

__all__ = ["Order"]


@dataclass(frozen=True)
class Order:
    """A memory of two tiles, one of which is written while the other leaves.

    A word is what ``outs`` steps write: ``beats`` times ``pixels`` pixels, each of ``size`` bits.
    """

    size: int
    outs: int
    beats: int
    pixels: int

    latency = 2
    """Cycles from an address to the beat."""

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.size * self.beats * self.pixels

    @property
    def depth(self) -> int:
        """Words: two tiles, each from a power of two on."""
        return 2 << step_bits(self.outs)

    @property
    def block(self) -> bool:
        """Whether it is made of block RAM."""
        return queue_form(self.width, self.depth) == "bram"

    def resources(self, wait: int) -> Resources:
        """Estimated primitives; addresses of both sides come ``wait`` cycles late."""
        beat = self.size * self.pixels
        total = Resources(mux_luts(self.beats) * beat + 2, beat + 2, 0, 0)
        address = step_bits(self.outs) + 1
        total += pipe_resources(1, wait) * (2 * address + step_bits(self.beats) + 1)
        if self.block:
            return total + Resources(0, 0, 0, bram18(self.width, self.depth))
        return total + Resources(lutram(self.width, self.depth), self.width, 0, 0)

    def build(
        self, m: Module, word: Value, main: Control, last: Value, emit: Control, wait: int
    ) -> Signal:
        """The beat of each ``emit`` firing, ``wait`` and ``latency`` cycles later.

        ``word`` belongs to the ``main`` firing ``wait`` cycles ago, the ``last`` one of its
        outputs. ``emit`` waits for these firings, and they for ``emit`` two tiles before.
        """
        m.submodules.order = ram = memory.Memory(shape=self.width, depth=self.depth, init=[])
        ram.attrs["ram_style"] = "block" if self.block else "distributed"
        write, read = ram.write_port(), ram.read_port()
        done = Signal(name="order_done")
        m.d.comb += done.eq(main.fire & last)
        m.d.comb += [
            write.en.eq(pipe(m, done, wait, "order_write")),
            write.addr.eq(self._address(m, done & main.last["out"], main, wait, "order_in")),
            write.data.eq(word),
        ]
        ends = emit.fire & emit.last["out"] & emit.last["pixel"]
        m.d.comb += read.addr.eq(self._address(m, ends, emit, wait, "order_out"))
        step = pipe(m, emit.index["pixel"][: step_bits(self.beats)], wait + 1, "order_pixel")
        beat = self.size * self.pixels
        parts = {k: read.data[k * beat :][:beat] for k in range(self.beats)}
        out = Signal(beat, name="order_beat", reset_less=True)
        m.d.sync += out.eq(pick(m, step, parts, "order_part"))
        return out

    def _address(self, m: Module, ends: Value, side: Control, wait: int, name: str) -> Value:
        """Where a side is: its step of outputs, and which of the two tiles, ``wait`` cycles ago."""
        tile = Signal(name=f"{name}_tile")
        with m.If(ends):
            m.d.sync += tile.eq(~tile)
        out = side.index["out"][: step_bits(self.outs)]
        return pipe(m, Cat(out, tile), wait, name)
