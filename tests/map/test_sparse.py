"""Sparse weights: the mapper takes the units that exploit them where they win."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.graph import Conv2d, Dense, Graph, MatMul, Node, Requant, Reshape, Type, run
from hwc.compiler.lower import hardware
from hwc.compiler.map.mapping import Goal, map_graph
from hwc.compiler.verification import layer_boundaries, verify_network
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.sparse.unit import SparseMatVec
from hwc.sim.depths import size_queues
from hwc.sim.verilator import compile

BOARD = get("pynq-z2")


def pattern(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """2:4 bytes."""
    full = rng.integers(-127, 128, shape)
    rank = np.argsort(rng.random((full.size // 4, 4)), axis=1)
    return np.where(rank < 2, full.reshape(-1, 4), 0).reshape(shape)


def few(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes, a tenth of them other than 0."""
    return np.where(rng.random(shape) < 0.1, rng.integers(-127, 128, shape), 0)


def network(weights: list[np.ndarray], image: Type) -> Graph:
    """Convolutions (4 axes), then fully connected layers, with bytes between them."""
    rng, nodes, last, kind, graph = np.random.default_rng(1), [], "x", image, None
    for k, weight in enumerate(weights):
        if weight.ndim == 2 and len(kind.shape) > 1:
            nodes.append(Node("flat", Reshape((weight.shape[1],)), (last,)))
            last, kind = "flat", kind.with_shape((weight.shape[1],))
        op = Conv2d(Dense(weight)) if weight.ndim == 4 else MatMul(Dense(weight))
        kind = op.infer(kind)
        nodes.append(Node(f"sum{k}", op, (last,)))
        graph = Graph((("x", image),), tuple(nodes), (f"sum{k}",))
        sample = run(graph, {"x": rng.integers(0, 256, (32, *image.shape))})[f"sum{k}"]
        act = Requant([int(2**24 / max(1, np.abs(sample).max()))], [0], 17, 0, 127)
        if k < len(weights) - 1:
            nodes.append(Node(f"y{k}", act, (f"sum{k}",)))
            last, kind = f"y{k}", act.infer(kind)
    assert graph is not None
    return Graph((("x", image),), tuple(nodes), (f"sum{len(weights) - 1}",)).verify()


def prove(graph: Graph, goal: Goal, folder: Path) -> list[type[Unit]]:
    """Map, size the queues, simulate under stalls; the kinds of units of the products."""
    graph = hardware(graph)
    mapped = map_graph(graph, BOARD, goal)
    sized = size_queues(mapped.design)
    mapped = mapped.with_design(sized.design)
    simulation = compile(mapped.design, folder, taps=layer_boundaries(mapped))
    rng = np.random.default_rng(5)
    x = {n: rng.integers(t.lo, t.hi + 1, (5, *t.shape)) for n, t in graph.inputs}
    checked = verify_network(simulation, mapped, graph, x, sized.timing, 1)
    assert checked.interval == sized.timing.interval >= mapped.interval
    products = (MatVec, NMMatVec, SparseMatVec)
    return [type(u) for u in mapped.design.instances.values() if isinstance(u, products)]


@pytest.mark.slow
def test_two_of_four(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [pattern(rng, (8, 3, 3, 4)), pattern(rng, (16, 128)), pattern(rng, (4, 16))]
    image = Type((6, 6, 4), 0, 255)
    graph = network(weights, image)
    assert NMMatVec in prove(graph, Goal(max_interval=200), tmp_path)
    dense = [np.where(w == 0, 1, w) for w in weights]
    assert NMMatVec not in prove(network(dense, image), Goal(max_interval=200), tmp_path)


@pytest.mark.slow
def test_a_tenth_of_all_weights(tmp_path: Path) -> None:
    """A convolution and the fully connected layer behind it."""
    rng = np.random.default_rng(2)
    weights = [few(rng, (12, 3, 3, 8)), few(rng, (48, 192)), few(rng, (10, 48))]
    kinds = prove(network(weights, Type((6, 6, 8), 0, 255)), Goal(max_interval=300), tmp_path)
    assert kinds.count(SparseMatVec) >= 2
