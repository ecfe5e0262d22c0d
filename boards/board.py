"""What the compiler must know of a board, and how boards are found.

A board is one file in this folder that defines ``BOARD``; nothing else lists it. The name is the
file's, with hyphens: ``pynq_z2.py`` is ``pynq-z2``.
"""

import importlib
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import hwc.boards
from hwc.compiler.graph.errors import HwcError
from hwc.hw.resources import Resources


class BoardError(HwcError):
    """A board that does not exist, or a request that the board cannot meet."""


@dataclass(frozen=True)
class Zynq:
    """A processing system beside the fabric, driving the network through docs/shell.md.

    `system` names the Tcl in boards/vivado/. `base` is where the shell's registers lie and
    `address_bits` what its memory addresses have. `settings` are the properties of the processing
    system's cell that belong to this board (crystal, DDR, MIO); where Vivado knows `board_part`,
    its preset is taken in their place.
    """

    system: Literal["zynq7", "zynqmp"]
    base: int
    address_bits: int
    board_part: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Serial:
    """No processor: a serial link of 8N1 at `baud`. Pins are names of the package's balls.

    `rx` is the pin on which the fabric hears, `tx` the one on which it speaks, `reset` a button
    that reads `pressed`.
    """

    baud: int
    clock: str
    rx: str
    tx: str
    reset: str
    pressed: Literal[0, 1] = 0
    standard: str = "LVCMOS33"


@dataclass(frozen=True)
class Nextpnr:
    """Open tools make the bitstream: yosys, nextpnr and the packer of the `family`.

    `options` tell nextpnr which device this is; `packer` are options of the packer.
    """

    family: Literal["ice40", "ecp5"]
    options: tuple[str, ...]
    packer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """A board: its part, what the part holds, and how fast its fabric is assumed to be.

    `budget` counts the whole part in primitives of the 7 series: nothing is reserved for a shell.
    `stream_bits` is the widest beat that the outside can give and take in every cycle. `host` is
    what drives the network; None where a bundle holds the network alone. `clock_mhz` is the default
    clock and `max_clock_mhz` the fastest that may be asked for; behind a serial link the clock is
    the oscillator's. `flow` makes the bitstream.

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
    host: Zynq | Serial | None = None
    clock_mhz: float = 100.0
    max_clock_mhz: float = 200.0
    ns_fixed: float = 1.0
    ns_per_level: float = 0.9
    flow: Nextpnr | Literal["vivado"] = "vivado"
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
        if isinstance(self.host, Serial) and clock != self.clock_mhz:
            raise BoardError(
                f"{self.name}: the network runs on the oscillator of {self.clock_mhz:g} MHz, "
                f"got {clock:g}; leave --clock-mhz out"
            )
        return max(1, math.floor((1000.0 / clock - self.ns_fixed) / self.ns_per_level))


def names() -> tuple[str, ...]:
    """The legal board names, sorted."""
    found = pkgutil.iter_modules(hwc.boards.__path__)
    modules = {module.name for module in found if not module.ispkg} - {"board"}
    return tuple(sorted(module.replace("_", "-") for module in modules))


def get(name: str) -> Board:
    """The board called `name`; BoardError listing the legal names if there is none."""
    if name not in names():
        raise BoardError(f"no board is called '{name}'; there are: {', '.join(names())}")
    return importlib.import_module(f"hwc.boards.{name.replace('-', '_')}").BOARD
