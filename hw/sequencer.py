"""Control logic, generated from a process: when to fire, and the loop indices of the firing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value

from hwc.hw.schedule import Loops, Mask, Process, Sum

__all__ = ["Control", "sequence"]


@dataclass(frozen=True)
class Control:
    """What a datapath sees of one process, all of it valid in the cycle of a firing.

    ``index``, ``first`` and ``last`` are keyed by loop name. Names may repeat in other nests of
    the same process if the counts agree; otherwise each nest names its loops apart. Where a nest
    may stop, ``last`` of its innermost loop says that the loop ends with this firing, for which it
    looks at the condition: that may not look at ``last``. ``done`` are
    the firings that those who wait may count with this one: all of a round with the last of a loop
    that may stop, for nobody waits for less, else this one (then it is the ``fire`` bit).
    """

    fire: Signal
    done: Signal
    nest: Signal
    index: Mapping[str, Signal]
    first: Mapping[str, Signal]
    last: Mapping[str, Signal]
    address: Mapping[str, Signal]

    @classmethod
    def of(cls, process: Process) -> Control:
        counts: dict[str, int] = {}
        for nest in process.nests:
            for loop, count in nest.loops:
                counts[loop] = max(count, counts.get(loop, 1))
        names = dict.fromkeys(a for nest in process.nests for a in nest.addresses)
        p = process.name
        fire = Signal(name=f"{p}_fire")
        most = max((nest.inner for nest in process.nests if nest.stop), default=0)
        return cls(
            fire=fire,
            done=Signal(range(most + 1), name=f"{p}_done") if most else fire,
            # At least one bit each: Verilog has no signals of none.
            nest=Signal(range(max(2, len(process.nests))), name=f"{p}_nest"),
            index={k: Signal(range(max(2, n)), name=f"{p}_{k}") for k, n in counts.items()},
            first={k: Signal(name=f"{p}_{k}_first") for k in counts},
            last={k: Signal(name=f"{p}_{k}_last") for k in counts},
            address={a: _address(process, a) for a in names},
        )


def _of(sums: Mapping[str, Sum], name: str) -> Sum:
    return sums.get(name, Sum())


def _address(process: Process, name: str) -> Signal:
    """A register wide enough for the address of every firing, at first that of the first."""
    values = [_of(n.addresses, name).over(n.loops) for n in process.nests]
    lo, hi = min(int(v.min()) for v in values), max(int(v.max()) for v in values)
    return Signal(_between(lo, hi), name=f"{process.name}_{name}", init=int(values[0][0]))


def _between(lo: int, hi: int) -> Shape:
    """The narrowest shape for ``lo`` to ``hi``, but no narrower than a bit."""
    shape = Shape.cast(range(lo, hi + 1))
    return Shape(max(1, shape.width), shape.signed)


def sequence(
    m: Module,
    process: Process,
    control: Control,
    *,
    valid: Mapping[str, Value],
    credit: Mapping[str, Value],
    fired: Mapping[str, tuple[Value, int, int]],
    conditions: Mapping[str, Value],
) -> tuple[dict[str, Signal], dict[str, Signal]]:
    """Add the control of ``process`` to ``m``.

    Parameters
    ----------
    valid, credit
        Per input port: a beat waits. Per output port: every queue behind it has room.
    fired
        Per needed process: the firings that it does in this cycle (its ``done``), its firings per
        frame and how many frames it can be ahead of this process.
    conditions
        The datapath's condition bits.

    Returns
    -------
    The pop bit of each input port and the give bit of each output port, in the firing's cycle.
    """
    walk = _Walk(m, process, control, conditions)
    ok: list[Value] = []
    pops: dict[str, Signal] = {}
    gives: dict[str, Signal] = {}
    for ports, ready, out in ((process.takes, valid, pops), (process.gives, credit, gives)):
        for port in ports:
            masks = [n.takes.get(port) or n.gives.get(port) or Mask.never() for n in process.nests]
            want = Signal(name=f"{process.name}_{port}_want")
            m.d.comb += want.eq(walk.mask(masks))
            ok.append(~want | ready[port])
            bit = out[port] = Signal(name=f"{process.name}_{port}_move")
            m.d.comb += bit.eq(control.fire & want)
    for source, (fire, firings, lead) in fired.items():
        ok.append(walk.slack(source, fire, firings, lead))
    m.d.comb += control.fire.eq(Cat(*ok).all())
    if process.stops:
        walk.count()
    for name, signal in control.address.items():
        sums = [_of(n.addresses, name) for n in process.nests]
        delta = walk.delta(sums, 0, f"{process.name}_{name}_delta")
        with m.If(control.fire):
            m.d.sync += signal.eq(signal + delta)
    return pops, gives


class _Walk:
    """The counters of a process and everything that is a function of them."""

    def __init__(
        self, m: Module, process: Process, control: Control, conditions: Mapping[str, Value]
    ) -> None:
        self.m = m
        self.process = process
        self.control = control
        self.conditions = conditions
        self.carry: list[list[tuple[str, Value]]] = []
        """Per nest, inner loop first: the loop that steps on, and when."""
        self.ends: list[Signal] = []
        """Per nest: this is its last firing."""
        self.lasts: dict[int, Value] = {}
        """Per nest that may stop: this is the last firing of its innermost loop."""
        seen = dict.fromkeys(control.index)
        for k, nest in enumerate(process.nests):
            self._nest(k, nest.loops, seen)
        with m.If(control.fire):
            for k, end in enumerate(self.ends):
                after = (k + 1) % len(self.ends)
                with m.If(end & self._in(k)):
                    m.d.sync += control.nest.eq(after)

    def _in(self, k: int) -> Value:
        return Const(1) if len(self.process.nests) == 1 else self.control.nest == k

    def _nest(self, k: int, loops: Loops, seen: dict[str, None]) -> None:
        m, c = self.m, self.control
        end = Signal(name=f"{self.process.name}_end_{k}")
        self.ends.append(end)
        carries: list[tuple[str, Value]] = []
        stop = self.process.nests[k].stop
        inner: Value = Const(1)
        for loop, count in reversed(loops):
            index, first, last = c.index[loop], c.first[loop], c.last[loop]
            at_last = Signal(name=f"{self.process.name}_{loop}_at_last_{k}")
            m.d.comb += at_last.eq(index == count - 1 if count > 1 else 1)
            if stop and k not in self.lasts:
                self.lasts[k] = at_last
                with m.If(self.conditions[stop]):
                    m.d.comb += at_last.eq(1)
            if loop in seen:
                m.d.comb += first.eq(index == 0)
                del seen[loop]
            with m.If(self._in(k)):
                m.d.comb += last.eq(at_last)
            if count > 1:
                carries.append((loop, inner & ~at_last))
                with m.If(c.fire & self._in(k) & inner):
                    m.d.sync += index.eq(Mux(at_last, 0, index + 1))
            inner = inner & at_last
        m.d.comb += end.eq(inner)
        self.carry.append(carries)

    def count(self) -> None:
        """Drive the number of firings that are done with this one."""
        m, control = self.m, self.control
        for k, nest in enumerate(self.process.nests):
            ends = self.lasts.get(k, Const(1))
            with m.If(control.fire & self._in(k) & ends):
                m.d.comb += control.done.eq(nest.inner if nest.stop else 1)

    def mask(self, masks: list[Mask]) -> Value:
        """One bit: the mask of the current nest, at the current indices."""
        total: Value = Const(0)
        for k, (mask, nest) in enumerate(zip(masks, self.process.nests, strict=True)):
            for term in mask.terms:
                bit: Value = self._in(k)
                for loop, bits in term.table(nest.loops).items():
                    bit = bit & self._lookup(loop, bits)
                if term.condition is not None:
                    stops = term.condition == nest.stop
                    asked = self.lasts[k] if stops else self.conditions[term.condition]
                    bit = bit & (asked if term.polarity else ~asked)
                total = total | bit
        return total

    def _lookup(self, loop: str, bits: tuple[bool, ...]) -> Value:
        """A table of booleans at the loop's index; intervals become comparisons."""
        index = self.control.index[loop]
        ones = [i for i, b in enumerate(bits) if b]
        if not ones:
            return Const(0)
        lo, hi = ones[0], ones[-1]
        if len(ones) == 1:
            return index == lo
        if len(ones) == hi - lo + 1:
            low = index >= lo if lo else Const(1)
            return low & (index <= hi) if hi < len(bits) - 1 else low
        return Array(Const(int(b), 1) for b in bits)[index]

    def delta(self, sums: list[Sum], wrap: int, name: str) -> Signal:
        """By how much the sum changes with this firing; ``wrap`` is added when a frame ends."""
        cases: list[tuple[Value, Value | int]] = []
        bounds = [0]
        for k, (total, nest) in enumerate(zip(sums, self.process.nests, strict=True)):
            values = total.over(nest.loops)
            after = (k + 1) % len(sums)
            start = int(sums[after].over(self.process.nests[after].loops)[0])
            jump = start - int(values[-1]) + (wrap if after == 0 else 0)
            cases.append((self._in(k) & self.ends[k], jump))
            bounds.append(jump)
            _, linear, rest = total.split(nest.loops)
            counts = dict(nest.loops)
            back = 0
            for loop, _ in reversed(nest.loops):
                if counts[loop] == 1:
                    continue
                table = [
                    linear.get(loop, 0) * i + rest.get(loop, (0,) * counts[loop])[i]
                    for i in range(counts[loop])
                ]
                steps = [b - a + back for a, b in pairwise(table)]
                bounds += steps
                when = next(w for name_, w in self.carry[k] if name_ == loop)
                cases.append((self._in(k) & when, self._step(loop, steps)))
                back += table[0] - table[-1]
        out = Signal(_between(min(bounds), max(bounds)), name=name)
        for when, value in cases:
            with self.m.If(when):
                self.m.d.comb += out.eq(value)
        return out

    def _step(self, loop: str, steps: list[int]) -> Value | int:
        if all(s == steps[0] for s in steps):
            return steps[0]
        shape = Shape.cast(range(min(steps), max(steps) + 1))
        return Array(Const(s, shape) for s in [*steps, steps[-1]])[self.control.index[loop]]

    def slack(self, source: str, fire: Value, firings: int, lead: int) -> Value:
        """1 when the firings of ``source`` that this firing needs lie at least a cycle back.

        The register holds firings done minus firings needed, so the test is its sign bit.
        """
        process, nests = self.process, self.process.nests
        sums = [_of(n.needs, source) for n in nests]
        values = [s.over(n.loops) for s, n in zip(sums, nests, strict=True)]
        lo, hi = min(int(v.min()) for v in values), max(int(v.max()) for v in values)
        name = f"{process.name}_{source}_slack"
        # The source is at most at the end of the frame that its lead allows; and this process is
        # at most one step, over the end of a frame, past a need that was met.
        reach = range(-(hi - lo + firings), (lead + 1) * firings - lo + 1)
        slack = Signal(reach, name=name, init=-int(values[0][0]))
        delta = self.delta(sums, firings, f"{name}_delta")
        used = Signal.like(delta, name=f"{name}_used")
        self.m.d.comb += used.eq(Mux(self.control.fire, delta, 0))
        self.m.d.sync += slack.eq(slack + fire - used)
        free = [self._in(k) for k, n in enumerate(nests) if source not in n.needs]
        # Not `slack >= 0`: yosys makes a comparison of it, a carry chain in front of the next.
        out = ~slack[-1]
        for bit in free:
            out = out | bit
        return out
