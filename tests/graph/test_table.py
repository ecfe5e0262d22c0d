"""Tables of any function."""

import numpy as np
import pytest

from hwc.compiler.graph import Graph, GraphError, Node, Table, Type, run

BIPOLAR = Type((2,), -1, 1, bipolar=True)


def test_values_are_looked_up_from_the_lowest_input() -> None:
    table = Table([[5, -2, 9, 9]], -1)
    assert table.reference(np.array([[-1, 0], [2, 1]])).tolist() == [[5, -2], [9, 9]]
    assert Table([5, -2, 9, 9], -1) == table, "a plain row is one row"


def test_rows_are_channels_of_the_last_axis() -> None:
    table = Table([[0, 1], [10, 11], [20, 21]], 4)
    x = np.random.default_rng(0).integers(4, 6, (5, 2, 4, 3))
    assert np.array_equal(table.reference(x), x - 4 + np.array([0, 10, 20]))


def test_every_input_at_the_edge_of_int64() -> None:
    low, high = -(2**63), 2**63 - 1
    table = Table([[high, low, 0]], low)
    x = np.array([[low], [low + 1], [low + 2]])
    assert table.reference(x).ravel().tolist() == [high, low, 0]
    assert table.infer(Type((1,), low, low + 2)) == Type((1,), low, high)
    top = Table([1, 2], high - 1)
    assert top.reference(np.array([[high, high - 1]])).tolist() == [[2, 1]]
    assert top.infer(Type((2,), high - 1, high)) == Type((2,), 1, 2)


def test_type_is_what_can_be_reached() -> None:
    table = Table([[-99, 3, 1, 4, 99], [-99, 1, 5, 9, 99]], 0)
    assert table.infer(Type((7, 2), 1, 3)) == Type((7, 2), 1, 9)
    assert table.infer(Type((7, 2), 2, 2)) == Type((7, 2), 1, 5)
    assert table.infer(Type((2,), 0, 4)) == Type((2,), -99, 99)


def test_bipolar_inputs_never_reach_the_entry_of_zero() -> None:
    table = Table([[4, 1000, 6], [5, -1000, 5]], -1)
    assert table.infer(BIPOLAR) == Type((2,), 4, 6)
    assert table.infer(Type((2,), -1, 1)) == Type((2,), -1000, 1000)


def test_signs_are_bipolar() -> None:
    assert Table([1, 7, -1], -1).infer(BIPOLAR) == BIPOLAR
    assert Table([1, -1, -1, 1], 0).infer(Type((2,), 0, 3)) == BIPOLAR
    assert Table([1, 0, -1], 0).infer(Type((2,), 0, 2)) == Type((2,), -1, 1)
    assert Table([1, 1, -1], 0).infer(Type((2,), 0, 1)) == Type((2,), 1, 1)


def test_in_a_graph() -> None:
    sigmoid = np.round(255 / (1 + np.exp(-np.arange(-64, 64) / 12))).astype(int)
    x = Type((3, 2), -64, 63)
    graph = Graph((("x", x),), (Node("y", Table(sigmoid, -64), ("x",)),), ("y",))
    frames = np.arange(-60, 60).reshape(20, 3, 2)
    assert np.array_equal(run(graph, frames)["y"], sigmoid[frames + 64])
    assert "Table(IntArray(1x128" in str(graph)
    assert len(repr(graph.nodes[0])) < 150


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Table(np.zeros((1, 0), int), 0),
            r"values must be \(C or 1, L >= 1\), got shape \(1, 0\)",
        ),
        (lambda: Table([[[1]]], 0), r"values must be \(C or 1, L >= 1\), got shape \(1, 1, 1\)"),
        (lambda: Table([0.5], 0), "Table: values: integers are needed"),
        (lambda: Table([1], 2.5), "lo must be an integer, got 2.5"),  # pyright: ignore
        (
            lambda: Table([1, 2, 3], -1).infer(Type((4,), -1, 2)),
            r"3 values from lo=-1 take inputs in \[-1, 1\], got 4 \[-1, 2\]",
        ),
        (
            lambda: Table([1, 2, 3], -1).infer(Type((4,), -2, 1)),
            r"take inputs in \[-1, 1\], got 4 \[-2, 1\]",
        ),
        (
            lambda: Table([[1], [2]], 0).infer(Type((2, 3), 0, 0)),
            r"values must have 1 entry or 3, one per channel of the input \(2, 3\), got 2",
        ),
        (lambda: Table([1], 0).infer(), "takes 1 input, got 0"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
