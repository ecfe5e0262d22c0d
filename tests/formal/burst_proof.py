"""Bursts of one stream against the list of words that its frames are."""

from __future__ import annotations

from types import ModuleType

from amaranth.hdl import Cat, Fragment, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout
from hwc.hw.shell import walker
from hwc.hw.shell.record import WORD, StreamRecord
from hwc.hw.shell.walker import BURST

from .look import registers, say, suppose, witness

ADDRESS = 16
"""Bits of an address here: sixteen pages."""
FRAMES = 7
"""Most frames of a run here."""


def stream_record(words: int, offset: int = 0) -> StreamRecord:
    """A stream whose frames have this many words."""
    return StreamRecord(Layout(Type((words * WORD,), 0, 255), (WORD,)), offset)


class WalkerProof(wiring.Component):
    """A walker that is started at will and whose bursts are taken at any time.

    The reference is ``todo``, the words not issued yet, ``place``, the address of the next one,
    and ``at``, how many of its frame went before it. What only helps the induction is left out
    unless ``inside``. ``within``: a burst is there after fewer idle cycles than that, as long as
    words are left and ``most`` allows one.
    """

    start: Signal
    base: Signal
    frames: Signal
    most: Signal
    take: Signal

    def __init__(
        self,
        words: int,
        gap: int = 0,
        *,
        module: ModuleType = walker,
        inside: bool = True,
        within: int | None = None,
    ) -> None:
        self.words = words
        self.gap = gap
        self.module = module
        self.inside = inside
        self.within = within
        super().__init__(
            {
                "start": In(1),
                "base": In(ADDRESS),
                "frames": In(range(FRAMES + 1)),
                "most": In(range(BURST + 1)),
                "take": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        record, stride = stream_record(self.words, 3 * WORD), (self.words + self.gap) * WORD
        dut = self.module.Walker(record, stride, ADDRESS)
        m.submodules.dut = fragment = Fragment.get(dut, None)
        inner = registers(fragment)
        for name in ("start", "base", "frames", "most"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        m.d.comb += dut.issue.eq(self.take & (dut.size != 0))
        suppose(m, self.most <= BURST, self.base[:3] == 0)
        todo, place, at, began, after = self._reference(m, dut)
        going = dut.size != 0
        say(
            m,
            length=dut.size <= BURST,
            page=~going | (dut.addr[3:12] + dut.size <= 4096 // WORD),
            aligned=dut.addr[:3] == 0,
            in_place=~going | (dut.addr == place),
            not_more_than_asked=dut.size <= todo,
            nothing_before_start=began | ~going,
            in_frame=(after <= self.words) if self.gap else 1,
        )
        if self.inside:
            say(m, unborn=began | (todo == 0), place=place[:3] == 0)
            self._state(m, dut, inner, todo, place, at)
        self._soon(m, dut, todo)
        longest = min(BURST, self.words if self.gap else FRAMES * self.words)
        whole = (after == self.words) if self.gap else (todo == dut.size)
        at_page = dut.addr[3:12] + dut.size == 4096 // WORD
        witness(
            m,
            full=dut.size == longest,
            cut=at_page & going & ~whole & (dut.size < BURST) if longest > 1 else at_page,
            done=began & (todo == 0) & (place != 0) & ~self.start & (dut.addr[12:] == 1),
        )
        return m

    def _reference(self, m: Module, dut: walker.Walker) -> tuple[Signal, ...]:
        """``todo``, ``place``, ``at``, whether there was a start, and ``at`` after the burst."""
        todo = Signal(range(FRAMES * self.words + 1))
        place, at = Signal(ADDRESS), Signal(range(self.words))
        began, after = Signal(), Signal(range(self.words + BURST))
        m.d.comb += after.eq(at + dut.size)
        with m.If(self.start):
            m.d.sync += [
                began.eq(1),
                todo.eq(self.frames * self.words),
                place.eq(self.base + 3 * WORD),
                at.eq(0),
            ]
        with m.Elif(dut.issue):
            m.d.sync += todo.eq(todo - dut.size)
            if self.gap:
                ends = after == self.words
                jump = Mux(ends, self.gap * WORD, 0)
                m.d.sync += [at.eq(Mux(ends, 0, after)), place.eq(place + dut.size * WORD + jump)]
            else:
                m.d.sync += place.eq(place + dut.size * WORD)
        return todo, place, at, began, after

    def _state(
        self,
        m: Module,
        dut: walker.Walker,
        inner: dict[str, Signal],
        todo: Signal,
        place: Signal,
        at: Signal,
    ) -> None:
        """How the registers of the walker and the reference belong together."""
        left, rest, words = inner["_64"], inner["_32"], self.words
        say(
            m,
            size_fits=(dut.size <= left) & ((dut.size == 0) | inner["fresh"]),
            few_frames=rest <= FRAMES,
        )
        if not self.gap:
            term = inner["term"]
            steps = [(term == words << i) & (rest <= FRAMES >> i) for i in range(3)]
            rests = Mux(rest == 0, 0, rest[:3] * term[: (4 * words).bit_length()])
            say(
                m,
                term=(rest == 0) | Cat(*steps).any(),
                sum=todo == left + rests,
                pauses=(rest == 0) | (dut.size == 0),
                addr=dut.addr == place,
            )
            return
        ahead = inner["place"]
        say(
            m,
            sum=(todo == left + rest[:3] * words) & (left <= words),
            addr=(left == 0) | ((dut.addr == place) & (at == words - left)),
            aligned_ahead=ahead[:3] == 0,
            between=(left != 0) | ((at == 0) & ((rest == 0) | (ahead == place))),
            ahead=(left == 0) | (ahead == (place + ((left[:8] + self.gap) << 3))[:ADDRESS]),
        )

    def _soon(self, m: Module, dut: walker.Walker, todo: Signal) -> None:
        if self.within is None:
            return
        idle = Signal(range(self.within + 1))
        waits = (todo != 0) & (self.most != 0) & (dut.size == 0) & ~self.start
        m.d.sync += idle.eq(Mux(waits, idle + 1, 0))
        say(m, soon=idle < self.within)
