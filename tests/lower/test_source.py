"""The float source graph: validation, shapes, records."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Bipolar,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Input,
    Linear,
    MaxPool,
    Quant,
    Relu,
    Reshape,
    Source,
    SourceError,
    SourceNode,
    SourceOp,
    TopK,
    from_record,
    to_record,
)

TENSORS = {
    "w": np.ones((4, 2, 3, 3), np.float32),
    "fc": np.ones((5, 16)),
    "b": np.zeros(4),
    "s": np.array(0.5),
    "s4": np.full(4, 0.5),
    "s2": np.full(2, 0.5),
}


def one(op: SourceOp, *args: str, shape: tuple[int, ...] = (2, 8, 8)) -> Source:
    """A source of one node on input x."""
    return Source((Input("x", shape),), (SourceNode("y", op, args),), ("y",), TENSORS)


def everything() -> Source:
    """A source with every op."""
    nodes = (
        SourceNode("qx", Quant(0, 15, 1), ("x", "s")),
        SourceNode("wq", Quant(-7, 7, axis=0), ("w", "s4")),
        SourceNode("conv", Conv((1, 1), (1, 1, 1, 1)), ("qx", "wq", "b")),
        SourceNode("bn", BatchNorm(1e-3), ("conv", "b", "b", "b", "s4")),
        SourceNode("affine", Affine(), ("bn", "s", "b")),
        SourceNode("relu", Relu(), ("affine",)),
        SourceNode("tanh", HardTanh(-2.0, 2.5), ("relu",)),
        SourceNode("sign", Bipolar(), ("tanh", "s")),
        SourceNode("add", Add(), ("sign", "tanh")),
        SourceNode("cat", Concat(), ("add", "sign")),
        SourceNode("max", MaxPool(), ("cat",)),
        SourceNode("avg", AvgPool(count_include_pad=False), ("max",)),
        SourceNode("gap", GlobalAvgPool(), ("avg",)),
        SourceNode("again", Reshape((8, 1, 1)), ("gap",)),
        SourceNode("flat", Flatten(), ("again",)),
        SourceNode("best", ArgMax(), ("flat",)),
        SourceNode("top", TopK(3), ("flat",)),
        SourceNode("flat2", Flatten(), ("max2",)),
        SourceNode("fc_out", Linear(), ("flat2", "fc")),
    )
    pooled = SourceNode("max2", MaxPool((4, 4), (4, 4)), ("relu",))
    nodes = (*nodes[:17], pooled, *nodes[17:])
    return Source((Input("x", (2, 8, 8)),), nodes, ("best", "top", "fc_out"), TENSORS)


def test_shapes_follow_torch() -> None:
    shapes = everything().shapes
    assert shapes["conv"] == (4, 8, 8)
    assert shapes["cat"] == (8, 8, 8)
    assert shapes["avg"] == (8, 2, 2)
    assert (shapes["gap"], shapes["best"], shapes["top"]) == ((8,), (1,), (3,))
    assert shapes["fc_out"] == (5,)


def test_records_round_trip_through_a_weights_only_file() -> None:
    source = everything()
    file = io.BytesIO()
    tensors = {name: torch.from_numpy(value.copy()) for name, value in source.tensors.items()}
    torch.save({"graph": to_record(source), "tensors": tensors}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert from_record(loaded["graph"], loaded["tensors"]) == source


def test_equality_sees_tensors_and_ops() -> None:
    source = everything()
    other = Source(source.inputs, source.nodes, source.outputs, TENSORS | {"s": np.array(0.25)})
    assert source == everything()
    assert source != other


def test_tensors_are_copied_and_read_only() -> None:
    mine = np.ones(3)
    source = Source((Input("x", (3,)),), (), ("x",), {"t": mine})
    mine[0] = 7
    assert source.tensors["t"][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        source.tensors["t"][0] = 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: one(Linear(), "x", "fc"), r"node y: Linear: .*put a Flatten before it"),
        (lambda: one(Linear(), "x", "fc", shape=(3,)), r"weight \(5, 16\) must be \(N, 3\)"),
        (lambda: one(Conv(groups=2), "x", "w"), r"must have 2/2 = 1 input channels"),
        (lambda: one(Conv(groups=3), "x", "w"), r"groups 3 must divide 2 input"),
        (lambda: one(Conv((1,)), "x", "w"), r"stride \(1,\) must be 2 integers >= 1"),
        (lambda: one(Conv(), "x", "w", "s"), r"bias \(\) must be \(4,\)"),
        (lambda: one(Conv(), "x", "w", shape=(2, 2, 2)), r"kernel \(3, 3\) does not fit"),
        (lambda: one(Conv(), "x"), r"must be 1 activation\(s\), then weight, \[bias\]"),
        (lambda: one(Conv(), "w", "w"), r"argument 'w' is a constant"),
        (lambda: one(Conv(), "x", "x"), r"weight 'x' must be a tensor or a quantized tensor"),
        (lambda: one(Relu(), "z"), r"'z' is not an input, a tensor or an earlier node"),
        (lambda: one(BatchNorm(), "x", "b", "b", "b", "b"), r"\(4,\) must be \(2,\)"),
        (
            lambda: one(BatchNorm(0.0), "x", "b", "b", "b", "b", shape=(4,)),
            r"var 'b' \+ eps 0.0 must be > 0",
        ),
        (lambda: one(Affine(), "x", "s4", "s"), r"scale has shape \(4,\); it must be \(\) or"),
        (lambda: one(Quant(), "x", "s2"), r"name its axis, or give a scalar"),
        (lambda: one(Quant(axis=2), "x", "s2"), r"activations scale along axis 1 only"),
        (lambda: one(Quant(axis=1), "x", "s4"), r"scale 's4' has shape \(4,\)"),
        (lambda: one(Quant(), "x", "b"), r"scale 'b' must be > 0 everywhere"),
        (lambda: one(Quant(3, 3), "x", "s"), r"Quant: lo 3 must be below hi 3"),
        (lambda: one(HardTanh(2, 1), "x"), r"lo 2 must not exceed hi 1"),
        (lambda: one(MaxPool(padding=(0, 3, 0, 0)), "x"), r"windows \[4\] of spatial axis 0 hold"),
        (
            lambda: one(AvgPool(padding=(2, 0, 0, 0), count_include_pad=False), "x"),
            r"windows \[0\] of spatial axis 0 hold only padding",
        ),
        (lambda: one(Reshape((3, 5)), "x"), r"has 128 elements"),
        (lambda: one(TopK(9), "x", shape=(4,)), r"k 9 must be in 1..4"),
        (lambda: one(Concat(2), "x", "x"), r"axis 2 is not supported; only 1"),
        (lambda: one(Add(), "x"), r"must be >= 2 activation\(s\)"),
        (lambda: Input("x", (0, 3)), r"input x: shape \(0, 3\) must have positive sizes"),
        (lambda: Input("x", (3,), -1.0), r"scale -1.0 must be positive"),
        (lambda: Input("x", (3,), 1.0, 4, 4), r"lo 4 must be below hi 4"),
        (lambda: Source((), (), ("x",)), r"at least one input"),
        (lambda: Source((Input("x", (3,)),), (), ("y",)), r"outputs \['y'\]"),
        (lambda: Source((Input("x", (3,)),), (), ("t",), {"t": np.ones(1)}), r"do not depend on"),
        (lambda: Source((Input("x", (3,)),) * 2, (), ("x",)), r"name 'x' must be .* used once"),
        (
            lambda: Source((Input("x", (3,)),), (), ("x",), {"t": np.array([np.nan])}),
            r"tensor t: there must be values, all of them finite",
        ),
    ],
)
def test_refusals(build: Callable[[], object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        build()


def change(path: tuple[Any, ...], value: object) -> Callable[[dict[str, Any]], None]:
    """A function that sets one place of a record (deletes it for `...`)."""

    def edit(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        if value is ...:
            del record[path[-1]]
        else:
            record[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(("nodes", 0, "op"), "Exec"), r"unknown op 'Exec'; known are Add, Affine, ArgMax"),
        (change(("nodes", 0, "args"), "x"), r"args must be a list"),
        (change(("nodes", 0, "args"), [1]), r"name and args must be strings"),
        (change(("nodes", 0, "options"), ...), r"node record must have the fields"),
        (change(("nodes", 0, "options", "lo"), 0.5), r"lo 0.5 must be int"),
        (change(("nodes", 0, "options", "lo"), True), r"lo True must be int"),
        (change(("nodes", 0, "options", "more"), 1), r"record must have the fields"),
        (change(("nodes", 2, "options", "stride"), [1, "2"]), r"stride .* must be tuple"),
        (change(("nodes", 3, "options", "eps"), float("nan")), r"eps nan must be float"),
        (change(("inputs", 0, "scale"), "1"), r"scale '1' must be float \| None"),
        (change(("outputs",), [3]), r"outputs \[3\] must be strings"),
        (change(("inputs",), ...), r"source record must have the fields"),
    ],
)
def test_records_are_checked(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    record = copy.deepcopy(to_record(everything()))
    edit(record)
    with pytest.raises(SourceError, match=message):
        from_record(record, TENSORS)
