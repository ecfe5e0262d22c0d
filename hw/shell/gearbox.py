"""Between words of the bus and beats of a stream."""

from __future__ import annotations

import math

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.shell.record import WORD, StreamRecord

__all__ = ["Packer", "Unpacker"]


class _Gears:
    """Sizes in units, the largest pieces that words and beats are both made of."""

    def __init__(self, record: StreamRecord, word: int) -> None:
        unit = math.gcd(record.beat, word)
        self.bits = 8 * unit
        self.word, self.beat = word // unit, record.beat // unit
        self.room = self.word + self.beat
        """Units held at most."""


class Unpacker(wiring.Component):
    """Words of a frame to its beats; what the last word has left over is dropped.

    A word is ``word`` bytes. A beat is offered from the cycle after its last word came; one word
    and one beat a cycle can move.
    """

    words: stream.Interface
    beats: stream.Interface

    def __init__(self, record: StreamRecord, word: int = WORD) -> None:
        self.record = record
        self.word = word
        super().__init__(
            {
                "words": In(stream.Signature(8 * word)),
                "beats": Out(stream.Signature(record.layout.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gears, layout = _Gears(self.record, self.word), self.record.layout
        held = Signal(gears.room * gears.bits)
        count = Signal(range(gears.room + 1))
        beat = Signal(range(max(2, layout.beats)))
        last, left, coming = Signal(), Signal.like(count), Signal.like(beat)
        give, take = Signal(), Signal()
        element = 8 * self.record.element
        m.d.comb += [
            self.beats.valid.eq(count >= gears.beat),
            self.beats.payload.eq(
                Cat(
                    held[i * element : i * element + layout.type.width]
                    for i in range(layout.elements)
                )
            ),
            give.eq(self.beats.valid & self.beats.ready),
            last.eq(beat == layout.beats - 1),
            left.eq(Mux(give, Mux(last, 0, count - gears.beat), count)),
            coming.eq(Mux(give, Mux(last, 0, beat + 1), beat)),
            # The next frame's first word comes after this one's last beat went, with its padding:
            # not while that beat is held, nor in the cycle that makes it the next one to go.
            self.words.ready.eq(
                (left <= gears.room - gears.word)
                & ~((coming == layout.beats - 1) & (left >= gears.beat))
            ),
            take.eq(self.words.valid & self.words.ready),
        ]
        rest = Mux(give, held[gears.beat * gears.bits :], held)
        step = Signal.like(held)
        with m.Switch(left):
            for n in range(gears.room - gears.word + 1):
                with m.Case(n):
                    kept = rest[: n * gears.bits]
                    m.d.comb += step.eq(Cat(kept, self.words.payload))
        with m.If(take):
            m.d.sync += held.eq(step)
        with m.Elif(give):
            m.d.sync += held.eq(rest)
        m.d.sync += count.eq(left + Mux(take, gears.word, 0))
        with m.If(give):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        return m


class Packer(wiring.Component):
    """Beats of a frame to its words, elements extended to whole bytes, the last word padded with
    zeros. A word is ``word`` bytes. ``ended`` is 1 in the cycle in which the last beat of a frame
    moves."""

    beats: stream.Interface
    words: stream.Interface
    ended: Signal

    def __init__(self, record: StreamRecord, word: int = WORD) -> None:
        self.record = record
        self.word = word
        super().__init__(
            {
                "beats": In(stream.Signature(record.layout.width)),
                "words": Out(stream.Signature(8 * word)),
                "ended": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gears, layout = _Gears(self.record, self.word), self.record.layout
        held = Signal((gears.room + gears.word) * gears.bits)
        count = Signal(range(gears.room + gears.word + 1))
        beat = Signal(range(max(2, layout.beats)))
        give, take, last = Signal(), Signal(), Signal()
        left = Signal.like(count)
        m.d.comb += [
            self.words.valid.eq(count >= gears.word),
            self.words.payload.eq(held),
            give.eq(self.words.valid & self.words.ready),
            left.eq(Mux(give, count - gears.word, count)),
            self.beats.ready.eq(left <= gears.word),
            take.eq(self.beats.valid & self.beats.ready),
            last.eq(beat == layout.beats - 1),
            self.ended.eq(take & last),
        ]
        rest = Mux(give, held[gears.word * gears.bits :], held)
        step, after = Signal.like(held), Signal.like(count)
        whole = self._extended()
        with m.Switch(left):
            for n in range(gears.word + 1):
                with m.Case(n):
                    full = n + gears.beat
                    padded = -(-full // gears.word) * gears.word
                    m.d.comb += [
                        step.eq(Cat(rest[: n * gears.bits], whole)),
                        after.eq(Mux(last, padded, full)),
                    ]
        with m.If(take):
            m.d.sync += [held.eq(step), count.eq(after), beat.eq(Mux(last, 0, beat + 1))]
        with m.Elif(give):
            m.d.sync += [held.eq(rest), count.eq(left)]
        return m

    def _extended(self) -> Value:
        """The elements of a beat in whole bytes."""
        kind, size = self.record.layout.type, 8 * self.record.element
        parts = []
        for i in range(self.record.layout.elements):
            value = self.beats.payload[i * kind.width : (i + 1) * kind.width]
            sign = value[-1] if kind.signed and not kind.bipolar else Const(0, 1)
            parts.append(Cat(value, sign.replicate(size - kind.width)))
        return Cat(*parts)
