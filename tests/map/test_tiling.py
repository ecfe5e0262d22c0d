"""Tiles are taken where they make a network cheaper, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.graph import Conv2d, Dense, Graph, Node, Requant, Type, WinogradProduct, run
from hwc.compiler.map.candidates import MappingError
from hwc.compiler.map.mapping import Goal, Mapping
from hwc.compiler.map.tiling import map_network

BOARD = get("pynq-z2")
FAST = Goal(max_interval=1600)


def pair(bits: int = 8, kernel: int = 3) -> Graph:
    """Two convolutions on 16 x 16 pixels, the first with a quantizer: 3 to 16 to 4 channels."""
    rng = np.random.default_rng(4)
    top = 1 << bits - 1

    def conv(outputs: int, inputs: int) -> Conv2d:
        weight = rng.integers(1 - top, top, (outputs, kernel, kernel, inputs))
        edge = kernel // 2
        return Conv2d(Dense(weight), padding=(edge, edge, edge, edge))

    nodes = (
        Node("one", conv(16, 3), ("x",)),
        Node("act", Requant([37], [5], 7 + bits, 0, (1 << bits) - 1), ("one",)),
        Node("two", conv(4, 16), ("act",)),
    )
    return Graph((("x", Type((16, 16, 3), 0, (1 << bits) - 1)),), nodes, ("two",)).verify()


def forms(mapped: Mapping) -> dict[str, str]:
    units = mapped.design.instances.items()
    return {name: unit.variant for name, unit in units if unit.variant}


@pytest.fixture(scope="module")
def fast() -> tuple[Graph, Mapping]:
    return map_network(pair(), BOARD, FAST)


def test_tiles_are_taken_where_they_save(fast: tuple[Graph, Mapping]) -> None:
    graph, mapped = fast
    assert forms(mapped)["act_tiles"] == "winograd2"
    dense = replace(FAST, units={"one": "dense"})
    _, without = map_network(pair(), BOARD, dense)
    assert forms(without)["act"] == "dense"
    assert mapped.share(BOARD, FAST) < without.share(BOARD, FAST)
    x = {"x": np.random.default_rng(5).integers(0, 256, (3, 16, 16, 3))}
    assert np.array_equal(run(graph, x)["two"], run(pair(), x)["two"])


def test_what_was_not_taken_is_named(fast: tuple[Graph, Mapping]) -> None:
    _, mapped = fast
    lost = {other.variant: other for other in mapped.others["act_tiles"]}
    assert lost.keys() >= {"winograd3", "winograd4"}
    assert lost.keys() & {"dense", "wired"}
    for other in lost.values():
        assert "times the share of the board" in other.why
        assert float(other.why.split()[1]) >= 1
        assert other.interval is not None
        assert other.interval <= 1600


def test_slow_layers_stay_as_they_are_and_say_why() -> None:
    graph, mapped = map_network(pair(), BOARD, Goal(max_interval=16000))
    assert not any(isinstance(node.op, WinogradProduct) for node in graph.nodes)
    assert "winograd2" in {other.variant for other in mapped.others["act"]}


def test_small_layers_are_not_tried() -> None:
    _, mapped = map_network(pair(bits=2), BOARD, Goal(max_interval=100_000))
    for others in mapped.others.values():
        assert not any(other.variant.startswith("winograd") for other in others)


@pytest.mark.parametrize("name", ["one", "act"])
def test_a_form_that_was_asked_for_stays(name: str) -> None:
    _, mapped = map_network(pair(), BOARD, replace(FAST, units={name: "dense"}))
    assert forms(mapped)["act"] == "dense"
    _, mapped = map_network(pair(), BOARD, replace(FAST, units={name: "winograd4"}))
    assert forms(mapped)["act_tiles"] == "winograd4"


def test_the_fastest_network_is_no_slower_for_them() -> None:
    fastest = Goal(max_util={"dsp": 0.3, "lut": 0.2})
    _, mapped = map_network(pair(), BOARD, fastest)
    plain = replace(fastest, units={"one": "dense", "two": "dense"})
    _, without = map_network(pair(), BOARD, plain)
    assert mapped.rank(BOARD, fastest) <= without.rank(BOARD, fastest)


def test_windows_without_an_algorithm_are_refused() -> None:
    with pytest.raises(MappingError, match=r"--unit one=winograd4: .* at most 10"):
        map_network(pair(bits=2, kernel=9), BOARD, Goal(units={"one": "winograd4"}))
