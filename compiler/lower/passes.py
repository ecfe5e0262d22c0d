"""The passes between lowering and mapping: integer graph to integer graph, meaning unchanged."""

from __future__ import annotations

from collections.abc import Callable

from hwc.compiler.graph import Graph, expand

__all__ = ["PIPELINE", "Pass", "hardware"]

Pass = Callable[[Graph], Graph]

PIPELINE: tuple[Pass, ...] = (
    expand,  # convolutions and pools as windows and products, which is what units compute
)


def hardware(graph: Graph, pipeline: tuple[Pass, ...] = PIPELINE) -> Graph:
    """The graph after all passes, verified after each."""
    for step in pipeline:
        graph = step(graph).verify()
    return graph
