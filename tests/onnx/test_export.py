"""Integer graphs written as QONNX: read back and lowered they give the same integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Binary,
    Concat,
    Conv1d,
    Conv2d,
    Dense,
    Gather,
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
    Table,
    TopK,
    TwoSlope,
    Type,
    Window,
    run,
)
from hwc.compiler.lower import lower
from hwc.compiler.onnx import OnnxError, load_onnx, read_onnx, to_qonnx, write_qonnx
from hwc.compiler.source import evaluate

RNG = np.random.default_rng(11)
MAP = Type((6, 5, 4), -8, 7)
ROW = Type((9, 4), 0, 15)
FLAT = Type((6,), -100, 100)


def dense(*shape: int, top: int = 7) -> Dense:
    return Dense(RNG.integers(-top, top + 1, size=shape))


def thresholds(channels: int, levels: int, spread: int = 60) -> np.ndarray:
    return np.sort(RNG.integers(-spread, spread, size=(channels, levels)), axis=1)


def chain(type: Type, *ops: Op) -> Graph:
    """Ops one after the other."""
    nodes, last = [], "x"
    for i, op in enumerate(ops):
        nodes.append(Node(f"n{i}", op, (last,)))
        last = f"n{i}"
    return Graph((("x", type),), tuple(nodes), (last,))


def merge(*types: Type, op: Op) -> Graph:
    names = tuple(f"x{i}" for i in range(len(types)))
    return Graph(tuple(zip(names, types, strict=True)), (Node("y", op, names),), ("y",))


RISING = Table(np.cumsum(np.arange(16) % 3), -8)
LEAKY = TwoSlope(Requant(3, 1, 3, -20, 20), Requant(1, 1, 4, -20, 20))

GRAPHS: dict[str, Graph] = {
    "matmul": chain(FLAT, MatMul(dense(5, 6))),
    "binary": chain(Type((6,), -1, 1, True), MatMul(Binary(RNG.choice([-1, 1], size=(5, 6))))),
    "pointwise": chain(MAP, MatMul(dense(5, 4))),
    "conv2d": chain(MAP, Conv2d(dense(6, 3, 2, 2), (2, 1), (1, 0, 2, 1), (1, 2), 2)),
    "conv1d": chain(ROW, Conv1d(dense(6, 3, 4), 2, (1, 0))),
    "filled": chain(
        MAP, Window((3, 3), (1, 1), (1, 1, 0, 1), (1, 1), 2, 3), GroupedMatMul(dense(2, 3, 9, 2))
    ),
    "thresholds": chain(MAP, MultiThreshold(thresholds(4, 7, 9))),
    "descending": chain(
        MAP, MultiThreshold(thresholds(4, 3, 9), (True, False, False, True), -3, 2)
    ),
    "bipolar": chain(MAP, MultiThreshold(thresholds(1, 1, 5), lo=-1, step=2)),
    "half even": chain(FLAT, Requant([1, 3, -5, 7, 1, 2], [4, 0, 2, 1, 0, -4], 3, -8, 7)),
    "half up": chain(FLAT, Requant([1, 3, -5, 7, 1, 2], [4, 0, 2, 1, 0, -4], 3, 0, 15, "half_up")),
    "floor": chain(FLAT, Requant(5, 3, 3, -127, 127, "floor")),
    "odd interval": chain(FLAT, Requant(5, 3, 3, -20, 33), MatMul(dense(3, 6))),
    "max pool": chain(MAP, MaxPool2d((3, 2), (2, 2), (1, 0, 0, 1))),
    "sum pool": chain(MAP, SumPool2d((2, 2), (2, 1), (0, 0, 1, 0))),
    "global sum": chain(MAP, GlobalSumPool()),
    "global maximum": chain(MAP, GlobalMaxPool()),
    "flatten": chain(MAP, Reshape((120,)), MatMul(dense(3, 120))),
    "reshape": chain(FLAT, Reshape((3, 1, 2)), MatMul(dense(3, 2))),
    "slice": chain(MAP, Gather(np.arange(120).reshape(6, 5, 4)[1:5, ::2, 1:3], (4, 3, 2))),
    "table": chain(MAP, RISING),
    "two slopes": chain(FLAT, LEAKY),
    "add": merge(MAP, MAP, op=Add((3, -2))),
    "concat": merge(MAP, MAP, op=Concat()),
    "argmax": chain(FLAT, ArgMax()),
    "top-k": chain(FLAT, TopK(3)),
    "network": Graph(
        (("x", Type((8, 8, 1), 0, 255)),),
        (
            Node("c", Conv2d(dense(6, 3, 3, 1), padding=(1, 1, 1, 1)), ("x",)),
            Node("r", Requant(RNG.integers(1, 9, 6), 64, 9, 0, 15), ("c",)),
            Node("d", Conv2d(dense(6, 3, 3, 1), padding=(1, 1, 1, 1), groups=6), ("r",)),
            Node("t", MultiThreshold(thresholds(6, 15, 300)), ("d",)),
            Node("a", Add(), ("r", "t")),
            Node("m", MaxPool2d((2, 2), (2, 2)), ("a",)),
            Node("f", Reshape((96,)), ("m",)),
            Node("l", MatMul(dense(10, 96)), ("f",)),
            Node("y", ArgMax(), ("l",)),
        ),
        ("l", "y"),
    ),
}


def codes(graph: Graph, batch: int = 40) -> dict[str, np.ndarray]:
    """Random integers of each input's type, extremes included."""
    made = {}
    for name, type in graph.inputs:
        x = RNG.integers(type.lo, type.hi + 1, size=(batch, *type.shape))
        x[0], x[1] = type.lo, type.hi
        made[name] = np.where(x >= 0, 1, -1) if type.bipolar else x
    return made


def first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)


@pytest.mark.parametrize("name", GRAPHS)
def test_reading_back_computes_the_same_integers(name: str) -> None:
    graph = GRAPHS[name]
    x = codes(graph)
    want = run(graph, x)
    read = read_onnx(to_qonnx(graph))
    made = read.fetch(evaluate(read.source, read.feed({k: first(v) for k, v in x.items()})))
    assert list(made) == list(graph.outputs)
    for key, value in made.items():
        # A sum is read as a mean times a count, of which float64 rounds the mean.
        np.testing.assert_allclose(value, first(want[key]), rtol=1e-14, err_msg=key)


@pytest.mark.parametrize("name", GRAPHS)
def test_lowering_what_was_read_gives_the_same_integers(name: str) -> None:
    graph = GRAPHS[name]
    x = codes(graph)
    want = run(graph, x)
    read = read_onnx(to_qonnx(graph))
    lowered = lower(read.source)
    feeds = read.feed({k: first(v) for k, v in x.items()})
    made = run(lowered.graph, lowered.encode(feeds))
    for reading, port in zip(lowered.outputs, read.outputs, strict=True):
        real = reading.decode(made[reading.node])
        np.testing.assert_array_equal(port.to_onnx(real), first(want[port.name]), err_msg=name)


# Requantization is written in float64, of which qonnx's Quant makes float32.
@pytest.mark.parametrize(
    "name", [k for k, g in GRAPHS.items() if not any(isinstance(n.op, Requant) for n in g.nodes)]
)
def test_qonnx_executes_the_file(name: str, tmp_path: Path) -> None:
    """With integers below 2^24, which its float32 holds."""
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    graph = GRAPHS[name]
    path = tmp_path / "model.onnx"
    write_qonnx(graph, path)
    model = ModelWrapper(str(path))
    x = codes(graph, batch=3)
    for key, _ in graph.inputs:
        model.set_tensor_shape(key, list(first(x[key]).shape))
    for item in model.graph.output:
        item.type.tensor_type.shape.dim[0].dim_value = 3
    model = model.transform(InferShapes())
    made = execute_onnx(model, {k: first(v).astype(np.float32) for k, v in x.items()})
    want = run(graph, x)
    for key, value in made.items():
        np.testing.assert_array_equal(value, first(want[key]))


def test_thresholds_ascend_in_the_file() -> None:
    """As FINN wants them, also where a channel falls."""
    (table,) = (
        t for t in to_qonnx(GRAPHS["descending"]).graph.initializer if "thresholds" in t.name
    )
    assert (np.diff(onnx.numpy_helper.to_array(table), axis=1) >= 0).all()


def test_a_file_is_the_same_every_time(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_qonnx(GRAPHS["network"], tmp_path / place)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert load_onnx(tmp_path / "a").inputs[0].name == "x"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (chain(MAP, Table([0, 3, 1, 2] * 4, -8)), "its function rises and falls"),
        (chain(FLAT, Gather([0, -1, 2], (3,), 5)), "a gather that fills in constants"),
    ],
)
def test_what_qonnx_cannot_say(graph: Graph, message: str) -> None:
    with pytest.raises(OnnxError, match=f"export: node 'n0': {message}"):
        to_qonnx(graph)
