"""Graphs are values; verification finds every illegal one and says why."""

import copy
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from hwc.compiler.graph import (
    Add,
    Conv2d,
    Dense,
    Graph,
    GraphError,
    MatMul,
    MultiThreshold,
    Node,
    Reshape,
    Type,
)

X = Type((4,), 0, 3)
COPY = Reshape((4,))


def small(scale: int = 1) -> Graph:
    """Two inputs, a sum and a product."""
    nodes = (
        Node("sum", Add((1, scale)), ("x", "y")),
        Node("out", MatMul(Dense(np.ones((2, 4), int))), ("sum",)),
    )
    return Graph((("x", X), ("y", Type((4,), -1, 1, bipolar=True))), nodes, ("out", "sum"))


def test_graphs_are_values() -> None:
    graph = small()
    assert graph == small()
    assert hash(graph) == hash(small())
    assert graph != small(2)
    assert len({graph, small(), small(2)}) == 2
    with pytest.raises(FrozenInstanceError):
        graph.nodes = ()  # pyright: ignore
    lists = Graph([("x", X)], [Node("y", COPY, ["x"])], ["y"])  # pyright: ignore
    assert lists == Graph((("x", X),), (Node("y", COPY, ("x",)),), ("y",))
    assert hash(lists)


def test_graphs_can_be_pickled_and_copied() -> None:
    graph = small().verify()
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert copy.deepcopy(graph) == graph
    assert replace(graph, outputs=("out",)).verify().outputs == ("out",)
    op = MultiThreshold([[1, 2]])
    assert replace(op, lo=3) == MultiThreshold([[1, 2]], lo=3)
    assert pickle.loads(pickle.dumps(op)) == op


def test_types_nodes_and_consumers() -> None:
    graph = small(3)
    assert dict(graph.types) == {
        "x": X,
        "y": Type((4,), -1, 1, bipolar=True),
        "sum": Type((4,), -3, 6),
        "out": Type((2,), -12, 24),
    }
    assert graph.types is graph.types
    with pytest.raises(TypeError):
        graph.types["x"] = X  # pyright: ignore
    assert graph.node("sum").args == ("x", "y")
    assert [node.name for node in graph.consumers("x")] == ["sum"]
    assert graph.consumers("out") == ()
    twice = Graph((("x", X),), (Node("a", Add(), ("x", "x")),), ("a",))
    assert len(twice.consumers("x")) == 1
    for find in (graph.node, graph.consumers):
        with pytest.raises(GraphError, match="is called 'z'"):
            find("z")


def test_printing_has_one_line_per_value() -> None:
    assert str(small()).splitlines() == [
        "x: 4 [0, 3]",
        "y: 4 bipolar",
        "sum = Add()(x, y): 4 [-1, 4]",
        f"out = MatMul({small().nodes[1].op.weight})(sum): 2 [-4, 16]",  # pyright: ignore
        "outputs: out, sum",
    ]
    conv = Conv2d(Dense(np.ones((1, 3, 3, 1), int)), padding=(1, 0, 0, 1))
    assert str(conv) == f"Conv2d({conv.weight}, padding=(1, 0, 0, 1))"
    assert str(Add((2, 1))) == "Add((2, 1))"
    broken = Graph((("x", X),), (Node("y", COPY, ("z",)),), ("y",))
    assert str(broken).splitlines()[1] == "y = Reshape((4,))(z): ?"


def test_an_input_may_be_an_output() -> None:
    assert Graph((("x", X),), (), ("x",)).verify().types["x"] == X


def node(name: str, *args: str) -> Node:
    """A node that copies, or adds."""
    return Node(name, COPY if len(args) == 1 else Add(), args)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ((node("a", "b"),), ("a",), "node 'a': its argument 'b' does not exist; known here: x"),
        ((node("a", "b"), node("b", "x")), ("a",), "'b' comes later or is part of a cycle"),
        ((node("a", "x", "b"), node("b", "a")), ("b",), "'b' comes later or is part of a cycle"),
        ((node("a", "x"), node("b", "a", "c"), node("c", "b")), ("c",), "node 'b': .* 'c' comes"),
        ((node("a", "a"),), ("a",), "node 'a': its argument 'a' comes later or is part of a cycle"),
        ((node("a", "x"), node("a", "x")), ("a",), "names must be unique, got 'a' twice"),
        ((node("x", "x"),), ("x",), "names must be unique, got 'x' twice"),
        ((node("", "x"),), ("",), "names must be strings with at least one letter, got ''"),
        ((node("a", "x"), node("b", "x")), ("a",), "'b' is not used: nothing takes it"),
        ((), (), "at least one output, got none"),
        ((node("a", "x"),), ("a", "c"), "output 'c' does not exist; known: x, a"),
        ((node("a", "x"),), ("a", "a"), "outputs must be unique, got 'a' twice"),
        ((Node("a", Reshape((5,)), ("x",)),), ("a",), r"node 'a': Reshape: \(5,\) has 5 elements"),
    ],
)
def test_verify_names_what_is_wrong(
    nodes: tuple[Node, ...], outputs: tuple[str, ...], message: str
) -> None:
    graph = Graph((("x", X),), nodes, outputs)
    with pytest.raises(GraphError, match=message):
        graph.verify()
    with pytest.raises(GraphError, match=message):
        _ = graph.types


def test_unused_and_repeated_inputs() -> None:
    with pytest.raises(GraphError, match="'y' is not used"):
        Graph((("x", X), ("y", X)), (node("a", "x"),), ("a",)).verify()
    with pytest.raises(GraphError, match="got 'x' twice"):
        Graph((("x", X), ("x", X)), (node("a", "x"),), ("a",)).verify()


def test_construction_errors() -> None:
    with pytest.raises(GraphError, match="node 'a': args must be a tuple of names, got a string"):
        Node("a", COPY, "x")  # pyright: ignore
    with pytest.raises(GraphError, match="node 'a': op must be an Op value"):
        Node("a", Reshape, ("x",))  # pyright: ignore
    with pytest.raises(GraphError, match="got the string 'out'"):
        Graph((("x", X),), (), "out")  # pyright: ignore


def test_a_big_network_fits() -> None:
    """A layer of ResNet-50's size: hashed and compared by digest, stored in a byte per weight."""
    weight = Dense(np.random.default_rng(0).integers(-8, 8, (512, 3, 3, 512)))
    nodes = tuple(Node(f"n{i}", Conv2d(weight, padding=(1, 1, 1, 1)), ("x",)) for i in range(9))
    graph = Graph((("x", Type((7, 7, 512), 0, 15)),), nodes, tuple(n.name for n in nodes))
    assert hash(graph) == hash(copy.copy(graph))
    assert len(str(graph)) < 2000
    assert weight._stored.nbytes == weight.size
