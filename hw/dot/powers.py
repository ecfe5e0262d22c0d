"""Powers of two as shifts: which wires steer a shifter, and in how few bits a memory says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from amaranth.hdl import Mux, Value

__all__ = ["Shifter", "choose", "only_powers", "shifters"]

WIRES = 6
"""Inputs of a LUT: what makes one bit of a shifted word."""


def only_powers(values: Sequence[int]) -> bool:
    """Whether there are several, all 0 or a power of two with either sign."""
    return len(set(values)) > 1 and all(abs(v) & (abs(v) - 1) == 0 for v in values)


def choose(select: Value, words: Sequence[Value]) -> Value:
    """``words[select]``; places past the end do not occur."""
    if len(words) == 1:
        return words[0]
    half = 1 << (len(words) - 1).bit_length() - 1
    low, high = choose(select, words[:half]), choose(select, words[half:])
    return Mux(select[half.bit_length() - 1], high, low)


class _Code(NamedTuple):
    """Places of the control bits that are stored, and what is stored for each value."""

    kept: tuple[int, ...]
    stored: dict[int, int]


@dataclass(frozen=True)
class Shifter:
    """``x * v`` for ``v`` among ``values``: first a shift by less than ``fine``, then 0 or one of a
    few wirings of what that gives, then a sign.

    ``fine`` is 1, 2 or 4. The control word is, from the low bits, the fine shift, which wiring, and
    the sign; see :attr:`way_codes`. A memory holds as many of its bits as tell the values apart.
    """

    values: tuple[int, ...]
    fine: int

    @property
    def zero(self) -> bool:
        """Whether 0 is among the values."""
        return 0 in self.values

    @property
    def signed(self) -> bool:
        """Whether a value is negative."""
        return min(self.values) < 0

    @cached_property
    def exponents(self) -> tuple[int, ...]:
        """Of the values other than 0, ascending."""
        return tuple(sorted({abs(v).bit_length() - 1 for v in self.values if v}))

    @property
    def base(self) -> int:
        """The least exponent: columns below it are empty."""
        return self.exponents[0]

    @cached_property
    def fines(self) -> tuple[int, ...]:
        """Fine shifts that occur."""
        return tuple(sorted({(e - self.base) % self.fine for e in self.exponents}))

    @cached_property
    def ways(self) -> tuple[int, ...]:
        """Shifts of the wirings, ascending."""
        return tuple(sorted({self._way(e) for e in self.exponents}))

    def _way(self, exponent: int) -> int:
        return (exponent - self.base) // self.fine * self.fine

    @property
    def way_codes(self) -> tuple[int, ...]:
        """The select bits of each wiring; 0 is the value 0, if that occurs. Beside it two wirings
        have a bit of their own, so that for 0 it does not matter."""
        if not self.zero:
            return tuple(range(len(self.ways)))
        return (1, 3) if len(self.ways) == 2 else tuple(range(1, len(self.ways) + 1))

    @property
    def fine_bits(self) -> int:
        """Bits of the fine shift."""
        return self.fines[-1].bit_length()

    @property
    def select_bits(self) -> int:
        """Bits that select a wiring."""
        return self.way_codes[-1].bit_length()

    @property
    def row_bits(self) -> int:
        """Control bits behind the fine shift."""
        return self.select_bits + self.signed

    @property
    def control_bits(self) -> int:
        """Bits of the control word."""
        return self.fine_bits + self.row_bits

    @property
    def legal(self) -> bool:
        """Whether a bit behind the fine shift is a function of one LUT."""
        return len(self.ways) + self.row_bits <= WIRES

    def control(self, value: int) -> int:
        """The control word of a value."""
        if not value:
            return 0
        e = abs(value).bit_length() - 1
        select = self.way_codes[self.ways.index(self._way(e))]
        sign = int(value < 0) << self.select_bits
        return (e - self.base) % self.fine | (select | sign) << self.fine_bits

    # What a memory holds.

    @cached_property
    def _code(self) -> _Code:
        least = max(1, (len(self.values) - 1).bit_length())
        for size in range(least, self.control_bits + 1):
            # Fine bits are kept first: what is behind them waits for them.
            for kept in combinations(range(self.control_bits), size):
                stored = self._stored(kept)
                if stored is not None:
                    return _Code(kept, stored)
        raise AssertionError(self)

    def _stored(self, kept: tuple[int, ...]) -> dict[int, int] | None:
        """What these bits of the control word say for each value, if it tells them apart."""

        def part(word: int) -> int:
            return sum((word >> at & 1) << k for k, at in enumerate(kept))

        found = {v: part(self.control(v)) for v in self.values if v}
        if len(set(found.values())) < len(found):
            return None
        if self.zero:
            care = 1 if self.way_codes == (1, 3) else (1 << self.select_bits) - 1
            fixed = part(care << self.fine_bits)
            free = set(range(1 << len(kept))) - set(found.values())
            legal = sorted(code for code in free if not code & fixed)
            if not legal:
                return None
            found[0] = legal[0]
        return found

    @property
    def code_bits(self) -> int:
        """Bits that a memory holds of each value."""
        return len(self._code.kept)

    @property
    def codes(self) -> dict[int, int]:
        """Value -> what a memory holds."""
        return self._code.stored

    @cached_property
    def decoded(self) -> dict[int, tuple[int, ...]]:
        """Control bit that is not stored -> its value for each code."""
        missing = [k for k in range(self.control_bits) if k not in self._code.kept]
        words = {code: self.control(value) for value, code in self.codes.items()}
        size = range(1 << self.code_bits)
        return {k: tuple(words.get(code, 0) >> k & 1 for code in size) for k in missing}

    def place(self, bit: int) -> int | None:
        """Where a control bit is in the code; None if it is decoded."""
        kept = self._code.kept
        return kept.index(bit) if bit in kept else None

    @property
    def front(self) -> int:
        """LUT levels from code and x to what the rows are made of; a row of as many wires as a LUT
        has inputs may take one more, since synthesis shares parts of such functions."""
        late = any(k < self.fine_bits for k in self.decoded)
        full = len(self.ways) + self.row_bits == WIRES
        return late + full + (len(self.fines) > 1 or bool(self.decoded))


def shifters(values: tuple[int, ...]) -> list[Shifter]:
    """Those that there are for these values."""
    found = [Shifter(values, fine) for fine in (1, 2, 4)]
    return [s for s in found if s.legal]
