"""Weights with few values or patterns: the mapper takes the units that exploit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.graph import Conv2d, Graph, MatMul, Node, Requant, Reshape, Type, recognize, run
from hwc.compiler.lower import hardware
from hwc.compiler.map.candidates import MappingError, candidates, interval
from hwc.compiler.map.mapping import Goal, map_graph
from hwc.compiler.map.stages import stages
from hwc.compiler.verification import layer_boundaries, verify_network
from hwc.sim.depths import size_queues
from hwc.sim.verilator import compile

BOARD = get("pynq-z2")
Make = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def powers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Powers of two from 1 to 64, either sign, and 0."""
    sizes = np.where(rng.random(shape) < 0.2, 0, 1 << rng.integers(0, 7, shape))
    return sizes * rng.choice([-1, 1], shape)


def bytes_(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-127, 128, shape)


def values(count: int) -> Make:
    """So many different bytes, none of them 0 or a power of two."""
    table = np.array([v for v in np.linspace(-119, 121, count).astype(int) | 1 if abs(v) > 2])
    return lambda rng, shape: rng.choice(table, shape)


def pieces(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Blocks of four inputs, each with a codebook of eight pieces."""
    rows, columns = shape
    book = rng.integers(-127, 128, (columns // 4, 8, 4))
    return book[np.arange(columns // 4), rng.integers(0, 8, (rows, columns // 4))].reshape(shape)


def network(weights: list[np.ndarray], image: Type) -> Graph:
    """Convolutions (4 axes), then fully connected layers, with bytes between them."""
    rng, nodes, last, kind = np.random.default_rng(1), list[Node](), "x", image
    for k, weight in enumerate(weights):
        if weight.ndim == 2 and len(kind.shape) > 1:
            nodes.append(Node("flat", Reshape((weight.shape[1],)), (last,)))
            last, kind = "flat", kind.with_shape((weight.shape[1],))
        op = Conv2d(recognize(weight)) if weight.ndim == 4 else MatMul(recognize(weight))
        nodes.append(Node(f"fc{k}", op, (last,)))
        graph = Graph((("x", image),), tuple(nodes), (f"fc{k}",))
        sample = run(graph, {"x": rng.integers(0, image.hi + 1, (32, *image.shape))})[f"fc{k}"]
        act = Requant([int(2**24 / max(1, np.abs(sample).max()))], [0], 17, 0, 127)
        nodes.append(Node(f"y{k}", act, (f"fc{k}",)))
        last, kind = f"y{k}", act.infer(op.infer(kind))
    return Graph((("x", image),), tuple(nodes[:-1]), (nodes[-2].name,)).verify()


def forms(graph: Graph, goal: Goal, folder: Path) -> list[str]:
    """Map, size the queues, simulate under stalls; the forms of the products."""
    graph = hardware(graph)
    mapped = map_graph(graph, BOARD, goal)
    sized = size_queues(mapped.design)
    mapped = mapped.with_design(sized.design)
    simulation = compile(mapped.design, folder, taps=layer_boundaries(mapped))
    rng = np.random.default_rng(5)
    x = {n: rng.integers(t.lo, t.hi + 1, (5, *t.shape)) for n, t in graph.inputs}
    checked = verify_network(simulation, mapped, graph, x, sized.timing, 1)
    assert checked.interval == sized.timing.interval >= mapped.interval
    return [u.variant for u in mapped.design.instances.values() if u.variant]


def two(make: Make, rows: int = 48, columns: int = 64) -> Graph:
    """Two fully connected layers of such weights."""
    rng = np.random.default_rng(0)
    return network([make(rng, (rows, columns)), make(rng, (12, rows))], Type((columns,), 0, 255))


def offered(graph: Graph) -> set[str]:
    """Forms that some stage is offered in."""
    found, _ = stages(hardware(graph))
    return {unit.variant for stage in found for unit in candidates(stage, (), 10)}


def test_shifts_are_offered_for_powers_of_two_only() -> None:
    assert "shift" in offered(two(powers))
    assert "shift" not in offered(two(bytes_))


def test_shifts_are_taken_where_they_win() -> None:
    mapped = map_graph(hardware(two(powers)), BOARD, Goal(max_interval=400))
    chosen = mapped.design.instances["y0"]
    assert chosen.variant == "shift"
    assert interval(chosen) <= 400
    lost = {other.variant: other for other in mapped.others["y0"]}
    assert {"dense", "codebook"} <= lost.keys()
    assert all("times the share" in lost[form].why for form in ("dense", "codebook"))


def test_each_form_is_offered_for_what_it_exploits() -> None:
    """Few values, few pieces; random bytes are neither."""
    assert "centroids" in offered(two(values(9)))
    assert "tables" in offered(two(pieces))
    assert "tables" in offered(two(lambda rng, shape: rng.integers(-1, 2, shape)))
    assert not {"centroids", "tables", "codebook"} & offered(two(bytes_))


def test_centroids_are_taken_where_they_win() -> None:
    """Long sums of few values; with as many values as they may have, and short sums, they lose."""
    goal = Goal(max_interval=2000)
    mapped = map_graph(hardware(two(values(6), 48, 512)), BOARD, goal)
    assert mapped.design.instances["y0"].variant == "centroids"
    mapped = map_graph(hardware(two(values(32), 48, 128)), BOARD, Goal(max_interval=200))
    assert mapped.design.instances["y0"].variant != "centroids"
    lost = {other.variant: other for other in mapped.others["y0"]}
    assert "centroids" in lost


def test_tables_are_taken_where_they_win() -> None:
    """Many outputs that share pieces."""
    mapped = map_graph(hardware(two(pieces, 192, 128)), BOARD, Goal(max_interval=500))
    assert mapped.design.instances["y0"].variant == "tables"
    lost = {other.variant for other in mapped.others["y0"]}
    assert "dense" in lost


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (powers, "shift"),
        (powers, "codebook"),
        (powers, "dense"),
        (values(9), "centroids"),
        (pieces, "tables"),
        (pieces, "dense"),
    ],
)
def test_a_form_is_forced(make: Make, form: str) -> None:
    mapped = map_graph(hardware(two(make)), BOARD, Goal(max_interval=400, units={"fc0": form}))
    assert mapped.design.instances["y0"].variant == form
    assert mapped.interval <= 400


def test_a_form_that_the_weights_do_not_have_is_refused() -> None:
    for form in ("shift", "centroids", "tables"):
        with pytest.raises(MappingError, match=f"fc0={form}: nothing builds it in this form; the"):
            map_graph(hardware(two(bytes_)), BOARD, Goal(max_interval=400, units={"fc0": form}))


@pytest.mark.slow
def test_a_network_of_powers_of_two_is_exact(tmp_path: Path) -> None:
    """Convolution and fully connected layers."""
    rng = np.random.default_rng(2)
    weights = [powers(rng, (8, 3, 3, 4)), powers(rng, (16, 128)), powers(rng, (4, 16))]
    found = forms(network(weights, Type((6, 6, 4), 0, 255)), Goal(max_interval=400), tmp_path)
    assert "shift" in found


@pytest.mark.slow
@pytest.mark.parametrize(("make", "form"), [(values(6), "centroids"), (pieces, "tables")])
def test_a_network_of_a_form_is_exact(make: Make, form: str, tmp_path: Path) -> None:
    goal = Goal(max_interval=1000, units={"fc0": form})
    assert form in forms(two(make, 48, 128), goal, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["centroids", "tables"])
def test_a_convolution_of_a_form_is_exact(form: str, tmp_path: Path) -> None:
    """Five channels, so that lanes and blocks have tails."""
    rng = np.random.default_rng(3)
    few = rng.choice([-7, 3], (24, 3, 3, 5))
    graph = network([few, bytes_(rng, (4, 384))], Type((6, 6, 5), 0, 255))
    assert form in forms(graph, Goal(max_interval=4000, units={"fc0": form}), tmp_path)
