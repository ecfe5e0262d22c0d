"""Convolutions in tiles where their layer, and the network with it, gets cheaper by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hwc.boards.board import Board
from hwc.compiler.graph import Conv2d, Graph, Node, WinogradProduct, convolutions, winograd
from hwc.compiler.lower import hardware
from hwc.compiler.map.candidates import MappingError, candidates, interval
from hwc.compiler.map.mapping import Goal, Mapping, map_graph
from hwc.compiler.map.stages import stages
from hwc.compiler.map.variants import SIZES, TILED, Other, tiled
from hwc.hw.unit import Unit

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
        other = map_graph(hardware(moved), board, goal)
        if other.rank(board, goal) < mapped.rank(board, goal):
            source, mapped = hardware(moved), other
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
        unit = mapped.design.instances.get(aliases[-1])
        if goal.units.keys() & set(aliases) or unit is None:
            continue
        if goal.share(unit.resources(), board.budget) < WORTH:
            continue
        layer = _layer(graph, [nodes[alias] for alias in aliases])
        yield _Trial(name, aliases[-1], tuple(_ways(layer, board, alone)))


def _layer(graph: Graph, nodes: list[Node]) -> Graph:
    """A convolution, and the quantizer behind it, as a network."""
    (source,) = nodes[0].args
    return Graph(((source, graph.types[source]),), tuple(nodes), (nodes[-1].name,)).verify()


def _ways(layer: Graph, board: Board, goal: Goal) -> Iterator[_Way]:
    """The layer without tiles, and with those of every size."""
    mapped = map_graph(hardware(layer), board, goal)
    unit = mapped.design.instances[layer.outputs[0]]
    plain = _Way(unit.variant, 0, mapped.share(board, goal), unit)
    yield plain
    conv = layer.nodes[0]
    assert isinstance(conv.op, Conv2d)
    for m in SIZES:
        if m + conv.op.weight.shape[1] - 1 <= WINDOW:
            yield _in_tiles(hardware(winograd(layer, {conv.name: m})), m, plain, board, goal)


def _in_tiles(layer: Graph, m: int, plain: _Way, board: Board, goal: Goal) -> _Way:
    """The layer in tiles of m; mapped as a whole only if its cheapest unit takes less by itself."""
    form, cycles = f"{TILED}{m}", goal.max_interval
    (stage,) = (s for s in stages(layer)[0] if isinstance(s.op, WinogradProduct))
    assert cycles is not None
    try:
        offers = candidates(stage, (), board.levels(goal.clock_mhz), cycles)
        quick = [unit for unit in offers if interval(unit) <= cycles]
        if not quick:
            least = min(map(interval, offers))
            return _Way(form, m, why=f"takes {least:,} cycles a frame at least")
        shares = [goal.share(unit.resources(), board.budget) for unit in quick]
        unit = quick[shares.index(min(shares))]
        if min(shares) >= plain.share:
            return _Way(form, m, min(shares), unit)
        mapped = map_graph(layer, board, goal)
    except MappingError as error:
        return _Way(form, m, why=str(error))
    return _Way(form, m, mapped.share(board, goal), mapped.design.instances[stage.tensor])
