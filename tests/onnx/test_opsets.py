"""Older forms of operators, whose parameters were attributes, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from .helpers import agree, model_of, node, runtime

SHAPE = (2, 4, 6, 8)
CASES: dict[str, tuple[int, list[onnx.NodeProto], dict[str, Any]]] = {
    "clip": (8, [node("Clip", "x", min=-0.5, max=0.75)], {}),
    "dropout": (9, [node("Dropout", "x", ratio=0.5)], {}),
    "pad": (8, [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5)], {}),
    "slice": (9, [node("Slice", "x", axes=[2, 3], starts=[1, -3], ends=[5, 9999])], {}),
    "slice without axes": (7, [node("Slice", "x", starts=[0, 1], ends=[9999, 3])], {}),
    "split": (11, [node("Split", "x", "a b", axis=1, split=[1, 3]), node("Relu", "b")], {}),
    "split evenly": (7, [node("Split", "x", "a b", axis=2), node("Add", "a b")], {}),
    "squeeze": (
        11,
        [node("GlobalAveragePool", "x", "a"), node("Squeeze", "a", axes=[2, 3])],
        {},
    ),
    "squeeze all": (
        11,
        [node("GlobalMaxPool", "x", "a"), node("Squeeze", "a")],
        {},
    ),
    "unsqueeze": (11, [node("Flatten", "x", "a"), node("Unsqueeze", "a", axes=[2])], {}),
    "reduce sum": (11, [node("ReduceSum", "x", axes=[2, 3], keepdims=0)], {}),
    "reduce mean": (13, [node("ReduceMean", "x", axes=[-1, -2])], {}),
    "reduce max": (12, [node("ReduceMax", "x", axes=[1])], {}),
    "softmax": (11, [node("Softmax", "x", axis=2)], {}),
    "top-k": (
        10,
        [node("Flatten", "x", "f"), node("TopK", "f k", "v y")],
        {"k": np.array([3])},
    ),
    "upsample by attributes": (8, [node("Upsample", "x", scales=[1.0, 1, 2, 3])], {}),
    "upsample": (
        9,
        [node("Upsample", "x s", mode="nearest")],
        {"s": np.array([1, 1, 2, 3], np.float32)},
    ),
    "resize": (
        10,
        [node("Resize", "x s", mode="nearest")],
        {"s": np.array([1, 1, 2, 0.5], np.float32)},
    ),
    "batch norm": (
        8,
        [node("BatchNormalization", "x s b m v")],
        {k: np.linspace(0.5, 2, 4, dtype=np.float32) for k in "sbmv"},
    ),
    "gemm with a wide bias": (
        9,
        [node("Flatten", "x", "f"), node("Gemm", "f w c")],
        {"w": np.ones((192, 3), np.float32), "c": np.ones((1, 3), np.float32)},
    ),
    "average pool": (7, [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4)], {}),
    "max pool": (8, [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2])], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_older_forms(name: str) -> None:
    opset, nodes, constants = CASES[name]
    model = model_of(nodes, {"x": SHAPE}, ["y"], constants, opset, kind=1)
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    agree(model, {"x": x}, 1e-5, runtime)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 19, 22])
def test_a_network_in_every_version(opset: int) -> None:
    rng = np.random.default_rng(1)
    constants: dict[str, Any] = {
        "w": rng.normal(size=(5, 4, 3, 3)).astype(np.float32),
        "b": rng.normal(size=5).astype(np.float32),
        "t": np.array([0, -1]),
        "v": rng.normal(size=(60, 3)).astype(np.float32),
    }
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]), node("Reshape", "p t", "f"),
        node("MatMul", "f v", "m"), node("Sigmoid", "m"),
    ]  # fmt: skip
    model = model_of(nodes, {"x": ("N", *SHAPE[1:])}, ["y"], constants, opset, kind=1)
    x = rng.normal(size=SHAPE).astype(np.float32)
    agree(model, {"x": x}, 1e-5, runtime)
