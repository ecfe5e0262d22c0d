"""Longest register-to-register path of a mapped 7-series netlist, counted in levels.

A level is a LUT, or the step from a LUT into a carry chain (on a -1 part about 1 ns with its
wire). Running on along a chain costs an eighth of a level for each CARRY4, a wide multiplexer half
a level, a DSP48E1 without registers on the way four levels for the product and one for the sum.
Yosys' own `ltp` reports false loops through flip-flops on such netlists, and counts cells of a
chain like LUTs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["longest_path"]

LEVEL = 8
"""Eighths in a level."""


@dataclass
class _Arrival:
    """Time of each net in eighths of a level, and the cells on the way to it."""

    module: Mapping
    driver: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    known: dict[int, tuple[int, tuple[str, int] | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, cell in self.module["cells"].items():
            for port in _outputs(cell):
                for index, bit in enumerate(cell["connections"].get(port, [])):
                    if isinstance(bit, int):
                        self.driver[bit] = (name, port, index)

    def sources(self, bit: int) -> list[tuple[int, int]]:
        """(net, eighths from it to `bit`) for every net that `bit` depends on combinationally."""
        if bit not in self.driver:
            return []
        name, port, index = self.driver[bit]
        cell = self.module["cells"][name]
        pins = [(p, i, c) for p, i, c in _arcs(cell, port, index)]
        nets = cell["connections"]
        return [(nets[p][i], c) for p, i, c in pins if p in nets and isinstance(nets[p][i], int)]

    def arrival(self, start: int) -> int:
        """Latest arrival at a net; without recursion, netlists are deep."""
        stack = [start]
        while stack:
            bit = stack[-1]
            if bit in self.known:
                stack.pop()
                continue
            sources = self.sources(bit)
            pending = [net for net, _ in sources if net not in self.known]
            if pending:
                stack.extend(pending)
                continue
            late = max(((self.known[n][0] + c, n) for n, c in sources), default=(0, -1))
            cell = self.driver[bit][0] if late[1] >= 0 else ""
            self.known[bit] = (late[0], (cell, late[1]) if late[1] >= 0 else None)
            stack.pop()
        return self.known[start][0]

    def path(self, bit: int) -> tuple[str, ...]:
        """Cell types on the latest path to `bit`, first to last; steps of one chain once."""
        cells: list[str] = []
        step = self.known[bit][1]
        while step is not None:
            cells.append(self.module["cells"][step[0]]["type"])
            step = self.known[step[1]][1]
        return tuple(reversed(cells))


def _outputs(cell: Mapping) -> tuple[str, ...]:
    kind = cell["type"]
    if kind == "CARRY4":
        return ("O", "CO")
    if kind == "DSP48E1":
        return ("P", "PCOUT")
    return ("O", "Q") if not kind.startswith("RAM") else ()


def _flag(cell: Mapping, name: str) -> bool:
    return int(str(cell["parameters"].get(name, "0")), 2) != 0


def _arcs(cell: Mapping, port: str, index: int) -> Iterator[tuple[str, int, int]]:
    """Pins that an output depends on without a register between: (port, bit, eighths)."""
    kind, pins = cell["type"], cell["connections"]
    if kind.startswith("LUT") or kind == "INV":
        yield from ((p, 0, LEVEL) for p in pins if p.startswith("I"))
    elif kind.startswith("MUXF"):
        yield from ((p, 0, LEVEL // 2) for p in ("I0", "I1", "S"))
    elif kind == "CARRY4":
        below = index + 1 if port == "CO" else index
        yield from (("S", i, LEVEL) for i in range(index + 1))
        yield from (("DI", i, LEVEL) for i in range(below))
        yield ("CI", 0, 1)
        yield ("CYINIT", 0, LEVEL)
    elif kind == "DSP48E1" and not _flag(cell, "PREG"):
        for p in ("PCIN",) if _flag(cell, "CREG") else ("C", "PCIN"):
            yield from ((p, i, LEVEL) for i in range(len(pins.get(p, []))))
        if not _flag(cell, "MREG"):
            for p, reg in (("A", "AREG"), ("B", "BREG"), ("D", "DREG")):
                if not _flag(cell, reg):
                    yield from ((p, i, 5 * LEVEL) for i in range(len(pins.get(p, []))))


def longest_path(module: Mapping) -> tuple[int, tuple[str, ...]]:
    """Eighths of a level and cell types of the longest path of one module of a yosys JSON netlist.

    Paths start at ports and registers and end at ports, registers, memories and DSP blocks.
    """
    arrivals = _Arrival(module)
    worst, end = 0, -1
    for cell in module["cells"].values():
        for bits in cell["connections"].values():
            for bit in bits:
                if isinstance(bit, int) and arrivals.arrival(bit) > worst:
                    worst, end = arrivals.arrival(bit), bit
    for port in module["ports"].values():
        for bit in port["bits"]:
            if isinstance(bit, int) and arrivals.arrival(bit) > worst:
                worst, end = arrivals.arrival(bit), bit
    return worst, arrivals.path(end) if end >= 0 else ()
