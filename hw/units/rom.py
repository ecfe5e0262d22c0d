"""Tables of constants, addressed by a counter: weights, thresholds, multipliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import memory

from hwc.hw.memory import bram18, bram_ways, lutrom, lutrom_mapped
from hwc.hw.resources import Resources
from hwc.hw.units.mux import mux_luts

__all__ = ["Rom", "RomForm", "rom_form"]

RomForm = Literal["lutrom", "bram"]

BANK = 32768
"""Bits of a word in one memory: a word may not exceed 65,535, and tools like them shorter."""

LUTS_A_BRAM = 128
"""From how many LUTs a table is worth a block RAM."""


def rom_form(width: int, depth: int) -> RomForm:
    """The cheaper form of a table, at :data:`LUTS_A_BRAM` LUTs for a block RAM of 18 kbit."""
    if depth <= 64:
        return "lutrom"
    return "bram" if lutrom(width, depth) >= LUTS_A_BRAM * bram18(width, depth) else "lutrom"


@dataclass(frozen=True)
class Rom:
    """``depth`` constant words of ``width`` bits; a word is there one cycle after its address.

    A single word is no memory at all: constants, there at any time.
    """

    width: int
    depth: int
    form: RomForm = "lutrom"

    def resources(self) -> Resources:
        """Estimated primitives, the output register included."""
        if self.depth == 1 or self.width == 0:
            return Resources.zero()
        if self.form == "bram":
            ways = bram_ways(self.width, self.depth)
            select, blocks = (ways - 1).bit_length(), bram18(self.width, self.depth)
            return Resources(self.width * mux_luts(ways), select, 0, blocks)
        if self.depth > 64:
            return Resources(round(self.width * lutrom_mapped(self.depth)), self.width, 0, 0)
        bits, luts = self._distinct()
        return Resources(luts, bits, 0, 0)

    def copies(self, count: int) -> Resources:
        """Estimated primitives of so many with contents of their own at one address: bits that are
        the same function of few words are made once for all of them."""
        if self.form == "bram" or self.depth > 64:
            return self.resources() * count
        return replace(self, width=self.width * count).resources()

    @property
    def distinct(self) -> float:
        """Share of the bits of a word that are a function of the address like no other's."""
        return self._distinct()[0] / self.width if self.width and self.depth > 1 else 1.0

    def _distinct(self) -> tuple[int, int]:
        """Bits of a word that differ, and those of them that take a LUT.

        A bit is a function of the address, and there are only ``2**depth`` of those: of many
        random bits some agree, some are constant and some are a bit of the address.
        """
        if self.depth > 10:
            return self.width, self.width
        functions = 2**self.depth
        different = functions * -math.expm1(-self.width / functions)
        address = (self.depth - 1).bit_length()
        free = different * (2 * address + 2) / functions
        return round(different * (1 - 2 / functions)), max(0, round(different - free))

    @property
    def levels(self) -> float:
        """LUT levels in front of the output register."""
        if self.depth == 1 or self.form == "bram":
            return 0
        deep = (self.depth - 1).bit_length()
        return 1 if deep <= 6 else 1 + (deep - 6) / 2 if deep <= 8 else 2 + (deep - 6) / 2

    def build(self, m: Module, words: Sequence[int], address: Value, name: str) -> Value:
        """The word at ``address`` of the cycle before, as an unsigned value of ``width`` bits."""
        assert len(words) == self.depth
        if self.depth == 1 or self.width == 0:
            return Const(words[0], self.width)
        parts = []
        for n, low in enumerate(range(0, self.width, BANK)):
            width = min(BANK, self.width - low)
            init = [word >> low & (1 << width) - 1 for word in words]
            rom = memory.Memory(shape=width, depth=self.depth, init=init)
            rom.attrs.update(_style(self.form))
            m.submodules[f"{name}_{n}"] = rom
            port = rom.read_port()
            m.d.comb += port.addr.eq(address)
            parts.append(port.data)
        return Cat(*parts)


def _style(form: RomForm) -> dict[str, str]:
    # yosys takes the first attribute it knows and has no distributed ROM: "registers" keeps it
    # off block RAM and leaves plain LUTs. Vivado goes by rom_style.
    if form == "bram":
        return {"ram_style": "block", "rom_style": "block"}
    return {"ram_style": "registers", "rom_style": "distributed"}
