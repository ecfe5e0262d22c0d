"""Units, folds and converters for a whole network, chosen together to fit a board."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field, replace
from functools import cached_property

from hwc.boards.board import Board
from hwc.compiler.graph import Graph, Type, Window
from hwc.compiler.map.candidates import MappingError, Tile, candidates, interval, tiles_in
from hwc.compiler.map.ports import link, port_tiles
from hwc.compiler.map.problem import Choice, Cost, Joint, Problem, Solution, shares
from hwc.compiler.map.stages import Source, Stage, stages
from hwc.compiler.map.variants import Other, check_layers, only, others
from hwc.hw.design import Design, Edge, End
from hwc.hw.layout import Layout
from hwc.hw.queue import queue_resources
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.repack.unit import Repack

__all__ = ["RESOURCES", "Goal", "Mapping", "design_resources", "map_graph"]

RESOURCES = ("lut", "ff", "dsp", "bram18")
LOOKS = 3
"""Most times that candidates are made anew about the interval found so far."""


@dataclass(frozen=True)
class Goal:
    """What to aim for.

    Without ``max_interval`` (cycles per frame) the fastest network that fits is chosen, with it
    the cheapest that is fast enough.
    """

    clock_mhz: float = 100.0
    max_util: Table[str, float] | float = 0.7
    max_interval: int | None = None
    units: Table[str, str] = field(default_factory=dict)
    """Layer -> the variant that it has to be built in."""

    def limits(self, budget: Resources) -> Cost:
        """Resources that may be used, in the order of :data:`RESOURCES`."""
        share = self.max_util
        part = [share.get(r, 0.7) if isinstance(share, Table) else share for r in RESOURCES]
        return tuple(f * getattr(budget, r) for f, r in zip(part, RESOURCES, strict=True))

    def share(self, used: Resources, budget: Resources) -> float:
        """Sum over all resources of the shares of their limits that are used."""
        return shares(_cost(used), self.limits(budget))


@dataclass(frozen=True)
class Mapping:
    """A design and which unit computes which tensor of the graph."""

    design: Design
    carries: Table[str, str]
    """Instance -> the tensor of the graph that it puts out (a converter: the one it passes on)."""
    outputs: Table[str, str]
    """Output of the graph -> outside stream of the design."""
    interval: int
    """Lower bound on cycles per frame: the busiest process."""
    levels: int
    others: Table[str, tuple[Other, ...]] = field(default_factory=dict)
    """Instance -> the ways in which it was not built."""

    def with_design(self, design: Design) -> Mapping:
        """The same choices with another design, such as one whose queues have been sized."""
        return replace(self, design=design)

    def share(self, board: Board, goal: Goal) -> float:
        """Sum over all resources of the shares of their limits that the design takes."""
        return goal.share(design_resources(self.design), board.budget)

    def rank(self, board: Board, goal: Goal) -> tuple[float, float]:
        """Interval if it counts, then :meth:`share`; less is better."""
        return (self.interval if goal.max_interval is None else 0), self.share(board, goal)


def map_graph(graph: Graph, board: Board, goal: Goal) -> Mapping:
    """Choose a unit for every stage of ``graph`` (expanded) so that the whole fits ``board``.

    Raises :class:`MappingError` if nothing fits, naming what dominates.
    """
    levels = board.levels(goal.clock_mhz)
    limits = goal.limits(board.budget)
    plan = _Plan.of(graph, board, levels, goal.units)
    solution = _solve(plan, goal, limits)
    if solution is None:
        raise MappingError(_why(plan, goal, board, limits))
    # The first look spreads its candidates over all speeds; the others look about what was found.
    for _ in range(LOOKS):
        near = goal.max_interval or solution.interval
        close = _Plan.of(graph, board, levels, goal.units, near)
        finer = _solve(close, goal, limits)
        if finer is None or _rank(finer, goal, limits) >= _rank(solution, goal, limits):
            break
        faster = finer.interval < solution.interval
        plan, solution = close, finer
        if not faster or goal.max_interval is not None:
            break
    design, carries, outputs = _assemble(plan, solution)
    cycles = goal.max_interval or max(solution.interval, 1)
    budget = _cost(board.budget)
    lost = {
        stage.tensor: others(pick, offers, choices, cycles, budget)
        for stage, offers, choices, pick in zip(
            plan.stages, plan.units, plan.choices, plan.picks(solution), strict=True
        )
    }
    return Mapping(design, carries, outputs, max(solution.interval, 1), levels, lost)


def _solve(plan: _Plan, goal: Goal, limits: Cost) -> Solution | None:
    problem = plan.problem(limits)
    if goal.max_interval is None:
        return problem.fastest()
    return problem.cheapest(goal.max_interval)


def _rank(solution: Solution, goal: Goal, limits: Cost) -> tuple[float, float]:
    """Interval if it counts, then the shares of the limits that are used; less is better."""
    used = shares(solution.used, limits)
    return (solution.interval if goal.max_interval is None else 0), used


def design_resources(design: Design) -> Resources:
    """Units and queues of a design, as estimated by each."""
    total = Resources.zero()
    for unit in design.instances.values():
        total = total + unit.resources()
    for edge in design.edges:
        total = total + queue_resources(design.layout(edge.dst, edge).width, edge.depth)
    return total


@dataclass(frozen=True)
class _Plan:
    """Candidates of every stage, behind them the ports of the chip as stages without cost."""

    graph: Graph
    stages: tuple[Stage, ...]
    sinks: tuple[Source, ...]
    units: tuple[tuple[Unit, ...], ...]
    port_width: int
    levels: int

    @classmethod
    def of(
        cls,
        graph: Graph,
        board: Board,
        levels: int,
        variants: Table[str, str],
        near: int | None = None,
    ) -> _Plan:
        found, sinks = stages(graph)
        check_layers(found, variants)
        wanted: dict[str, dict[Tile, None]] = {}
        for sink in sinks:
            tiles = port_tiles(sink.type, board.stream_bits)
            wanted.setdefault(sink.tensor, {}).update(dict.fromkeys(tiles))
        units: list[tuple[Unit, ...]] = []
        for stage in reversed(found):
            tiles = wanted.get(stage.tensor, {})
            asked = bool(variants.keys() & set(stage.layers))
            offers = candidates(stage, tiles, levels, near, asked=asked)
            if asked:
                # A close look may not reach the speeds that only this form has.
                if near is not None:
                    all_speeds = candidates(stage, tiles, levels, asked=True)
                    offers = list(dict.fromkeys([*offers, *all_speeds]))
                offers = only(stage, offers, variants)
            units.append(tuple(offers))
            for unit in offers:
                for source, tile in zip(stage.sources, tiles_in(unit), strict=True):
                    wanted.setdefault(source.tensor, {})[tile] = None
        return cls(graph, found, sinks, tuple(reversed(units)), board.stream_bits, levels)

    def ports(self) -> dict[str, Type]:
        """Types of the streams in: if all readers see an input in one other shape, it has that."""
        out = dict(self.graph.inputs)
        for name in out:
            seen = {s.type for stage in self.stages for s in stage.sources if s.tensor == name}
            if len(seen) == 1:
                out[name] = seen.pop()
        return out

    @cached_property
    def choices(self) -> tuple[tuple[Choice, ...], ...]:
        """The candidates of every stage as the integer program sees them."""
        return tuple(tuple(map(_choice, offers)) for offers in self.units)

    def picks(self, solution: Solution) -> tuple[int, ...]:
        """Which candidate of every stage was chosen."""
        ports = len(self.graph.inputs)
        return solution.picks[ports : ports + len(self.stages)]

    def problem(self, limits: Cost) -> Problem:
        choices: list[list[Choice]] = []
        place: dict[str, int] = {}
        types: dict[str, Type] = {}
        windows: dict[int, set[Tile]] = {}
        for name, type in self.ports().items():
            place[name], types[name] = len(choices), type
            choices.append([_port(type, t, ()) for t in port_tiles(type, self.port_width)])
        joints: list[Joint] = []
        for stage, mine in zip(self.stages, self.choices, strict=True):
            here = place[stage.tensor] = len(choices)
            types[stage.tensor] = stage.type
            choices.append(list(mine))
            for port, source in enumerate(stage.sources):
                src = place[source.tensor]
                joints.append(self._joint(src, here, port, source, types, windows.get(src)))
            if isinstance(stage.op, Window):
                windows[here] = {c.output for c in choices[here]}
        for sink in self.sinks:
            tiles = port_tiles(sink.type, self.port_width)
            joints.append(self._joint(place[sink.tensor], len(choices), 0, sink, types))
            choices.append([_port(sink.type, t, (t,)) for t in tiles])
        return Problem(choices, joints, limits)

    def _joint(
        self,
        src: int,
        dst: int,
        port: int,
        source: Source,
        types: dict[str, Type],
        direct: set[Tile] | None = None,
    ) -> Joint:
        """``direct``: tiles that get no converter, since a unit of ``src`` gives them itself. Line
        buffers cut windows as their readers want them; a converter behind one moves every pixel
        as often as there are taps."""
        kind = types[source.tensor]

        def between(a: Tile, b: Tile) -> tuple[Cost, int] | None:
            if direct is not None and b in direct and not Repack.free(kind, a, source.type, b):
                return None
            found = link(kind, a, source.type, b, self.levels)
            return None if found is None else (_cost(found.resources), found.interval)

        return Joint(src, dst, port, between)


def _cost(resources: Resources) -> Cost:
    return tuple(float(getattr(resources, r)) for r in RESOURCES)


def _choice(unit: Unit) -> Choice:
    (output,) = unit.outputs().values()
    return Choice(_cost(unit.resources()), interval(unit), tiles_in(unit), output.tile)


def _port(type: Type, tile: Tile, inputs: tuple[Tile, ...]) -> Choice:
    return Choice((0.0,) * len(RESOURCES), Layout(type, tile).beats, inputs, tile)


def _assemble(plan: _Plan, solution: Solution) -> tuple[Design, dict[str, str], dict[str, str]]:
    """Instances, converters and edges of the chosen candidates."""
    ports = len(plan.graph.inputs)
    instances: dict[str, Unit] = {}
    carries: dict[str, str] = {}
    edges: list[Edge] = []
    end: dict[str, tuple[End, Type, Tile]] = {}
    for (name, type), pick in zip(plan.ports().items(), solution.picks, strict=False):
        end[name] = ("", name), type, port_tiles(type, plan.port_width)[pick]
    converted: dict[tuple[str, Type, Tile], End] = {}

    def connect(source: Source, tile: Tile, dst: End) -> None:
        src, kind, a = end[source.tensor]
        found = link(kind, a, source.type, tile, plan.levels)
        assert found is not None
        if found.repack is not None:
            key = (source.tensor, source.type, tile)
            if key not in converted:
                name = f"{source.tensor}_to_{'_'.join(p for p in dst if p)}"
                instances[name] = found.repack
                carries[name] = source.tensor
                converted[key] = (name, "y")
                edges.append(Edge(src, (name, "x")))
            src = converted[key]
        edges.append(Edge(src, dst))

    for k, (stage, offers) in enumerate(zip(plan.stages, plan.units, strict=True)):
        unit = offers[solution.picks[ports + k]]
        instances[stage.tensor] = unit
        carries[stage.tensor] = stage.tensor
        for (port, layout), source in zip(unit.inputs().items(), stage.sources, strict=True):
            connect(source, layout.tile, (stage.tensor, port))
        ((port, layout),) = unit.outputs().items()
        end[stage.tensor] = (stage.tensor, port), stage.type, layout.tile
    outputs: dict[str, str] = {}
    for k, (name, sink) in enumerate(zip(plan.graph.outputs, plan.sinks, strict=True)):
        tiles = port_tiles(sink.type, plan.port_width)
        outputs[name] = f"{name}_out"
        connect(sink, tiles[solution.picks[ports + len(plan.stages) + k]], ("", outputs[name]))
    return Design("network", instances, tuple(edges)), carries, outputs


def _why(plan: _Plan, goal: Goal, board: Board, limits: Cost) -> str:
    """Why nothing fits: the cheapest network regardless of the limits, and what dominates it."""
    boundless = tuple(max(1.0, value) for value in _cost(board.budget))
    free = replace(goal, max_util=1e6).limits(board.budget)
    loose = plan.problem(tuple(f + b for f, b in zip(free, boundless, strict=True)))
    slowest = loose.intervals()[-1]
    cheapest = loose.cheapest(slowest)
    if cheapest is None:
        return "no combination of units and converters connects this network"
    over = {r: (u, m) for r, u, m in zip(RESOURCES, cheapest.used, limits, strict=True) if u > m}
    if not over:
        least = loose.intervals()[0]
        wish = f" in {goal.max_interval} cycles a frame" if goal.max_interval else ""
        return (
            f"nothing fits {board.name}{wish}: no unit is faster than {least} cycles, or the "
            "faster ones exceed --max-util; lower --target-fps or raise --max-util"
        )
    lines = []
    for name, (used, limit) in over.items():
        k = RESOURCES.index(name)
        costs = [
            (choices[pick].cost[k], stage.tensor)
            for stage, choices, pick in zip(
                plan.stages, plan.choices, plan.picks(cheapest), strict=True
            )
        ]
        most, layer = max(costs)
        lines.append(
            f"{name} {used:.0f} of {limit:.0f} allowed, most of it ({most:.0f}) in {layer!r}"
        )
    return (
        f"the network does not fit {board.name}: even its smallest form needs {'; '.join(lines)}. "
        "Use fewer weight bits or channels there, raise --max-util, or take a larger board"
    )
