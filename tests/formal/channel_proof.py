"""The address channel of one direction, and who may go next on it."""

from __future__ import annotations

from types import ModuleType

from amaranth.hdl import Array, Fragment, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwc.hw.shell import arbiter, bursts
from hwc.hw.shell.record import WORD, Record

from .burst_proof import ADDRESS, stream_record
from .look import registers, say, suppose, witness


class ArbiterProof(wiring.Component):
    """Requests and turns are free; ``behind`` counts the turns of others while one of them asks."""

    requests: Signal
    next: Signal

    def __init__(self, count: int, *, module: ModuleType = arbiter, inside: bool = True) -> None:
        self.count = count
        self.module = module
        self.inside = inside
        super().__init__({"requests": In(count), "next": In(1)})

    def elaborate(self, platform: object) -> Module:
        m, count = Module(), self.count
        dut = self.module.RoundRobin(count)
        m.submodules.dut = fragment = Fragment.get(dut, None)
        last = registers(fragment).get("last", Signal())
        m.d.comb += [dut.requests.eq(self.requests), dut.next.eq(self.next)]
        say(
            m,
            valid_iff_asked=dut.valid == self.requests.any(),
            only_who_asks=~dut.valid | ((1 << dut.grant) & self.requests).any(),
        )
        for k in range(count):
            behind = Signal(range(count + 1), name=f"behind_{k}")
            other = self.requests[k] & (dut.grant != k)
            with m.If(~self.requests[k]):
                m.d.sync += behind.eq(0)
            with m.Elif(self.next):
                m.d.sync += behind.eq(Mux(other, behind + 1, 0))
            say(m, **{f"fair_{k}": behind < count})
            if self.inside:
                away = Mux(last < k, k - last, k + count - last)
                say(m, **{f"nearer_{k}": behind + away <= count}, in_range=last < count)
            witness(m, **{f"last_of_all_{k}": behind == count - 1})
        return m


class ChannelProof(wiring.Component):
    """``Bursts`` of streams with frames of these words; rooms, the bus and the end of each burst
    that the bus has taken are free. ``watch`` picks a burst, whose turn as ``head`` has to come.
    """

    start: Signal
    stop: Signal
    base: Signal
    frames: Signal
    hold: Signal
    ended: Signal
    ready: Signal
    watch: Signal

    def __init__(
        self,
        words: tuple[int, ...],
        *,
        eager: bool,
        module: ModuleType = bursts,
        inside: bool = True,
    ) -> None:
        self.module = module
        self.inside = inside
        self.eager = eager
        places = [WORD * sum(words[:k]) for k in range(len(words))]
        items = zip(words, places, strict=True)
        self.record = Record({f"s{k}": stream_record(*item) for k, item in enumerate(items)})
        bits = ("start", "stop", "hold", "ended", "ready", "watch")
        rooms = {f"room_{k}": In(range(33)) for k in range(len(words))}
        super().__init__(
            {name: In(1) for name in bits} | {"base": In(ADDRESS), "frames": In(3)} | rooms
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.module.Bursts(self.record, ADDRESS, 32, eager=self.eager)
        m.submodules.dut = fragment = Fragment.get(dut, None)
        rooms = [f"room_{k}" for k in range(len(self.record.streams))]
        for name in ("start", "stop", "base", "frames", "hold", "ended", "ready", *rooms):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        taken, asked = Signal(range(4 * self.module.UNDER_WAY)), Signal()
        m.d.sync += [taken.eq(taken + (dut.valid & self.ready) - self.ended), asked.eq(dut.issue)]
        suppose(m, ~self.ended | (taken != 0), self.base[:3] == 0)
        waited, addr, size = Signal(), Signal(ADDRESS), Signal(4)
        m.d.sync += [waited.eq(dut.valid & ~self.ready), addr.eq(dut.addr), size.eq(dut.len)]
        room = Array(getattr(self, name) for name in rooms)[dut.asked.channel]
        say(
            m,
            page=~dut.valid | (dut.addr[3:12] + dut.len < 4096 // WORD),
            aligned=~dut.valid | (dut.addr[:3] == 0),
            stays=~waited | (dut.valid & (dut.addr == addr) & (dut.len == size)),
            room=~dut.issue | ((dut.asked.size <= room) & (dut.asked.size != 0)),
            not_held=~dut.issue | ~(self.hold | self.stop | dut.valid),
            under_way=(taken + dut.valid <= self.module.UNDER_WAY),
            idle=dut.idle == ((taken == 0) & ~dut.valid),
            asked_is_sent=asked <= dut.valid,
        )
        if self.inside:
            self._state(m, registers(fragment), taken + dut.valid)
        else:
            self._order(m, dut, taken)
        return m

    def _state(self, m: Module, inner: dict[str, Signal], under_way: Value) -> None:
        last = inner.get("grant.last", Signal())
        say(m, counted=inner["under_way"] == under_way, turn=last < len(self.record.streams))
        for k in range(len(self.record.streams)):
            at = f"walker_{k}."
            size, addr, left = inner[f"{at}size"], inner[f"{at}addr"], inner[f"{at}_64"]
            say(
                m,
                walker_page=(size == 0) | (addr[3:12] + size <= 4096 // WORD),
                walker_size=(size <= left) & (size <= 16) & ((size == 0) | inner[f"{at}fresh"]),
                walker_aligned=addr[:3] == 0,
            )
            if f"{at}place" in inner:
                say(m, walker_ahead=inner[f"{at}place"][:3] == 0)

    def _order(self, m: Module, dut: bursts.Bursts, taken: Signal) -> None:
        """A watched burst is the head once those before it have ended and the bus has taken it."""
        watching, ahead = Signal(), Signal.like(taken)
        value = Signal.like(dut.asked.as_value())
        with m.If(self.watch & dut.issue & ~watching):
            m.d.sync += [watching.eq(1), ahead.eq(taken - self.ended), value.eq(dut.asked)]
        with m.Elif(self.ended):
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(watching & (ahead != 0))]
        turn = watching & (ahead == 0) & (taken != 0)
        say(m, head_is_oldest=~turn | (dut.head.as_value() == value))
        witness(
            m,
            turn=turn & (taken == 3),
            last=turn & (dut.head.channel == len(self.record.streams) - 1),
        )
