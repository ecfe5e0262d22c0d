"""Static rearrangements."""

import numpy as np
import pytest

from hwc.compiler.graph import Gather, Graph, GraphError, Node, Type, run

BIPOLAR = Type((4,), -1, 1, bipolar=True)


def test_elements_are_numbered_in_row_major_order() -> None:
    x = np.random.default_rng(0).integers(-9, 9, (3, 2, 4, 5))
    index = np.arange(40).reshape(2, 4, 5).transpose(2, 0, 1)
    assert np.array_equal(Gather(index, (5, 2, 4)).reference(x), x.transpose(0, 3, 1, 2))
    assert Gather(index, (5, 2, 4)) == Gather(index.ravel(), (5, 2, 4))
    assert Gather(index, (5, 2, 4)).infer(Type((2, 4, 5), -9, 8)) == Type((5, 2, 4), -9, 8)


def test_repeats_and_omissions() -> None:
    x = np.array([[[7, 8, 9]], [[1, 2, 3]]])
    assert Gather([2, 2, 0, 2], (2, 2)).reference(x).tolist() == [
        [[9, 9], [7, 9]],
        [[3, 3], [1, 3]],
    ]


def test_fill_stands_where_the_index_is_minus_one_and_nowhere_else() -> None:
    x = np.array([[1, 2, 3, -5]])
    op = Gather([-1, 3, -1, 0], (4,), -5)
    assert op.reference(x).tolist() == [[-5, -5, -5, 1]]
    low = -(2**63)
    assert Gather([-1, 0], (2,), low).reference(np.array([[2**63 - 1]])).tolist() == [
        [low, 2**63 - 1]
    ]


@pytest.mark.parametrize(
    ("index", "fill", "x", "y"),
    [
        ([0, 1], 99, Type((2,), 2, 3), Type((2,), 2, 3)),
        ([0, -1], 99, Type((2,), 2, 3), Type((2,), 2, 99)),
        ([0, -1], 0, Type((2,), 2, 3), Type((2,), 0, 3)),
        ([0, -1], 3, Type((2,), 2, 3), Type((2,), 2, 3)),
        ([3, 1], 0, BIPOLAR, Type((2,), -1, 1, bipolar=True)),
        ([3, -1], 0, BIPOLAR, Type((2,), -1, 1)),
        ([3, -1], 1, BIPOLAR, Type((2,), -1, 1, bipolar=True)),
        ([3, -1], -1, BIPOLAR, Type((2,), -1, 1, bipolar=True)),
        ([3, -1], 2, BIPOLAR, Type((2,), -1, 2)),
    ],
)
def test_type(index: list[int], fill: int, x: Type, y: Type) -> None:
    assert Gather(index, (2,), fill).infer(x) == y


def test_in_a_graph_it_is_short() -> None:
    x = Type((4, 4, 3), 0, 9)
    index = np.arange(48).reshape(4, 4, 3).repeat(2, 0).repeat(2, 1)
    graph = Graph((("x", x),), (Node("y", Gather(index, index.shape), ("x",)),), ("y",))
    frames = np.random.default_rng(1).integers(0, 10, (2, 4, 4, 3))
    y = run(graph, frames)["y"]
    assert np.array_equal(y, frames.repeat(2, 1).repeat(2, 2))
    assert len(str(graph.nodes[0])) < 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gather([0], ()), r"at least one axis and sizes >= 1, got \(\)"),
        (lambda: Gather([0], (1, 0)), r"at least one axis and sizes >= 1, got \(1, 0\)"),
        (
            lambda: Gather([0, 1, 2], (2, 2)),
            r"index must be \(4,\) or \(2, 2\), an entry per element .* got shape \(3,\)",
        ),
        (lambda: Gather([[0], [1]], (1, 2)), r"must be \(2,\) or \(1, 2\), .* got shape \(2, 1\)"),
        (lambda: Gather([0, -2], (2,)), r"index must be >= -1 \(-1 is fill\), got -2"),
        (lambda: Gather([-1, -1], (2,)), "at least one element of the input, got -1 only"),
        (lambda: Gather([0.0], (1,)), "Gather: index: integers are needed"),
        (lambda: Gather([0], (1,), 2**63), "fill must fit in int64"),
        (
            lambda: Gather([0, 6], (2,)).infer(Type((2, 3), 0, 1)),
            r"index must be in \[-1, 5\] for the input \(2, 3\), got 6",
        ),
        (lambda: Gather([0], (1,)).infer(), "takes 1 input, got 0"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
