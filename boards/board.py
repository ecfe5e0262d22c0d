"""What the compiler must know of a board, and how boards are found.

A board is one file in this folder that defines ``BOARD``; nothing else lists it. The name is the
file's, with hyphens: ``pynq_z2.py`` is ``pynq-z2``.
"""

import importlib
import math
import pkgutil
from dataclasses import dataclass
from typing import Literal

import hwc.boards
from hwc.compiler.graph.errors import HwcError
from hwc.hw.resources import Resources


class BoardError(HwcError):
    """A board that does not exist, or a request that the board cannot meet."""


@dataclass(frozen=True)
class Board:
    """A board: its part, what the part holds, and how fast its fabric is assumed to be.

    `budget` counts the whole part: nothing is reserved for a shell. `stream_bits` is the widest
    beat that the outside can give and take in every cycle. `shell`: "axi" where a processor beside
    the fabric drives the network through docs/shell.md, with memory addresses of `address_bits`;
    "none" where a bundle holds the network alone. `clock_mhz` is the default clock and
    `max_clock_mhz` the fastest that may be asked for. `flow` makes the bitstream.

    The speed model is deliberately small: a register-to-register path of n LUT or carry levels is
    taken to need `ns_fixed + n * ns_per_level`, clock-to-output, setup, skew and average routing
    included. Both numbers are assumptions on the safe side of the speed grade, not the result of
    place and route; only a timing report of the vendor's tool can confirm a clock.
    """

    name: str
    title: str
    part: str
    budget: Resources
    stream_bits: int
    shell: Literal["axi", "none"] = "none"
    address_bits: int = 32
    clock_mhz: float = 100.0
    max_clock_mhz: float = 200.0
    ns_fixed: float = 1.0
    ns_per_level: float = 0.9
    flow: Literal["vivado"] = "vivado"
    url: str = ""

    def levels(self, clock_mhz: float | None = None) -> int:
        """LUT or carry levels that fit in one period of `clock_mhz` (the default clock if None).

        At least 1; BoardError if the clock is not in (0, max_clock_mhz].
        """
        clock = self.clock_mhz if clock_mhz is None else clock_mhz
        if not 0 < clock <= self.max_clock_mhz:
            raise BoardError(
                f"{self.name}: the clock must be above 0 and at most {self.max_clock_mhz:g} MHz, "
                f"got {clock:g}"
            )
        return max(1, math.floor((1000.0 / clock - self.ns_fixed) / self.ns_per_level))


def names() -> tuple[str, ...]:
    """The legal board names, sorted."""
    modules = {module.name for module in pkgutil.iter_modules(hwc.boards.__path__)} - {"board"}
    return tuple(sorted(module.replace("_", "-") for module in modules))


def get(name: str) -> Board:
    """The board called `name`; BoardError listing the legal names if there is none."""
    if name not in names():
        raise BoardError(f"no board is called '{name}'; there are: {', '.join(names())}")
    return importlib.import_module(f"hwc.boards.{name.replace('-', '_')}").BOARD
