"""Channels that are not computed: planted ones go, and every output stays what it was."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import (
    Conv1d,
    Conv2d,
    Dense,
    GlobalSumPool,
    Graph,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Op,
    Requant,
    Reshape,
    SumPool2d,
    Type,
    recognize,
    run,
)
from hwc.compiler.lower.redundant import without_redundant

LOWEST = -(2**63)


def chain(x: Type, *ops: Op) -> Graph:
    """The operations one after another: n0, n1, ..."""
    nodes = [Node(f"n{i}", op, (f"n{i - 1}" if i else "x",)) for i, op in enumerate(ops)]
    return Graph((("x", x),), tuple(nodes), (nodes[-1].name,)).verify()


def channels(graph: Graph) -> list[int]:
    """Outputs of every product."""
    return [n.op.weight.shape[0] for n in graph.nodes if isinstance(n.op, MatMul | Conv1d | Conv2d)]


def same(graph: Graph, left: list[int]) -> Graph:
    """The graph after the pass, which leaves so many channels and computes the same."""
    found = without_redundant(graph)
    x = graph.types["x"]
    rng = np.random.default_rng(1)
    values = rng.integers(x.lo, x.hi + 1, (64, *x.shape))
    values[0], values[1] = x.lo, x.hi
    if x.bipolar:
        values = np.where(values > 0, 1, -1)
    (name,) = graph.outputs
    assert np.array_equal(run(graph, values)[name], run(found, values)[name])
    assert channels(found) == left
    assert [n.name for n in found.nodes] == [n.name for n in graph.nodes]
    return found


def dense(*shape: int, seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).integers(-7, 8, shape)
    w[w == 0] = 3
    return w


def room(weights: np.ndarray, *channels: int) -> np.ndarray:
    """The columns of these channels halved, so that the sum of two is no wider than the others."""
    weights[..., channels] //= 2
    return weights


def table(channels: int, levels: int, reach: int, seed: int = 0) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(-reach, reach, (channels, levels)), axis=1)


def test_a_network_without_redundancy_is_left_alone() -> None:
    graph = chain(
        Type((9,), 0, 15),
        MatMul(Dense(dense(6, 9))),
        MultiThreshold(table(6, 3, 90)),
        MatMul(Dense(dense(4, 6))),
    )
    assert without_redundant(graph) == graph


def test_unread_channels_take_what_feeds_them_along() -> None:
    first, second, third = dense(6, 9), dense(5, 6), dense(4, 5)
    third[:, [1, 4]] = 0
    second[[0, 2, 3], 2] = 0  # channel 2 feeds the unread ones only
    graph = chain(
        Type((9,), -8, 7),
        MatMul(Dense(first)),
        MultiThreshold(table(6, 3, 90)),
        MatMul(Dense(second)),
        Requant([3], [1], 4, 0, 15),
        MatMul(Dense(third)),
    )
    same(graph, [5, 3, 4])


@pytest.mark.parametrize("negated", [False, True])
def test_twins_become_one_behind_thresholds(negated: bool) -> None:
    first, second, levels = dense(6, 9), room(dense(4, 6), 2, 4), table(6, 3, 90)
    down = [False, True, False, False, True, False]
    first[4] = -first[2] if negated else first[2]
    levels[4] = -levels[2][::-1] if negated else levels[2]
    down[4] = negated
    graph = chain(
        Type((9,), -8, 7),
        MatMul(Dense(first)),
        MultiThreshold(levels, tuple(down)),
        MatMul(Dense(second)),
    )
    found = same(graph, [5, 4])
    reader = found.node("n2").op
    assert isinstance(reader, MatMul)
    columns = reader.weight.dense()
    assert np.array_equal(columns[:, 2], second[:, 2] + second[:, 4])


@pytest.mark.parametrize("what", ["row", "threshold", "direction", "sign"])
def test_almost_twins_stay_two(what: str) -> None:
    first, second, levels = dense(6, 9), room(dense(4, 6), 2, 4), table(6, 3, 90)
    first[4], levels[4] = first[2], levels[2]
    down = [False] * 6
    if what == "row":
        first[4, 8] += 1
    elif what == "threshold":
        levels[4, 2] += 1
    elif what == "direction":
        down[4] = True
    else:
        first[4] *= -1
    graph = chain(
        Type((9,), -8, 7),
        MatMul(Dense(first)),
        MultiThreshold(levels, tuple(down)),
        MatMul(Dense(second)),
    )
    same(graph, [6, 4])


def test_thresholds_at_the_end_of_int64_are_no_twins() -> None:
    """x <= -2**63 is never, and -x >= 2**63 is no number."""
    first, second, levels = dense(3, 9), room(dense(4, 3), 1, 2), table(3, 2, 40)
    first[2] = -first[1]
    levels[1], levels[2] = [LOWEST, 5], [-5, 2**63 - 1]
    graph = chain(
        Type((9,), -8, 7),
        MatMul(Dense(first)),
        MultiThreshold(levels, (False, False, True)),
        MatMul(Dense(second)),
    )
    same(graph, [3, 4])


def test_requantized_twins_with_negated_multipliers() -> None:
    first, second = dense(4, 9), room(dense(3, 4), 0, 3)
    first[3] = -first[0]
    graph = chain(
        Type((9,), -8, 7),
        MatMul(Dense(first)),
        Requant([5, 6, 7, -5], [1, 2, 3, 1], 5, -8, 7),
        MatMul(Dense(second)),
    )
    same(graph, [3, 3])


def test_without_a_quantizer_only_equal_rows_are_twins() -> None:
    first, second = dense(5, 9), room(dense(3, 5), 0, 1, 3, 4)
    first[3], first[4] = first[0], -first[1]
    graph = chain(Type((9,), -8, 7), MatMul(Dense(first)), MatMul(Dense(second)))
    same(graph, [4, 3])


def test_twins_stay_where_their_sum_is_dearer() -> None:
    """Two columns of signs add up to -2, 0 and 2: three bits a weight for half of the columns."""
    rng = np.random.default_rng(0)
    first, second = rng.choice([-1, 1], (8, 9)), rng.choice([-1, 1], (4, 8))
    first[7] = first[0]
    levels = np.zeros((8, 1), int)
    ops = (MatMul(recognize(first)), MultiThreshold(levels, (False,), -1, 2))
    graph = chain(Type((9,), -1, 1, True), *ops, MatMul(recognize(second)))
    assert without_redundant(graph) == graph
    first[4:] = first[:4]
    graph = chain(
        Type((9,), -1, 1, True), MatMul(recognize(first)), ops[1], MatMul(recognize(second))
    )
    assert without_redundant(graph) == graph
    first[2:4], first[4:] = first[:2], np.repeat(first[:2], 2, axis=0)
    graph = chain(
        Type((9,), -1, 1, True), MatMul(recognize(first)), ops[1], MatMul(recognize(second))
    )
    same(graph, [2, 4])


@pytest.mark.parametrize(
    "quantizer", [Requant([3], [1], 4, 0, 15), None], ids=["requant", "levels"]
)
def test_constants_go_into_the_next_quantizer(quantizer: Requant | None) -> None:
    first, second, levels = dense(5, 9), dense(4, 5), table(5, 3, 90)
    levels[1] = [-5000, -4000, 9000]  # always 2
    levels[3] = [4000, 5000, 6000]  # always 0
    after = quantizer or MultiThreshold(table(4, 3, 60), (False, True, False, True))
    head = MatMul(Dense(first)), MultiThreshold(levels), MatMul(Dense(second))
    same(chain(Type((9,), 0, 15), *head, after), [3, 4])
    # Without a quantizer nothing can take the 2 up, but the 0 goes all the same.
    same(chain(Type((9,), 0, 15), *head), [4, 4])


def test_a_constant_stays_where_a_border_is_padded() -> None:
    first, second, levels = dense(5, 1, 1, 3), dense(4, 3, 3, 5), table(5, 3, 60)
    levels[1] = [-5000, -4000, 9000]
    for padding, left in (((0, 0, 0, 0), 4), ((0, 1, 0, 0), 5)):
        graph = chain(
            Type((6, 5, 3), 0, 15),
            Conv2d(Dense(first)),
            MultiThreshold(levels),
            Conv2d(Dense(second), padding=padding),
            Requant([3], [0], 6, 0, 15),
        )
        same(graph, [left, 4])


def test_a_constant_that_only_the_border_breaks() -> None:
    """Every sum of a full window reaches the threshold, but not those at a border."""
    first, second = np.ones((2, 3, 3, 1), int), dense(3, 2, 2, 2)
    first[1, 0, 0, 0] = -2
    for padding, left in (((0, 0, 0, 0), 1), ((1, 1, 1, 1), 2)):
        graph = chain(
            Type((5, 5, 1), 5, 8),
            Conv2d(Dense(first), padding=padding),
            MultiThreshold([[44], [40]]),
            Conv2d(Dense(second)),
            Requant([1], [0], 0, -99, 99),
        )
        same(graph, [left, 3])


def test_a_sum_of_what_may_be_zero_is_no_constant() -> None:
    first = dense(3, 1, 1, 1)
    graph = chain(
        Type((4, 4, 1), -8, 7),
        Conv2d(Dense(first)),
        MultiThreshold([[1], [2], [9000]], (False,), -1),  # -1 or 0, twice, and -1
        SumPool2d((2, 2), (2, 2), (1, 0, 0, 1)),
        Conv2d(Dense(dense(2, 2, 2, 3))),
        Requant([1], [0], 0, -99, 99),
    )
    same(graph, [3, 2])


@pytest.mark.parametrize(
    ("pool", "shift"),
    [(SumPool2d((3, 3), (2, 2), (1, 0, 0, 1)), 6), (SumPool2d((2, 3)), 5), (GlobalSumPool(), 8)],
    ids=["padded", "whole windows", "global"],
)
def test_a_mean_that_is_quantized_is_no_constant(pool: Op, shift: int) -> None:
    """The step of a mean is many of its sum: neighbouring sums are one code, far ones are not."""
    levels = table(4, 3, 60)
    levels[1] = [9000, 9001, 9002]  # always 0
    head = Conv2d(Dense(dense(4, 3, 3, 2))), MultiThreshold(levels), pool
    reader = MatMul(Dense(dense(5, 4)))
    graph = chain(Type((7, 7, 2), 0, 15), *head, Requant([5], [9], shift, 0, 15), reader)
    same(graph, [3, 5])


@pytest.mark.parametrize("pool", [SumPool2d((2, 3)), GlobalSumPool()], ids=["windows", "global"])
def test_sums_of_a_constant_go_into_the_next_quantizer(pool: Op) -> None:
    levels = table(4, 3, 60)
    levels[2] = [-9000, -8999, 9000]  # always 2
    graph = chain(
        Type((4, 5, 2), -8, 7),
        Conv2d(Dense(dense(4, 1, 1, 2))),
        MultiThreshold(levels),
        pool,
        MatMul(Dense(dense(3, 4))),
        Requant([1], [0], 2, -99, 99),
    )
    same(graph, [3, 3])


def test_a_constant_is_none_where_a_pool_is_padded() -> None:
    levels = table(4, 3, 60)
    levels[2] = [-9000, -8999, 9000]
    graph = chain(
        Type((4, 5, 2), -8, 7),
        Conv2d(Dense(dense(4, 1, 1, 2))),
        MultiThreshold(levels),
        SumPool2d((2, 3), padding=(1, 0, 0, 0)),
        MatMul(Dense(dense(3, 4))),
        Requant([1], [0], 2, -99, 99),
    )
    same(graph, [4, 3])


def test_negated_twins_through_two_quantizers() -> None:
    first, second = dense(3, 9), room(dense(4, 3), 0, 2)
    first[2] = -first[0]
    head = MatMul(Dense(first)), MultiThreshold([[3], [4], [-3]], (False, False, True))
    for multipliers, left in (([5, 6, 5], 2), ([5, 6, -5], 3)):
        tail = Requant(multipliers, [9, 9, 9], 2, -7, 7), MatMul(Dense(second))
        same(chain(Type((9,), -8, 7), *head, *tail), [left, 4])


def test_through_pools_and_flattening() -> None:
    first, second = dense(5, 3, 3, 2), room(dense(4, 4, 5), 1, 4).reshape(4, 20)
    first[4] = first[1]
    second.reshape(4, 4, 5)[:, :, 2] = 0
    levels = table(5, 3, 200)
    levels[4], levels[0] = levels[1], [9000, 9001, 9002]
    graph = chain(
        Type((6, 6, 2), 0, 15),
        Conv2d(Dense(first), padding=(0, 1, 1, 0)),
        MultiThreshold(levels),
        MaxPool2d((3, 2), (2, 2), (1, 0, 0, 0)),
        SumPool2d((2, 2), (1, 1), (1, 0, 0, 1)),
        Reshape((20,)),
        MatMul(Dense(second)),
    )
    x = graph.types["n3"].shape
    assert x == (2, 2, 5), "as the weights have it"
    found = same(graph, [2, 4])
    assert found.node("n4").op == Reshape((8,))


def test_conv1d_and_reshapes_that_keep_channels() -> None:
    first, second = dense(5, 3, 2), room(dense(4, 2, 5), 0, 3)
    first[3] = first[0]
    graph = chain(
        Type((8, 2), -4, 3),
        Conv1d(Dense(first), padding=(1, 1)),
        Requant([3], [2], 4, -4, 3),
        Reshape((2, 4, 5)),
        Reshape((8, 5)),
        Conv1d(Dense(second)),
    )
    same(graph, [4, 4])


@pytest.mark.parametrize("level", [9000, -9000])
def test_one_channel_always_stays(level: int) -> None:
    first, second = dense(3, 9), dense(2, 3)
    graph = chain(
        Type((9,), 0, 15),
        MatMul(Dense(first)),
        MultiThreshold([[level, level + 1]] * 3),
        MatMul(Dense(second)),
        Requant([1], [0], 0, -99, 99),
    )
    same(graph, [1, 2])


def test_what_has_other_readers_or_is_an_output_stays() -> None:
    first, second = dense(3, 9), dense(2, 3)
    first[1] = first[0]
    nodes = (
        Node("a", MatMul(Dense(first)), ("x",)),
        Node("b", MatMul(Dense(second)), ("a",)),
        Node("c", MatMul(Dense(second)), ("a",)),
    )
    x = Type((9,), 0, 15)
    forked = Graph((("x", x),), nodes, ("b", "c"))
    assert without_redundant(forked) == forked
    shown = Graph((("x", x),), nodes[:2], ("a", "b"))
    assert without_redundant(shown) == shown
    grouped = chain(
        Type((4, 4, 2), 0, 3),
        Conv2d(Dense(np.ones((2, 1, 1, 2), int))),
        Conv2d(Dense(np.ones((2, 2, 2, 1), int)), groups=2),
    )
    assert without_redundant(grouped) == grouped
