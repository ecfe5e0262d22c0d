"""Operands of the current firing: the beat it takes, or one kept from an earlier firing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.hw.memory import bram18, lutram_single
from hwc.hw.queue import Form, queue_form
from hwc.hw.resources import Resources
from hwc.hw.units.parts import pipe

__all__ = ["Replay"]


@dataclass(frozen=True)
class Replay:
    """A register of ``width`` bits behind ``depth`` beats that firings look at several times.

    ``form``: None if every firing takes its beat; "ff": the register itself keeps the one beat.
    """

    width: int
    depth: int
    form: Form | None

    @classmethod
    def of(cls, width: int, depth: int, rounds: int) -> Replay:
        """``depth`` beats, ``rounds`` times in a row, in the cheapest form."""
        if rounds == 1:
            return cls(width, depth, None)
        return cls(width, depth, "ff" if depth == 1 else queue_form(width, depth))

    @property
    def latency(self) -> int:
        """Cycles from a firing to its operands in the register."""
        return 2 if self.form == "bram" else 1

    def resources(self) -> Resources:
        """Estimated primitives; multiplexers may clear bits at no cost."""
        width = self.width
        if self.form is None or self.form == "ff":
            return Resources(1, width, 0, 0)
        if self.form == "bram":
            return Resources(width, 2 * width, 0, bram18(width, self.depth))
        return Resources(width + lutram_single(width, self.depth), width, 0, 0)

    def build(
        self,
        m: Module,
        beat: Value,
        take: Value,
        first: Value,
        address: Value | None,
        cleared: Callable[[Value], Value],
    ) -> Signal:
        """The operands, through ``cleared`` in the cycle before they are registered.

        ``take``: the firing takes ``beat``; ``first``: this is the round that takes; ``address``:
        which of the beats, for a memory. All in the cycle of the firing.
        """
        x = Signal(len(beat), name="operands", reset_less=True)
        if self.form is None:
            m.d.sync += x.eq(cleared(beat))
            return x
        if self.form == "ff":
            with m.If(take):
                m.d.sync += x.eq(cleared(beat))
            return x
        assert address is not None
        m.submodules.replay = ram = memory.Memory(shape=len(beat), depth=self.depth, init=[])
        ram.attrs["ram_style"] = "block" if self.form == "bram" else "distributed"
        write = ram.write_port()
        m.d.comb += [write.addr.eq(address), write.data.eq(beat), write.en.eq(take)]
        if self.form == "bram":
            read = ram.read_port()
            first, beat = pipe(m, first, 1, "first"), pipe(m, beat, 1, "fresh")
        else:
            read = ram.read_port(domain="comb")
        m.d.comb += read.addr.eq(address)
        m.d.sync += x.eq(cleared(Mux(first, beat, read.data)))
        return x
