"""Networks with convolutions in tiles: mapped, simulated, and chosen where they pay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.graph import (
    Conv2d,
    Dense,
    Graph,
    Node,
    Requant,
    Type,
    WinogradProduct,
    run,
    winograd,
)
from hwc.compiler.lower import hardware
from hwc.compiler.map.candidates import MappingError
from hwc.compiler.map.mapping import Goal, map_graph
from hwc.compiler.map.variants import tiled
from hwc.compiler.verification import layer_boundaries, verify_network
from hwc.hw.units.gather.unit import GatherUnit
from hwc.hw.units.winograd.unit import Winograd
from hwc.sim.depths import size_queues
from hwc.sim.verilator import compile

BOARD = get("pynq-z2")


def chain(height: int, width: int, channels: int, bits: int = 4) -> Graph:
    """Two 3x3 convolutions."""
    rng = np.random.default_rng(4)
    top = 1 << bits - 1
    weights = [
        Dense(rng.integers(1 - top, top, (n, 3, 3, c))) for n, c in ((channels, 3), (4, channels))
    ]
    same = (1, 1, 1, 1)
    act = Requant([37], [5], 7 + bits, 0, (1 << bits) - 1)
    nodes = (
        Node("one", Conv2d(weights[0], padding=same), ("x",)),
        Node("one_act", act, ("one",)),
        Node("two", Conv2d(weights[1], padding=same), ("one_act",)),
        Node("two_act", act, ("two",)),
    )
    x = Type((height, width, 3), 0, (1 << bits) - 1)
    return Graph((("x", x),), nodes, ("two_act",)).verify()


def test_tiles_map_without_converters_between_unit_and_rearrangement() -> None:
    graph = hardware(winograd(chain(5, 6, 4), {"one": 2, "two_act": 2}))
    mapped = map_graph(graph, BOARD, Goal(max_interval=2000))
    kinds = [type(unit) for unit in mapped.design.instances.values()]
    assert kinds.count(Winograd) == kinds.count(GatherUnit) == 2
    for edge in mapped.design.edges:
        if isinstance(mapped.design.instances.get(edge.src[0]), Winograd):
            assert isinstance(mapped.design.instances[edge.dst[0]], GatherUnit)
    assert mapped.design.instances["one_act_tiles"].graph().nodes[-1].op == Requant(
        [37], [5], 11, 0, 15
    )


@pytest.mark.slow
@pytest.mark.parametrize("tiles", [{"one": 2, "two": 2}, {"two": 4}])
def test_a_network_in_tiles_is_exact(tiles: dict[str, int], tmp_path: Path) -> None:
    """Sizes that no tile divides, mixed with plain convolutions."""
    source = chain(5, 6, 4)
    graph = hardware(winograd(source, tiles))
    mapped = map_graph(graph, BOARD, Goal(max_interval=3000))
    sized = size_queues(mapped.design)
    mapped = mapped.with_design(sized.design)
    simulation = compile(mapped.design, tmp_path, taps=layer_boundaries(mapped))
    x = {"x": np.random.default_rng(5).integers(0, 16, (4, 5, 6, 3))}
    checked = verify_network(simulation, mapped, graph, x, sized.timing, 1)
    assert checked.interval == sized.timing.interval >= mapped.interval
    assert np.array_equal(run(graph, x)["two_act"], run(source, x)["two_act"])


def test_the_form_of_a_layer_makes_tiles() -> None:
    source = chain(6, 6, 4)
    graph, rest = tiled(source, {"one": "winograd2", "two": "dense"})
    assert rest == {"two": "dense"}
    ops = [type(node.op) for node in graph.nodes]
    assert ops.count(WinogradProduct) == ops.count(Conv2d) == 1
    for layer, form in (("one", "winograd1"), ("one", "winograd"), ("nine", "winograd2")):
        with pytest.raises(MappingError, match=f"--unit {layer}={form}"):
            tiled(source, {layer: form})
