"""The contract of a queue, as assertions around it."""

from __future__ import annotations

from amaranth.hdl import Fragment, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from hwc.hw.queue import Form, Queue

from .look import registers, say, suppose, witness


def _spied(kind: type[Queue]) -> type:
    """The queue with two more read ports on its memory, which nothing else sees."""

    class Spied(kind):
        spies: tuple[memory.ReadPort, ...] = ()

        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            if self.depth > 1:
                ram = m.submodules.ram
                self.spies = (ram.read_port(domain="comb"), ram.read_port(domain="comb"))
            return m

    return Spied


class QueueProof(wiring.Component):
    """A queue between a producer and a consumer that keep the rules and are free otherwise.

    ``watch`` picks any one beat as it is pushed: it has to come out in its place with its value,
    which for all choices together is order without loss, doubling or change. ``given`` counts
    reservations not pushed yet and ``held`` the contents. The producer may reserve without credit
    unless it has to ``obey``. What only helps the induction is left out unless ``inside``.
    """

    give: Signal
    push: Signal
    data: Signal
    pop: Signal
    watch: Signal

    def __init__(
        self,
        width: int,
        depth: int,
        form: Form,
        *,
        kind: type[Queue] = Queue,
        obey: bool = True,
        inside: bool = True,
    ) -> None:
        self.make = lambda: _spied(kind)(width, depth, form)
        self.obey = obey
        self.inside = inside
        bit = In(1)
        super().__init__({"give": bit, "push": bit, "data": In(width), "pop": bit, "watch": bit})

    def elaborate(self, platform: object) -> Module:
        m, queue = Module(), self.make()
        m.submodules.queue = fragment = Fragment.get(queue, None)
        inner = registers(fragment)
        for name in ("give", "push", "data", "pop"):
            m.d.comb += getattr(queue, name).eq(getattr(self, name))
        given, held = Signal(range(queue.depth + 2)), Signal(range(queue.depth + 2))
        m.d.sync += [
            given.eq(given + self.give - self.push),
            held.eq(held + self.push - self.pop),
        ]
        suppose(m, ~self.push | (given + self.give != 0), ~self.pop | (held != 0))
        if self.obey:
            suppose(m, ~self.give | queue.credit)
        say(
            m,
            overflow=given + held <= queue.depth,
            valid_iff_held=queue.valid == (held != 0),
            credit_iff_room=queue.credit == (given + held < queue.depth),
        )
        if self.inside:
            say(
                m,
                level_is_contents=inner["level"] == held,
                credits_add_up=inner["room"] + given + held == queue.depth,
            )
        self._stays(m, queue)
        self._order(m, queue, held, inner)
        return m

    def _stays(self, m: Module, queue: Queue) -> None:
        """What was offered or promised last cycle, and not taken, is there still."""
        waited, promised, head = Signal(), Signal(), Signal(queue.width)
        m.d.sync += [
            waited.eq(queue.valid & ~self.pop),
            promised.eq(queue.credit & ~self.give),
            head.eq(queue.head),
        ]
        say(
            m,
            data_stays=~waited | (queue.valid & (queue.head == head)),
            credit_stays=~promised | queue.credit,
        )

    def _order(self, m: Module, queue: Queue, held: Signal, inner: dict[str, Signal]) -> None:
        depth, spies = queue.depth, getattr(queue, "spies", ())
        watching, ahead, value = Signal(), Signal(range(depth + 1)), Signal(queue.width)
        begin = self.watch & self.push & ~watching
        with m.If(begin):
            m.d.sync += [watching.eq(1), ahead.eq(held - self.pop), value.eq(self.data)]
        with m.Elif(watching & self.pop):
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
        say(
            m,
            order=~watching | (ahead != 0) | (queue.valid & (queue.head == value)),
        )
        witness(
            m,
            full=held == depth,
            empty_again=~watching & (value.any()) & (held == 0),
            both=self.push & self.pop & (held == depth - 1) if depth > 1 else self.pop,
            deep=watching & (ahead == depth - 1),
            last_credit=~queue.credit & (held == 0),
        )
        if self.inside:
            say(m, watched_is_held=~watching | (ahead < held))
        if spies and self.inside:
            put, get, wrap = inner["put"], inner["get"], Signal(range(2 * depth))
            slot = Signal(range(2 * depth))
            m.d.comb += [
                wrap.eq(get + held),
                slot.eq(get + ahead),
                spies[0].addr.eq(Mux(slot >= depth, slot - depth, slot)),
                spies[1].addr.eq(get),
            ]
            say(
                m,
                pointers=(put == Mux(wrap >= depth, wrap - depth, wrap)) & (get < depth),
                watched_in_place=~watching | (spies[0].data == value),
                head_is_oldest=(held == 0) | (queue.head == spies[1].data),
            )
