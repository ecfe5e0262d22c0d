"""Forms of a layer: forced, refused, and compared in the report."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.graph import Graph, MatMul, Node, Requant, Type, recognize
from hwc.compiler.lower import hardware
from hwc.compiler.map.candidates import MappingError, interval
from hwc.compiler.map.mapping import Goal, map_graph
from hwc.compiler.map.variants import parse

BOARD = get("pynq-z2")


def few_values() -> Graph:
    """Two layers of nine different int8 weights, none of them 0."""
    rng = np.random.default_rng(0)
    table = np.array([-101, -77, -40, -9, 5, 21, 60, 88, 113])
    x = Type((64,), 0, 15)
    nodes = (
        Node("fc1", MatMul(recognize(rng.choice(table, (24, 64)))), ("x",)),
        Node("act1", Requant([7], [0], 12, 0, 15), ("fc1",)),
        Node("fc2", MatMul(recognize(rng.choice(table, (6, 24)))), ("act1",)),
    )
    return hardware(Graph((("x", x),), nodes, ("fc2",)).verify())


@pytest.mark.parametrize("variant", ["dense", "codebook"])
@pytest.mark.parametrize("layer", ["fc1", "act1"])
def test_a_form_is_forced_by_any_name_of_the_layer(variant: str, layer: str) -> None:
    mapped = map_graph(few_values(), BOARD, Goal(max_interval=500, units={layer: variant}))
    assert mapped.design.instances["act1"].variant == variant
    assert mapped.interval <= 500


def test_a_form_that_only_the_fastest_units_have_is_found_for_slow_goals() -> None:
    mapped = map_graph(few_values(), BOARD, Goal(max_interval=1500, units={"fc2": "wired"}))
    unit = mapped.design.instances["fc2"]
    assert (unit.variant, interval(unit), unit.stored_bits()) == ("wired", 1, 0)


def test_codes_take_half_of_the_memory() -> None:
    """Of at least as many cycles; with tails of words both are a little more."""
    stored = {}
    for variant in ("dense", "codebook"):
        goal = Goal(max_interval=500, units={"fc1": variant})
        stored[variant] = map_graph(few_values(), BOARD, goal).design.instances["act1"]
    weights = 24 * 64
    assert 8 * weights <= stored["dense"].stored_bits() < 10 * weights
    assert 4 * weights <= stored["codebook"].stored_bits() < 5 * weights


def test_the_others_are_named_with_what_they_take() -> None:
    goal = Goal(max_interval=500, units={"fc1": "dense"})
    assert map_graph(few_values(), BOARD, goal).others["act1"] == (), "nothing else was allowed"
    mapped = map_graph(few_values(), BOARD, Goal(max_interval=500))
    chosen, others = mapped.design.instances["act1"], mapped.others["act1"]
    names = {other.variant for other in others}
    assert chosen.variant not in names
    assert {chosen.variant, *names} >= {"dense", "codebook"}
    for other in others:
        assert "times the share of the board" in other.why or "cycles a frame" in other.why
        if other.resources is not None:
            assert other.interval is not None
            assert other.interval <= 500


@pytest.mark.parametrize(
    ("units", "why"),
    [
        ({"fc9": "dense"}, "there is no layer 'fc9'; there are fc1, act1, fc2"),
        ({"fc1": "n_of_m"}, "--unit fc1=n_of_m: nothing builds it in this form; there is"),
        ({"fc1": "dense", "act1": "codebook"}, "nothing builds it in this form"),
    ],
)
def test_what_cannot_be_is_refused(units: dict[str, str], why: str) -> None:
    with pytest.raises(MappingError, match=why):
        map_graph(few_values(), BOARD, Goal(max_interval=500, units=units))


def test_a_layer_without_forms_says_so() -> None:
    rng = np.random.default_rng(0)
    nodes = (
        Node("act", Requant([1], [0], 1, 0, 7), ("x",)),
        Node("fc", MatMul(recognize(rng.integers(-7, 8, (4, 9)))), ("act",)),
    )
    graph = hardware(Graph((("x", Type((9,), 0, 15)),), nodes, ("fc",)).verify())
    with pytest.raises(MappingError, match="it has one form only"):
        map_graph(graph, BOARD, Goal(units={"act": "dense"}))


def test_notation() -> None:
    assert parse(["fc1=dense", " a=b = wired "]) == {"fc1": "dense", "a=b": "wired"}
    for text in ("fc1", "=dense", "fc1="):
        with pytest.raises(MappingError, match="must be LAYER=FORM"):
            parse([text])
    with pytest.raises(MappingError, match="'fc1' has a form already"):
        parse(["fc1=dense", "fc1=wired"])


def test_what_data_decide_is_built_only_if_asked_for() -> None:
    """It promises the cycles of dense vectors, so nobody chooses it for its speed."""
    mapped = map_graph(few_values(), BOARD, Goal(max_interval=500, units={"fc2": "skip"}))
    assert mapped.design.instances["fc2"].variant == "skip"
    assert interval(mapped.design.instances["fc2"]) <= mapped.interval <= 500
    free = map_graph(few_values(), BOARD, Goal(max_interval=500))
    assert all(unit.variant != "skip" for unit in free.design.instances.values())
    assert all(o.variant != "skip" for found in free.others.values() for o in found)
