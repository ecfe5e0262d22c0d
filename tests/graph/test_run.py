"""Running graphs: several inputs and outputs, taps, slices, and input checks."""

import importlib

import numpy as np
import pytest

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Conv2d,
    Dense,
    Graph,
    GraphError,
    MatMul,
    MultiThreshold,
    Node,
    Reshape,
    Type,
    run,
)

module = importlib.import_module("hwc.compiler.graph.run")


def two_inputs() -> Graph:
    """y = 2x + b, and the place of its largest element."""
    nodes = (Node("y", Add((2, 1)), ("x", "b")), Node("best", ArgMax(), ("y",)))
    types = (("x", Type((3,), -4, 4)), ("b", Type((3,), -1, 1, bipolar=True)))
    return Graph(types, nodes, ("best", "y"))


def test_several_inputs_and_outputs() -> None:
    values = run(two_inputs(), {"b": [[1, -1, 1]], "x": [[0, 2, 1]]})
    assert list(values) == ["best", "y"]
    assert values["y"].tolist() == [[1, 3, 3]]
    assert values["best"].tolist() == [[1]]
    assert values["y"].dtype == np.int64


def test_taps_add_values() -> None:
    graph = Graph(
        (("x", Type((2, 2), 0, 9)),),
        (
            Node("f", Reshape((4,)), ("x",)),
            Node("d", MatMul(Dense([[1, 2, 3, 4]])), ("f",)),
            Node("t", MultiThreshold([[10, 20]]), ("d",)),
        ),
        ("t",),
    )
    x = np.array([[[1, 2], [0, 3]]], np.uint8)
    values = run(graph, x, taps=("x", "d", "t"))
    assert {name: value.tolist() for name, value in values.items()} == {
        "t": [[1]],
        "x": [[[1, 2], [0, 3]]],
        "d": [[17]],
    }
    with pytest.raises(GraphError, match="tap 'q' does not exist"):
        run(graph, x, taps=("q",))


def test_an_input_that_is_an_output_is_a_copy() -> None:
    x = np.array([[1, 2]])
    values = run(Graph((("x", Type((2,), 0, 3)),), (), ("x",)), x)
    values["x"][0, 0] = 3
    assert x.tolist() == [[1, 2]]


def test_slices_of_the_batch_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    graph = Graph(
        (("x", Type((6, 6, 2), -3, 3)),),
        (
            Node("c", Conv2d(Dense(rng.integers(-3, 4, (4, 3, 3, 2)))), ("x",)),
            Node("f", Reshape((64,)), ("c",)),
            Node("y", MatMul(Dense(rng.integers(-3, 4, (5, 64)))), ("f",)),
        ),
        ("y",),
    )
    x = rng.integers(-3, 4, (11, 6, 6, 2))
    whole = run(graph, x, taps=("c",))
    monkeypatch.setattr(module, "SLICE", 1)
    monkeypatch.setattr(module, "FEWEST", 3)
    sliced = run(graph, x, taps=("c",))
    assert all(np.array_equal(whole[name], sliced[name]) for name in ("c", "y"))
    assert len(sliced["y"]) == 11


X = np.zeros((2, 3), int)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X, r"has inputs \['x', 'b'\]: give a dict"),
        ({"x": X}, r"inputs must be \['x', 'b'\], got \['x'\]"),
        ({"x": X, "b": X + 1, "c": X}, r"got \['b', 'c', 'x'\]"),
        ({"x": X, "b": X}, r"input 'b': values must be -1 or \+1, got 0 at index \(0, 0\)"),
        (
            {"x": X + np.eye(2, 3, dtype=int) * 5, "b": X + 1},
            r"in \[-4, 4\], got 5 at index \(0, 0",
        ),
        ({"x": X - 5, "b": X + 1}, r"input 'x': values must be in \[-4, 4\], got -5"),
        ({"x": X[:1], "b": X + 1}, r"one batch size, got \{'x': 1, 'b': 2\}"),
        ({"x": X[:0], "b": X[:0] + 1}, r"at least one sample is needed, got \(0, 3\)"),
        ({"x": X[0], "b": X + 1}, r"shape \(batch, 3\) is needed, got \(3,\); add a batch axis"),
        ({"x": X[:, :2], "b": X + 1}, r"input 'x': shape \(batch, 3\) is needed, got \(2, 2\)$"),
        ({"x": X / 2, "b": X + 1}, "input 'x': integers are needed, got dtype float64"),
    ],
)
def test_input_errors(x, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        run(two_inputs(), x)


def test_an_illegal_graph_is_not_run() -> None:
    graph = Graph((("x", Type((3,), 0, 1)),), (Node("y", Reshape((4,)), ("x",)),), ("y",))
    with pytest.raises(GraphError, match="node 'y': Reshape"):
        run(graph, X)
