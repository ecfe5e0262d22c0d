"""Convolutions in tiles: the op is the direct sum, and the pass keeps names, types and values."""

import numpy as np
import pytest

from hwc.compiler.graph import (
    Add,
    Conv2d,
    Dense,
    Gather,
    Graph,
    GraphError,
    MultiThreshold,
    Node,
    Requant,
    Type,
    Window,
    WinogradProduct,
    convolutions,
    expand,
    run,
    winograd,
)

RNG = np.random.default_rng(3)


def dense(*shape: int) -> Dense:
    return Dense(RNG.integers(-7, 8, shape))


def check(graph: Graph, layers: dict[str, int]) -> Graph:
    """winograd(graph, layers), after comparing the values of all names that are left."""
    x = {
        name: RNG.choice([-1, 1], (3, *t.shape))
        if t.bipolar
        else RNG.integers(t.lo, t.hi + 1, (3, *t.shape))
        for name, t in graph.inputs
    }
    tiled = winograd(graph, layers)
    kept = tuple(name for name in graph.types if name in tiled.types)
    before, after = run(graph, x, kept), run(tiled, x, kept)
    for name in kept:
        assert tiled.types[name] == graph.types[name], name
        assert np.array_equal(before[name], after[name]), name
    assert (tiled.inputs, tiled.outputs) == (graph.inputs, graph.outputs)
    expanded = run(expand(tiled), x)
    assert all(np.array_equal(expanded[name], before[name]) for name in graph.outputs)
    return tiled


@pytest.mark.parametrize(("m", "r"), [(1, 2), (2, 2), (2, 3), (3, 3), (4, 3), (2, 4)])
def test_product_by_hand(m: int, r: int) -> None:
    op, n = WinogradProduct(dense(3, r, r, 2), m), m + r - 1
    x = RNG.integers(-9, 10, (2, 3, 1, n * n, 2))
    y = op.reference(x)
    assert y.shape == (2, 3, m, m, 3)
    assert op.infer(Type((3, 1, n * n, 2), -9, 9)).shape == (3, m, m, 3)
    w, d = op.weight.dense(), x.reshape(2, 3, n, n, 2)
    for i, j, k in np.ndindex(m, m, 3):
        want = sum(
            w[k, a, b, c] * d[:, :, i + a, j + b, c]
            for a in range(r)
            for b in range(r)
            for c in range(2)
        )
        assert np.array_equal(y[:, :, i, j, k], want)


def test_product_has_the_interval_of_the_convolution() -> None:
    op = WinogradProduct(Dense(np.arange(-8, 10).reshape(1, 3, 3, 2)), 2)
    sums = op.infer(Type((1, 16, 2), 0, 3))
    assert (sums.lo, sums.hi) == (-3 * 36, 3 * 45)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(6, 8), (7, 5), (3, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 1, 0)])
def test_any_size_and_padding(
    m: int, size: tuple[int, int], padding: tuple[int, int, int, int]
) -> None:
    conv = Conv2d(dense(4, 3, 3, 2), padding=padding)
    for kind in (Type((*size, 2), 2, 9), Type((*size, 2), -9, -2), Type((*size, 2), -1, 1, True)):
        graph = Graph((("x", kind),), (Node("y", conv, ("x",)),), ("y",))
        tiled = check(graph, {"y": m})
        assert [type(node.op) for node in tiled.nodes] == [Window, WinogradProduct, Gather]
        window, product, _ = tiled.nodes
        assert (window.name, product.name) == ("y_window", "y_tiles")
        assert tiled.types["y_tiles"].lo == graph.types["y"].lo
        assert tiled.types["y_tiles"].hi == graph.types["y"].hi


def test_quantizers_move_in_front_of_the_rearrangement() -> None:
    """... if nothing else reads the sums; then the layer can be named by them as well."""
    x = Type((5, 6, 3), 0, 7)
    act = MultiThreshold(np.sort(RNG.integers(-60, 60, (4, 3)), axis=1), (False, True, True, False))
    nodes = (
        Node("one", Conv2d(dense(4, 3, 3, 3), padding=(1, 1, 1, 1)), ("x",)),
        Node("one_act", act, ("one",)),
        Node("two", Conv2d(dense(4, 2, 2, 4)), ("one_act",)),
        Node("two_act", Requant([3], [1], 4, -8, 7), ("two",)),
        Node("both", Add((1, 1)), ("two", "two_act")),
    )
    graph = Graph((("x", x),), nodes, ("both",)).verify()
    assert set(convolutions(graph)) == {"one", "one_act", "two"}
    tiled = check(graph, {"one_act": 2, "two": 3})
    assert [node.name for node in tiled.nodes] == [
        "one_window",
        "one_tiles",
        "one_act_tiles",
        "one_act",
        "two_window",
        "two_tiles",
        "two",
        "two_act",
        "both",
    ]
    assert tiled.types["one_act_tiles"].shape == (3, 3, 2, 2, 4)
    check(graph, {"one": 4})
    check(graph, {})


def test_names_that_are_taken() -> None:
    x = Type((4, 4, 1), 0, 1)
    nodes = (
        Node("y_window", Conv2d(dense(1, 3, 3, 1), padding=(1, 1, 1, 1)), ("x",)),
        Node("y", Conv2d(dense(1, 3, 3, 1)), ("y_window",)),
    )
    tiled = check(Graph((("x", x),), nodes, ("y",)), {"y": 2})
    assert [node.name for node in tiled.nodes] == ["y_window", "y_window2", "y_tiles", "y"]


def test_refusals() -> None:
    with pytest.raises(GraphError, match=r"weight must be \(N, r, r, C\), got shape"):
        WinogradProduct(dense(3, 2, 3, 1), 2)
    with pytest.raises(GraphError, match="m must be >= 1"):
        WinogradProduct(dense(3, 3, 3, 1), 0)
    with pytest.raises(GraphError, match=r"end in \(1, n \* n, C\) = \(1, 16, 1\)"):
        WinogradProduct(dense(3, 3, 3, 1), 2).infer(Type((1, 25, 1), 0, 1))
    x = Type((9, 9, 2), 0, 1)
    for conv in (
        Conv2d(dense(2, 3, 3, 2), stride=(2, 1)),
        Conv2d(dense(2, 3, 3, 2), dilation=(1, 2)),
        Conv2d(dense(2, 3, 3, 1), groups=2),
        Conv2d(dense(2, 1, 1, 2)),
        Conv2d(dense(2, 2, 3, 2)),
    ):
        graph = Graph((("x", x),), (Node("y", conv, ("x",)),), ("y",))
        with pytest.raises(GraphError, match=r"'y' is no convolution of stride .* legal: none"):
            winograd(graph, {"y": 2})
    nodes = (
        Node("y", Conv2d(dense(2, 3, 3, 2)), ("x",)),
        Node("z", Requant([3], [1], 4, -8, 7), ("y",)),
    )
    graph = Graph((("x", x),), nodes, ("z",))
    with pytest.raises(GraphError, match="'z' is named twice"):
        winograd(graph, {"y": 2, "z": 4})
