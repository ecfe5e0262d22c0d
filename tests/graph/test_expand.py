"""The expanded graph has the same names, types and values, and no convolution or pool left."""

import numpy as np
import pytest

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Binary,
    Concat,
    Conv1d,
    Conv2d,
    Dense,
    GlobalMaxPool,
    GlobalSumPool,
    Graph,
    GroupedMatMul,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Op,
    Requant,
    Reshape,
    SumPool2d,
    Type,
    Window,
    WindowReduce,
    expand,
    run,
)

GONE = (Conv1d, Conv2d, MaxPool2d, SumPool2d, GlobalMaxPool, GlobalSumPool)
RNG = np.random.default_rng(0)


def dense(*shape: int) -> Dense:
    return Dense(RNG.integers(-7, 8, shape))


def check(graph: Graph, seed: int = 0) -> Graph:
    """expand(graph), after comparing all of its values with those of `graph`."""
    rng = np.random.default_rng(seed)
    x = {}
    for name, type_ in graph.inputs:
        x[name] = rng.integers(type_.lo, type_.hi + 1, (3, *type_.shape))
        if type_.bipolar:
            x[name] = rng.choice([-1, 1], (3, *type_.shape))
    expanded = expand(graph)
    assert not any(isinstance(node.op, GONE) for node in expanded.nodes)
    taps = tuple(graph.types)
    before, after = run(graph, x, taps), run(expanded, x, taps)
    for name, type_ in graph.types.items():
        assert expanded.types[name] == type_, name
        assert np.array_equal(before[name], after[name]), name
        assert type_.lo <= before[name].min() <= before[name].max() <= type_.hi
    assert (expanded.inputs, expanded.outputs) == (graph.inputs, graph.outputs)
    return expanded


BIPOLAR = Type((7, 6, 4), -1, 1, bipolar=True)
POSITIVE = Type((7, 6, 4), 2, 9)
BOTH = (BIPOLAR, POSITIVE)
CONV = [Window, GroupedMatMul]
SIGNAL = Type((9, 4), -3, 5)


@pytest.mark.parametrize(
    ("op", "types", "ops"),
    [
        (
            Conv2d(dense(6, 3, 2, 4), (2, 1), (1, 0, 2, 1)),
            BOTH,
            CONV,
        ),
        (Conv2d(dense(6, 2, 3, 2), (1, 2), groups=2), BOTH, CONV),
        (Conv2d(dense(4, 3, 3, 1), groups=4), (POSITIVE,), CONV),
        (Conv2d(dense(6, 1, 1, 4)), BOTH, [MatMul]),
        (Conv2d(dense(6, 1, 1, 4), (2, 1)), (POSITIVE,), CONV),
        (Conv2d(dense(6, 1, 1, 2), groups=2), (POSITIVE,), CONV),
        (Conv2d(dense(6, 1, 1, 4), padding=(0, 0, 0, 1)), (POSITIVE,), CONV),
        (
            Conv1d(dense(6, 3, 4), 2, (2, 1), 2),
            (SIGNAL,),
            [Reshape, *CONV, Reshape],
        ),
        (Conv1d(dense(6, 1, 4)), (SIGNAL,), [MatMul]),
        (MaxPool2d((3, 2), (2, 2), (1, 1, 0, 1)), BOTH, [Window, WindowReduce]),
        (MaxPool2d((2, 2), dilation=(2, 1)), (POSITIVE,), [Window, WindowReduce]),
        (SumPool2d((3, 2), (2, 2), (1, 1, 0, 1)), BOTH, [Window, WindowReduce]),
        (GlobalMaxPool(), BOTH, [Window, WindowReduce, Reshape]),
        (GlobalSumPool(), BOTH, [Window, WindowReduce, Reshape]),
        (GlobalSumPool(), (SIGNAL,), [Reshape, Window, WindowReduce, Reshape]),
        (GlobalMaxPool(), (Type((2, 2, 3, 4), -9, 9),), [Reshape, Window, WindowReduce, Reshape]),
    ],
)
def test_each_op(op: Op, types: tuple[Type, ...], ops: list[type[Op]]) -> None:
    for type_ in types:
        expanded = check(Graph((("x", type_),), (Node("y", op, ("x",)),), ("y",)))
        assert [type(node.op) for node in expanded.nodes] == ops
        assert expanded.nodes[-1].name == "y"


def network() -> Graph:
    """Branches, two inputs, two outputs, and names that the pass would like to use."""
    nodes = (
        Node("conv_window", Conv2d(dense(4, 3, 3, 2), padding=(1, 1, 1, 1)), ("image",)),
        Node("conv", Conv2d(Binary(RNG.choice([-1, 1], (4, 3, 3, 4)))), ("conv_window",)),
        Node("act", MultiThreshold([[-9, 0, 9]], (True,)), ("conv",)),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("act",)),
        Node("skip", Conv2d(dense(4, 1, 1, 4)), ("pool",)),
        Node("both", Concat(), ("pool", "skip")),
        Node("mean", GlobalSumPool(), ("both",)),
        Node("code", Requant(5, [1, 2, 3, 4, 5, 6, 7, 8], 4, -8, 7), ("mean",)),
        Node("sum", Add((1, 3)), ("code", "bias")),
        Node("best", ArgMax(), ("sum",)),
    )
    inputs = (("image", Type((8, 8, 2), 0, 3)), ("bias", Type((8,), -1, 1, bipolar=True)))
    return Graph(inputs, nodes, ("best", "pool"))


def test_a_network_with_branches() -> None:
    expanded = check(network())
    names = [node.name for node in expanded.nodes]
    assert names[:4] == ["conv_window_window", "conv_window", "conv_window2", "conv"]
    assert names[-5:] == ["mean_flat", "mean", "code", "sum", "best"]
    assert expand(expanded) == expanded


def test_ops_to_keep() -> None:
    kept = expand(network(), keep=(GlobalSumPool, MaxPool2d))
    assert isinstance(kept.node("mean").op, GlobalSumPool)
    assert isinstance(kept.node("pool").op, MaxPool2d)
    assert isinstance(kept.node("conv").op, GroupedMatMul)
    graph = network()
    assert expand(graph, keep=GONE) == graph
