"""Datapath of the line buffer: memories, their addresses, and the multiplexers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.compiler.graph import Type
from hwc.hw.queue import queue_form
from hwc.hw.unit import Datapath, Unit
from hwc.hw.units.mux import pick
from hwc.hw.units.parts import lookup, pipe
from hwc.hw.units.window.plan import WindowPlan, carries

__all__ = ["WindowPath"]

Reads = list[list[memory.ReadPort]]
Writes = list[list[memory.WritePort]]


class WindowPath(Datapath):
    """Free-running: indices -> address -> memory -> row multiplexer -> column multiplexer -> pad.

    Writes are as late after their firing as reads are presented to the memory after theirs, so
    that the order of firings is the order in the memory and no address is read while written.
    """

    def __init__(self, unit: Unit, plan: WindowPlan) -> None:
        super().__init__(unit)
        self.plan = plan
        self.y_type = unit.outputs()["y"].type
        self.steps: list[Value] = []
        """When each loop of ``emit`` steps on, inner loop first, and when the frame ends."""

    def elaborate(self, platform: object) -> Module:
        m, p = Module(), self.plan
        inner: Value = Const(1)
        for name, count in reversed(p.loops):
            if count > 1:
                self.steps.append(inner & ~self.ctl["emit"].last[name])
                inner = inner & self.ctl["emit"].last[name]
        self.steps.append(inner)
        reads, writes = self._memories(m)
        self._load(m, writes)
        slot = self._slot(m)
        turn, at = self._addresses(m)
        if p.shared_slots > 1:
            base = lookup(slot, self._slot_bases(), p.address_width)
            at = [pipe(m, (a + base)[: len(a)], 1, f"address_{b}") for b, a in enumerate(at)]
        for row in reads:
            for port, address in zip(row, at, strict=True):
                m.d.comb += port.addr.eq(address)
        self._output(m, [[port.data for port in row] for row in reads], slot, turn)
        return m

    def _memories(self, m: Module) -> tuple[Reads, Writes]:
        """One memory for each row bank and column bank, read through a register."""
        p = self.plan
        form = queue_form(p.word_width, p.depth)
        reads: Reads = []
        writes: Writes = []
        for s in range(p.row_banks):
            rams = [
                memory.Memory(shape=p.word_width, depth=p.depth, init=[]) for _ in range(p.banks)
            ]
            for b, ram in enumerate(rams):
                ram.attrs["ram_style"] = "block" if form == "bram" else "distributed"
                m.submodules[f"ram_{s}_{b}"] = ram
            reads.append([ram.read_port() for ram in rams])
            writes.append([ram.write_port() for ram in rams])
        return reads, writes

    def _slot_bases(self) -> list[int]:
        return [s * self.plan.pitch for s in range(self.plan.slots)]

    def _load(self, m: Module, writes: Writes) -> None:
        """Write each beat to the next word of its banks."""
        p, ctl = self.plan, self.ctl["load"]
        groups = p.banks // p.fold.pixels_in
        at = Signal(p.address_width, name="load_at")
        group = Signal(range(groups), name="load_group")
        slot = Signal(range(p.slots), name="load_slot")
        work = Signal(name="load_work")
        m.d.comb += work.eq(ctl.fire & ctl.address.get("used", Const(1)))
        with m.If(work):
            with m.If(~ctl.last["chunk"]):
                m.d.sync += at.eq(at + 1)
            with m.Elif(~ctl.last["col"]):
                wrap = group == groups - 1
                m.d.sync += [
                    at.eq(at + Mux(wrap, 1, 1 - p.chunks)),
                    group.eq(Mux(wrap, 0, group + 1)),
                ]
            with m.Else():
                m.d.sync += [
                    at.eq(at + 1 if p.ring else 0),
                    group.eq(0),
                    slot.eq(Mux(slot == p.slots - 1, 0, slot + 1)),
                ]
        address: Value = at
        if p.shared_slots > 1:
            address = (at + lookup(slot, self._slot_bases(), len(at)))[: len(at)]
        address = pipe(m, address, p.address_stages, "load_address")
        beat = pipe(m, self.x["x"], p.address_stages, "load_x")
        for s, row in enumerate(writes):
            for b, port in enumerate(row):
                mine = work & (group == b // p.fold.pixels_in)
                if p.row_banks > 1:
                    mine = mine & (slot == s)
                m.d.comb += [
                    port.en.eq(pipe(m, mine, p.address_stages, f"load_en_{s}_{b}")),
                    port.addr.eq(address),
                    port.data.eq(beat.word_select(b % p.fold.pixels_in, p.word_width)),
                ]

    def _walk(
        self, m: Module, state: Value, tables: Sequence[Sequence[int]], width: int, name: str
    ) -> Signal:
        """``tables[step][state]`` for the step that this firing takes."""
        out = Signal(width, name=name)
        for when, table in zip(self.steps, tables, strict=True):
            low = [v & ((1 << width) - 1) for v in table]
            with m.If(when):
                m.d.comb += out.eq(low[0] if len(set(low)) == 1 else lookup(state, low, width))
        return out

    def _slot(self, m: Module) -> Signal:
        """Slot of the first row that a firing reads."""
        p = self.plan
        slot = Signal(range(p.slots), name="slot", init=-p.top % p.slots)
        jumps = carries(p.loops, {"oy": p.sh, "ky": p.dh}, p.height)
        tables = [[(s + jump) % p.slots for s in range(p.slots)] for jump in jumps]
        after = self._walk(m, slot, tables, len(slot), "slot_after")
        with m.If(self.ctl["emit"].fire):
            m.d.sync += slot.eq(after)
        return slot

    def _addresses(self, m: Module) -> tuple[Signal, list[Value]]:
        """The bank of the first column that a firing reads, and the word of each bank."""
        p = self.plan
        turns, first = range(p.banks), -p.left % p.banks
        turn = Signal(turns, name="turn", init=first)
        columns = carries(p.loops, {"ox": p.step, "kx": p.dw})
        chunks = carries(p.loops, {"g": p.counts["c"], "c": 1})
        pitch = p.pitch if p.ring else 0
        rows = carries(p.loops, {"oy": pitch}, pitch * p.out_rows)
        turned = [[(t + jump) % p.banks for t in turns] for jump in columns]
        after = self._walk(m, turn, turned, len(turn), "turn_after")
        with m.If(self.ctl["emit"].fire):
            m.d.sync += turn.eq(after)
        words: list[Value] = []
        for b in turns:
            start = (p.word(b, first) - (p.left + first) // p.banks) * p.chunks
            word = Signal(p.address_width, name=f"word_{b}", init=start % (1 << p.address_width))
            tables = [
                [p.word_step(b, t, jump) * p.chunks + chunk + row for t in turns]
                for jump, chunk, row in zip(columns, chunks, rows, strict=True)
            ]
            delta = self._walk(m, turn, tables, len(word), f"word_{b}_step")
            with m.If(self.ctl["emit"].fire):
                m.d.sync += word.eq(word + delta)
            words.append(word)
        return turn, words

    def _output(self, m: Module, data: list[list[Signal]], slot: Value, turn: Value) -> None:
        """Pick rows and columns, put in the padding, and order the elements of the beat."""
        p = self.plan
        delay = p.address_stages + 1
        slot, turn = pipe(m, slot, delay, "slot"), pipe(m, turn, delay + p.cut, "turn")
        words: dict[tuple[int, int], Value] = {}
        for ky in range(p.par_rows):
            banks: list[Value] = []
            for b in range(p.banks):
                rows = {s: data[(s + ky * p.dh) % p.row_banks][b] for s in p.bases()}
                row = pick(m, slot, rows, f"row_{ky}_{b}")
                banks.append(pipe(m, row, int(p.cut), f"cut_{ky}_{b}"))
            for d in p.offsets:
                ways = {t: banks[(t + d) % p.banks] for t in p.turns()}
                words[ky, d] = pick(m, turn, ways, f"column_{ky}_{d}")
        inside = self._inside(m, delay + p.cut)
        taps: dict[tuple[int, int, int], Value] = {}
        for pixel, ky, kx in p.read_places():
            word = self._convert(words[ky, pixel * p.hop + kx * p.dw])
            ok = inside.get((pixel, ky, kx))
            taps[pixel, ky, kx] = self._masked(m, word, ok, f"tap_{pixel}_{ky}_{kx}")
        if p.fold.shift:
            taps = self._shifted(m, taps, delay + p.cut)
        parts: list[Value] = []
        size = p.lane_tile * self.y_type.width
        for pixel in range(p.fold.pixels):
            window = [word for (i, _, _), word in sorted(taps.items()) if i == pixel]
            parts += [tap.word_select(g, size) for g in range(p.group_tile) for tap in window]
        m.d.comb += self.y["y"].eq(Cat(*parts))

    def _masked(self, m: Module, word: Value, ok: Value | None, name: str) -> Value:
        """The word, or padding where ``ok`` is 0."""
        out = Signal(len(word), name=name)
        m.d.comb += out.eq(word if ok is None else Mux(ok, word, self._fill()))
        return out

    def _shifted(
        self, m: Module, read: Mapping[tuple[int, int, int], Value], delay: int
    ) -> dict[tuple[int, int, int], Value]:
        """All column taps: the one just read, and those read before it in this row."""
        p, ctl = self.plan, self.ctl["emit"]
        fire = pipe(m, ctl.fire, delay, "shift")
        taps: dict[tuple[int, int, int], Value] = {}
        fresh: dict[int, Value] = {}
        for kx in range(p.par_columns):
            if p.stale_tap(kx):
                since = (p.par_columns - 1 - kx) * p.dw
                fresh[kx] = pipe(m, ctl.index["ox"] >= since, delay, f"fresh_{kx}")
        for (_, ky, _), word in read.items():
            for kx in reversed(range(p.par_columns)):
                taps[0, ky, kx] = self._masked(m, word, fresh.get(kx), f"shifted_{ky}_{kx}")
                for n in range(p.shift_depth if kx else 0):
                    stage = Signal(len(word), name=f"shift_{ky}_{kx}_{n}", reset_less=True)
                    with m.If(fire):
                        m.d.sync += stage.eq(word)
                    word = stage
        return taps

    def _inside(self, m: Module, delay: int) -> dict[tuple[int, int, int], Value]:
        """For each (pixel, ky, kx) that is read and is ever padding: whether it is not."""
        p, address = self.plan, self.ctl["emit"].address
        out: dict[tuple[int, int, int], Value] = {}
        for pixel, ky, kx in p.read_places():
            ok: list[Value] = []
            if p.padded_row(ky):
                ok.append(_within(address["y"], ky * p.dh, p.height))
            if p.padded_column(pixel, kx):
                ok.append(_within(address["x"], pixel * p.hop + kx * p.dw, p.width))
            if ok:
                out[pixel, ky, kx] = pipe(m, Cat(*ok).all(), delay, f"inside_{pixel}_{ky}_{kx}")
        return out

    def _fill(self) -> Const:
        """A word of padding."""
        y, lanes = self.y_type, self.plan.fold.lanes
        fill = self.plan.op.fill
        code = int(fill > 0) if y.bipolar else fill & ((1 << y.width) - 1)
        return Const(sum(code << (i * y.width) for i in range(lanes)), lanes * y.width)

    def _convert(self, word: Value) -> Value:
        """The elements of a word in the output's type, which the padding may have widened."""
        x, y = self.plan.x, self.y_type
        if (x.width, x.signed, x.bipolar) == (y.width, y.signed, y.bipolar):
            return word
        lanes = (word.word_select(i, x.width) for i in range(self.plan.fold.lanes))
        return Cat(*(_widen(lane, x, y.width) for lane in lanes))


def _widen(code: Value, x: Type, width: int) -> Value:
    """An element of type ``x`` as a number of ``width`` bits."""
    number = Mux(code, Const(1, 2), Const(-1, 2)).as_signed() if x.bipolar else code
    if x.signed:
        number = code.as_signed()
    out = Const(0, width)
    return (number + out)[:width]


def _within(value: Value, offset: int, size: int) -> Value:
    """Whether ``0 <= value + offset < size``."""
    return (value >= -offset) & (value < size - offset)
