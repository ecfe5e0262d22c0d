"""Numbers behind the line buffer: banks, slots, and who waits for whom. No hardware here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from hwc.compiler.graph import Type, Window
from hwc.hw.schedule import Loops
from hwc.hw.units.mux import mux_levels

__all__ = ["WindowFold", "WindowPlan", "carries", "lane_tiles", "legal_lanes"]

MUX_LEVELS = 3
"""Levels of multiplexers behind the memory from which they are cut by a register."""


@dataclass(frozen=True)
class WindowFold:
    """How much of a window moves at once.

    Parameters
    ----------
    lanes
        Channels of a beat, of the input and of the output.
    pixels_in
        Neighbouring pixels of an input beat.
    pixels
        Neighbouring window positions of an output beat.
    taps
        Taps of an output beat: 1, a row of the kernel (kw), or all of it (kh * kw).
    rows
        Row slots of the memory; 0: as many as full rate needs. At least the window's height
        (dilation included). More lets the loader run further ahead of the windows.
    shift
        Read one column at a time and keep the columns to its left in shift registers, instead of
        reading all columns of the window from banks: far fewer multiplexers, but the columns
        before the first window of each row take cycles without a beat.
    """

    lanes: int
    pixels_in: int = 1
    pixels: int = 1
    taps: int = 1
    rows: int = 0
    shift: bool = False


def carries(loops: Loops, coefficients: Mapping[str, int], wrap: int = 0) -> list[int]:
    """By how much ``sum(coefficient * index)`` changes when a loop steps on, inner loop first.

    One entry for each loop of more than one round, and a last one for the end of the nest, where
    all loops restart and ``wrap`` is added.
    """
    out, back = [], 0
    for name, count in reversed(loops):
        step = coefficients.get(name, 0)
        if count > 1:
            out.append(step - back)
        back += step * (count - 1)
    return [*out, wrap - back]


class WindowPlan:
    """All constants of a line buffer. Assumes that op, type and fold were checked.

    A *word* is one pixel of ``lanes`` channels. Columns lie in ``banks`` banks, column modulo
    banks, so that all columns read in one cycle come from different banks; with all taps in
    parallel each row slot is a set of banks of its own, otherwise slots share the banks. Rows
    take slots in turn, across frames too.
    """

    def __init__(self, op: Window, x: Type, fold: WindowFold) -> None:
        self.op, self.x, self.fold = op, x, fold
        self.height, self.width, self.channels = x.shape
        self.out_rows, self.out_columns = op.positions(self.height, self.width)
        (kh, kw), (self.sh, self.sw), (self.dh, self.dw) = op.kernel, op.stride, op.dilation
        self.top, _, pad_left, _ = op.padding
        self.span_rows = (kh - 1) * self.dh + 1
        self.span_columns = (kw - 1) * self.dw + 1
        # Taps of an output beat.
        self.par_rows = kh if fold.taps == kh * kw else 1
        self.par_columns = kw if fold.taps in (kw, kh * kw) else 1
        # A walk along a row visits window positions; with shift registers, single columns.
        self.walk_taps = 1 if fold.shift else kw
        """Columns that one visited position needs."""
        self.read_taps = min(self.par_columns, self.walk_taps)
        """How many of them are read at once."""
        self.hop = 1 if fold.shift else self.sw
        """Columns from one position to the next."""
        self.left = 0 if fold.shift else pad_left
        """Columns of padding before the first position."""
        self.lead = self.span_columns - 1 - pad_left
        """With shift registers, the last column of the first window."""
        self.positions = self.out_columns
        """Positions along a row."""
        if fold.shift:
            self.positions = (self.out_columns - 1) * self.sw + self.lead + 1
        in_group = self.channels // op.groups
        self.group_tile, self.lane_tile = lane_tiles(op, self.channels, fold.lanes)
        self.step = fold.pixels * self.hop
        """Columns from one step of the walk to the next."""
        self.chunks = -(-self.channels // fold.lanes)
        """Words of a pixel."""
        self.in_beats = -(-self.width // fold.pixels_in)
        self.loops: Loops = (
            ("oy", self.out_rows),
            ("ox", -(-self.positions // fold.pixels)),
            ("g", -(-op.groups // self.group_tile)),
            ("ky", kh // self.par_rows),
            ("kx", self.walk_taps // self.read_taps),
            ("c", -(-in_group // self.lane_tile)),
        )
        self.counts = dict(self.loops)
        self.per_position = math.prod(n for name, n in self.loops if name not in ("oy", "ox"))
        self.per_row = self.per_position * self.counts["ox"]

    @property
    def load_loops(self) -> Loops:
        """Loop nest of the loader."""
        return (("row", self.height), ("col", self.in_beats), ("chunk", self.chunks))

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Columns read at once, from the first one on."""
        pixels, taps = range(self.fold.pixels), range(self.read_taps)
        return tuple(sorted({i * self.hop + k * self.dw for i in pixels for k in taps}))

    def read_places(self) -> list[tuple[int, int, int]]:
        """What is read at once: (pixel, row tap, column tap)."""
        return list(product(range(self.fold.pixels), range(self.par_rows), range(self.read_taps)))

    @property
    def gives(self) -> list[bool]:
        """Along a row, which steps of the walk give beats."""
        if not self.fold.shift:
            return [True] * self.counts["ox"]
        late = (x - self.lead for x in range(self.counts["ox"]))
        return [x >= 0 and x % self.sw == 0 for x in late]

    @property
    def shift_depth(self) -> int:
        """Firings from a column tap to the next one on its right, in shift registers."""
        return self.dw * self.per_position

    def stale_tap(self, tap: int) -> bool:
        """Whether the shift register of column tap ``tap`` may hold columns of another row."""
        return self.fold.shift and self.lead < (self.par_columns - 1 - tap) * self.dw

    @cached_property
    def banks(self) -> int:
        """Fewest column banks for which ``offsets`` never collide, a multiple of ``pixels_in``."""
        banks = self.fold.pixels_in
        while len({d % banks for d in self.offsets}) < len(self.offsets):
            banks += self.fold.pixels_in
        return banks

    @cached_property
    def pitch(self) -> int:
        """Words of a bank that one row takes."""
        return -(-self.width // self.banks) * self.chunks

    @cached_property
    def ring(self) -> int:
        """Words of each bank that a kernel of one row goes round in; 0: row slots instead.

        A power of two, so that addresses wrap for free.
        """
        rows = [oy * self.sh - self.top for oy in range(self.out_rows)]
        if self.span_rows > 1 or self.fold.rows or rows[0] < 0 or rows[-1] >= self.height:
            return 0
        # Two more steps of the window and of the loader cover the cycles until each sees the other.
        columns = self.offsets[-1] + self.span_columns + 2 * self.step + 3 * self.fold.pixels_in
        words = max(32, (-(-columns // self.banks) + 1) * self.chunks)
        ring = 1 << (words - 1).bit_length()
        return ring if ring < self.pitch else 0

    @cached_property
    def slots(self) -> int:
        """Row slots: what the fold says, or as few as never stop a loader that feeds it in time."""
        if self.ring:
            return 1
        if self.fold.rows:
            return self.fold.rows
        row_time = self.in_beats * self.chunks
        if self.per_row >= self.sh * row_time:
            # Windows set the pace. A row's slot is refilled column by column behind its last
            # windows; only if there are hardly any columns does that come too late.
            short = self.sh * (self.counts["ox"] <= 2)
            slots = self.span_rows + self.sh - 1 + short
            # Where frames meet, rows of both are needed: worth slots if that costs over 2 %.
            seam = max(self.real_rows(0), default=-1) + self.height + short
            seam -= min(self.real_rows(self.out_rows - 1), default=self.height)
            lost = (seam - slots) * row_time
            return seam if 50 * lost > self.out_rows * self.per_row else slots
        # The loader sets the pace and must find each word free. `lag`: from a pixel to the end of
        # the last window that reads it; `behind`: the same at the end of a row.
        reach = self.offsets[-1] + (self.counts["kx"] - 1) * self.dw
        lag = -(-reach // self.fold.pixels_in) * self.chunks + self.per_position + 1
        behind = self.per_row + lag - row_time
        return self.span_rows - 1 + max(1, -(-max(lag, behind) // row_time))

    @property
    def row_banks(self) -> int:
        """Row slots with banks of their own, so that they can be read at once."""
        return self.slots if self.par_rows > 1 else 1

    @property
    def shared_slots(self) -> int:
        """Row slots that lie in the same bank."""
        return self.slots // self.row_banks

    @property
    def depth(self) -> int:
        """Words of a bank."""
        return self.ring or self.pitch * self.shared_slots

    @property
    def word_width(self) -> int:
        """Bits of a word."""
        return self.fold.lanes * self.x.width

    @property
    def address_width(self) -> int:
        """Bits of a memory address, 0 if there is only one word."""
        return (self.depth - 1).bit_length()

    @property
    def address_stages(self) -> int:
        """Registers between a firing's indices and the memory: one to add the row slot."""
        return int(self.shared_slots > 1)

    @property
    def mux_levels(self) -> tuple[int, int]:
        """Levels of the row and of the column multiplexer behind the memory."""
        rows = len(self.bases()) if self.row_banks > 1 else 1
        return mux_levels(rows), mux_levels(len(self.turns()))

    @property
    def cut(self) -> int:
        """1 if a register has to divide the multiplexers."""
        return int(sum(self.mux_levels) > MUX_LEVELS)

    def real_rows(self, oy: int) -> list[int]:
        """Rows of the input that windows of output row ``oy`` read, padding left out."""
        rows = (oy * self.sh - self.top + k * self.dh for k in range(self.op.kernel[0]))
        return [y for y in rows if 0 <= y < self.height]

    def real_columns(self, ox: int) -> list[int]:
        """Columns of the input that step ``ox`` of the walk reads, padding left out."""
        first = ox * self.fold.pixels
        last = min(first + self.fold.pixels, self.positions)
        places = (
            p * self.hop - self.left + k * self.dw
            for p in range(first, last)
            for k in range(self.walk_taps)
        )
        return [x for x in places if 0 <= x < self.width]

    def used_rows(self) -> list[bool]:
        """Which rows of the input any window reads (a ring drops the others)."""
        used = {y for oy in range(self.out_rows) for y in self.real_rows(oy)}
        return [y in used for y in range(self.height)]

    def turns(self) -> list[int]:
        """Bank of the first column read, for every value that occurs."""
        kx = self.counts["kx"]
        xs = (ox * self.step + k * self.dw for ox in range(self.counts["ox"]) for k in range(kx))
        return sorted({(x - self.left) % self.banks for x in xs})

    def bases(self) -> list[int]:
        """Slot of the first row read, for every value that occurs (frames follow each other)."""
        rows = {
            oy * self.sh + k * self.dh - self.top
            for oy in range(self.out_rows)
            for k in range(self.counts["ky"])
        }
        return sorted({(y + f * self.height) % self.slots for y in rows for f in range(self.slots)})

    def word(self, bank: int, turn: int) -> int:
        """Word that ``bank`` reads when the first column is ``turn``, relative to that column's."""
        hit = [d for d in self.offsets if (turn + d) % self.banks == bank]
        return (turn + (hit[0] if hit else (bank - turn) % self.banks)) // self.banks

    def word_step(self, bank: int, turn: int, jump: int) -> int:
        """By how many words ``bank`` moves on when the first column goes ``jump`` to the right."""
        words, after = divmod(turn + jump, self.banks)
        return words + self.word(bank, after) - self.word(bank, turn)

    def padded_column(self, pixel: int, tap: int) -> bool:
        """Whether column tap ``tap`` of output pixel ``pixel`` is ever padding."""
        return not all(
            0 <= (ox * self.fold.pixels + pixel) * self.hop - self.left + k * self.dw < self.width
            for ox in range(self.counts["ox"])
            if ox * self.fold.pixels + pixel < self.positions
            for k in (range(self.counts["kx"]) if self.read_taps == 1 else (tap,))
        )

    def padded_row(self, tap: int) -> bool:
        """Whether row tap ``tap`` is ever padding."""
        return not all(
            0 <= oy * self.sh - self.top + k * self.dh < self.height
            for oy in range(self.out_rows)
            for k in (range(self.counts["ky"]) if self.par_rows == 1 else (tap,))
        )


def lane_tiles(op: Window, channels: int, lanes: int) -> tuple[int, int]:
    """``lanes`` as (groups, channels of a group) of an output beat; (0, 0) if it cannot be."""
    in_group = channels // op.groups
    if op.groups == 1 or in_group % lanes == 0:
        return 1, lanes
    return (lanes // in_group, in_group) if lanes % in_group == 0 else (0, 0)


def legal_lanes(op: Window, channels: int) -> Iterator[int]:
    """Lane counts that a line buffer can have."""
    return (n for n in range(1, channels + 1) if lane_tiles(op, channels, n)[0])
