"""The passes between lowering and mapping: integer graph to integer graph, meaning unchanged."""

from __future__ import annotations

from collections.abc import Callable

from hwc.compiler.graph import GlobalMaxPool, GlobalSumPool, Graph, expand
from hwc.compiler.lower.redundant import without_redundant

__all__ = ["PIPELINE", "Pass", "hardware"]

Pass = Callable[[Graph], Graph]


def windows(graph: Graph) -> Graph:
    """:func:`expand`, but global pools stay: a running sum needs no window over the whole map."""
    return expand(graph, keep=(GlobalSumPool, GlobalMaxPool))


PIPELINE: tuple[Pass, ...] = (
    without_redundant,  # channels that repeat another one, are constant or unread
    windows,  # convolutions and pools as windows and products, which is what units compute
)


def hardware(graph: Graph, pipeline: tuple[Pass, ...] = PIPELINE) -> Graph:
    """The graph after all passes, verified after each."""
    for step in pipeline:
        graph = step(graph).verify()
    return graph
