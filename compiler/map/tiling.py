"""Convolutions in tiles where their layer, and the network with it, gets cheaper by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hwc.boards.board import Board
from hwc.compiler.graph import Conv2d, Graph, Node, WinogradProduct, convolutions, winograd
from hwc.compiler.lower import hardware
from hwc.compiler.map.candidates import PIPELINED, MappingError, interval
from hwc.compiler.map.mapping import Goal, Mapping, map_graph
from hwc.compiler.map.stages import stages
from hwc.compiler.map.variants import SIZES, TILED, Other, tiled
from hwc.hw.design import Design
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.repack.unit import Repack
from hwc.hw.units.window.unit import LineBuffer
from hwc.hw.units.winograd.unit import Winograd

__all__ = ["map_network"]

WORTH = 0.02
"""Sum of the shares of all limits that a unit has to take for tiles to be tried in its place."""
WINDOW = 6
"""Largest window, m + r - 1: the constants of larger ones cost more than their products save."""


def map_network(graph: Graph, board: Board, goal: Goal) -> tuple[Graph, Mapping]:
    """A lowered graph as the hardware computes it, and its mapping.

    Convolutions are put in tiles where ``goal.units`` says so. Of the others those are that take
    less of the board in tiles, with all that stands around them and at the speed of the network,
    if the network as a whole is then better. Raises as :func:`map_graph`.
    """
    asked, forms = tiled(graph, goal.units)
    goal = replace(goal, units=forms)
    source = hardware(asked)
    mapped = map_graph(source, board, goal)
    trials = list(_trials(asked, mapped, board, goal))
    sizes = {trial.name: trial.best.tile for trial in trials if trial.best.tile}
    where: dict[str, str] = {}
    if sizes:
        moved = winograd(asked, sizes)
        tiles = hardware(moved)
        other = map_graph(tiles, board, goal)
        if other.rank(board, goal) < mapped.rank(board, goal):
            source, mapped = tiles, other
            where = {node.name: node.args[0] for node in moved.nodes}
    others = dict(mapped.others)
    for trial in trials:
        taken = trial.best if where else trial.ways[0]
        unit = where[trial.last] if taken.tile else trial.last
        lost = (way.beside(taken) for way in trial.ways if way is not taken)
        others[unit] = (*others[unit], *lost)
    return source, replace(mapped, others=others)


@dataclass(frozen=True)
class _Way:
    """A layer in one form: the share of the board that it takes, and its unit; or why not."""

    form: str
    tile: int = 0
    """Rows of a tile; 0 without."""
    share: float = float("inf")
    unit: Unit | None = None
    why: str = ""

    def beside(self, taken: _Way) -> Other:
        """This form, which was not taken."""
        if self.unit is None:
            return Other(self.form, self.why)
        why = f"takes {self.share / taken.share:.2f} times the share of the board"
        if self.share < taken.share:
            why += " for the layer alone, but the network is not better for it"
        return Other(self.form, why, self.unit.resources(), interval(self.unit))


@dataclass(frozen=True)
class _Trial:
    """The ways to compute a convolution, the first of them without tiles."""

    name: str
    last: str
    """The name of its last node, which is that of its unit."""
    ways: tuple[_Way, ...]

    @property
    def best(self) -> _Way:
        """The way that takes least."""
        return min(self.ways, key=lambda way: way.share)


def _trials(graph: Graph, mapped: Mapping, board: Board, goal: Goal) -> Iterator[_Trial]:
    """The convolutions for which tiles could pay and nobody asked for a form."""
    names: dict[str, list[str]] = {}
    for name, node in convolutions(graph).items():
        names.setdefault(node.name, []).append(name)
    nodes = {node.name: node for node in graph.nodes}
    alone = replace(goal, max_interval=goal.max_interval or mapped.interval, units={})
    for name, aliases in names.items():
        last = aliases[-1]
        unit = mapped.design.instances.get(last)
        if goal.units.keys() & set(aliases) or unit is None:
            continue
        if goal.share(unit.resources(), board.budget) < WORTH:
            continue
        plain = _Way(unit.variant, 0, goal.share(_around(mapped.design, last), board.budget), unit)
        layer = _layer(graph, [nodes[alias] for alias in aliases])
        yield _Trial(name, last, tuple(_ways(layer, plain, board, alone)))


def _around(design: Design, name: str) -> Resources:
    """What a unit takes with its line buffer and the converters in front of it."""
    total, names = Resources.zero(), [name]
    while names:
        here = names.pop()
        total = total + design.instances[here].resources()
        for edge in design.edges:
            source = design.instances.get(edge.src[0])
            if edge.dst[0] == here and isinstance(source, LineBuffer | Repack):
                names.append(edge.src[0])
    return total


def _layer(graph: Graph, nodes: list[Node]) -> Graph:
    """A convolution, and the quantizer behind it, as a network."""
    (source,) = nodes[0].args
    return Graph(((source, graph.types[source]),), tuple(nodes), (nodes[-1].name,)).verify()


def _ways(layer: Graph, plain: _Way, board: Board, goal: Goal) -> Iterator[_Way]:
    """The layer without tiles, and with those of every size.

    Where the unit for tiles alone takes less than ``plain``, the layer is mapped both ways.
    """
    conv = layer.nodes[0]
    assert isinstance(conv.op, Conv2d)
    sizes = [m for m in SIZES if m + conv.op.weight.shape[1] - 1 <= WINDOW]
    tiles = [hardware(winograd(layer, {conv.name: m})) for m in sizes]
    ways = [_unit(moved, m, board, goal) for moved, m in zip(tiles, sizes, strict=True)]
    if any(way.share < plain.share for way in ways):
        mapped = map_graph(hardware(layer), board, goal)
        unit = mapped.design.instances[layer.outputs[0]]
        plain = _Way(unit.variant, 0, mapped.share(board, goal), unit)
    yield plain
    for moved, way in zip(tiles, ways, strict=True):
        yield _whole(moved, way, board, goal) if way.share < plain.share else way


def _unit(layer: Graph, m: int, board: Board, goal: Goal) -> _Way:
    """The slowest unit for tiles of m that is fast enough, by itself."""
    form, levels, cycles = f"{TILED}{m}", board.levels(goal.clock_mhz), goal.max_interval
    (stage,) = (s for s in stages(layer)[0] if isinstance(s.op, WinogradProduct))
    assert isinstance(stage.op, WinogradProduct)
    assert cycles is not None
    best, quick = _Way(form, m, why=f"no unit takes {cycles:,} cycles a frame or less"), 0
    kind, most = stage.sources[0].type, min(levels, PIPELINED)
    for unit in Winograd.candidates(stage.op, kind, stage.activation, max_levels=most, near=cycles):
        if interval(unit) > cycles or unit.levels() > levels:
            continue
        if quick and interval(unit) < quick:
            break
        quick, share = interval(unit), goal.share(unit.resources(), board.budget)
        if share < best.share:
            best = _Way(form, m, share, unit)
    return best


def _whole(layer: Graph, way: _Way, board: Board, goal: Goal) -> _Way:
    """The layer in tiles with all that stands around its unit."""
    try:
        mapped = map_graph(layer, board, goal)
    except MappingError as error:
        return replace(way, share=float("inf"), unit=None, why=str(error))
    units = mapped.design.instances.values()
    (unit,) = (unit for unit in units if isinstance(unit, Winograd))
    return replace(way, share=mapped.share(board, goal), unit=unit)
