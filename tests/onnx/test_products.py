"""Gemm, MatMul, convolutions and batch normalization against ONNX's reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwc.compiler.onnx import OnnxError, read_onnx
from hwc.compiler.source import Conv, Linear, Transpose

from .helpers import agree, model_of, node, runtime


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def kinds(read: Any) -> list[str]:
    return [type(n.op).__name__ for n in read.source.nodes]


@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("tb", [0, 1])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("bias", [(), (4,), (1, 4), (3, 1), (3, 4), None])
def test_gemm(rng: np.random.Generator, ta: int, tb: int, left: bool, bias: Any) -> None:
    a, b = rng.normal(size=(5, 3) if ta else (3, 5)), rng.normal(size=(4, 5) if tb else (5, 4))
    shape, constant = (b.shape, a) if left else (a.shape, b)
    constants = {"w": constant}
    if bias is not None:
        constants["c"] = rng.normal(size=bias)
    names = ("w x" if left else "x w") + ("" if bias is None else " c")
    gemm = node("Gemm", names, transA=ta, transB=tb, alpha=0.5, beta=2.0)
    agree(model_of([gemm], {"x": shape}, ["y"], constants), {"x": b if left else a})


def test_a_gemm_on_a_batch_is_one_linear_layer(rng: np.random.Generator) -> None:
    constants = {"w": rng.normal(size=(4, 5)), "c": rng.normal(size=4)}
    model = model_of([node("Gemm", "x w c", transB=1)], {"x": ["N", 5]}, ["y"], constants)
    read = agree(model, {"x": rng.normal(size=(6, 5))})
    assert [type(n.op) for n in read.source.nodes] == [Linear]


@pytest.mark.parametrize(
    ("x", "w", "left"),
    [
        ((2, 5), (5, 4), False), ((2, 3, 5), (5, 4), False), ((2, 3, 7, 5), (5, 4), False),
        ((2, 2, 3, 7, 5), (5, 4), False), ((5,), (5, 4), False), ((2, 5), (5,), False),
        ((2, 3, 5), (5,), False), ((2, 3, 5), (1, 5, 4), False), ((2, 5), (1, 5, 4), False),
        ((2, 3, 5), (2, 5, 4), False), ((2, 2, 3, 5), (2, 5, 4), False),
        ((2, 5, 3), (4, 5), True), ((5, 3), (4, 5), True), ((5,), (4, 5), True),
        ((2, 5, 3), (2, 4, 5), True), ((2, 5, 3), (5,), True),
    ],
)  # fmt: skip
def test_matmul(rng: np.random.Generator, x: Any, w: Any, left: bool) -> None:
    model = model_of(
        [node("MatMul", "w x" if left else "x w")], {"x": x}, ["y"], {"w": rng.normal(size=w)}
    )
    agree(model, {"x": rng.normal(size=x)})


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"dilations": [2, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER"},
    {"auto_pad": "VALID"},
    {"group": 2},
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
@pytest.mark.parametrize("size", [(8, 7), (9,)])
def test_conv(rng: np.random.Generator, attributes: dict[str, Any], size: Any) -> None:
    rank = len(size)
    given = {k: (v[:rank] if k != "pads" else v[:: 3 - rank]) for k, v in attributes.items()
             if isinstance(v, list)}  # fmt: skip
    given = {**attributes, **given}
    groups = attributes.get("group", 1)
    constants = {"w": rng.normal(size=(6, 4 // groups, *(3, 2)[:rank])), "b": rng.normal(size=6)}
    model = model_of([node("Conv", "x w b", **given)], {"x": (2, 4, *size)}, ["y"], constants)
    read = agree(model, {"x": rng.normal(size=(2, 4, *size))})
    assert kinds(read) == ["Conv"]


TRANSPOSED: list[dict[str, Any]] = [
    {},
    {"strides": [2, 3], "pads": [1, 0, 0, 1]},
    {"strides": [3, 2], "output_padding": [1, 1]},
    {"strides": [2, 2], "output_shape": [12, 11]},
    {"strides": [2, 2], "output_shape": [12, 11], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"dilations": [2, 2]},
    {"group": 2},
]


@pytest.mark.parametrize("attributes", TRANSPOSED)
def test_conv_transpose(rng: np.random.Generator, attributes: dict[str, Any]) -> None:
    constants = {"w": rng.normal(size=(4, 3, 3, 2)), "b": rng.normal(size=3)}
    constants["b"] = rng.normal(size=3 * attributes.get("group", 1))
    constants = {k: v.astype(np.float32) for k, v in constants.items()}
    model = model_of(
        [node("ConvTranspose", "x w b", **attributes)], {"x": (2, 4, 6, 5)}, ["y"], constants,
        kind=1,
    )  # fmt: skip
    # ONNX's reference fails on some of these.
    x = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
    agree(model, {"x": x}, 1e-5, runtime)


def test_channels_last_costs_no_movement(rng: np.random.Generator) -> None:
    """Transposes around a convolution and a bias on the last axis cancel."""
    constants = {
        "w": rng.normal(size=(6, 3, 3, 3)),
        "b": rng.normal(size=6),
        "v": rng.normal(size=(6, 5)),
    }
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Conv", "a w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "d", perm=[0, 2, 3, 1]),
        node("Add", "d b", "e"),
        node("Relu", "e", "f"),
        node("ReduceMean", "f", "g", axes=[1, 2], keepdims=0),
        node("MatMul", "g v", "y"),
    ]
    model = model_of(nodes, {"x": ("N", 8, 8, 3)}, ["y"], constants)
    read = agree(model, {"x": rng.normal(size=(2, 8, 8, 3))})
    assert kinds(read) == ["Conv", "Affine", "Relu", "GlobalAvgPool", "Linear"]
    assert read.source.inputs[0].shape == (3, 8, 8)


def test_flattening_channels_last_moves_data(rng: np.random.Generator) -> None:
    constants = {"w": rng.normal(size=(3, 2, 3, 3)), "v": rng.normal(size=(48, 5))}
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "d", perm=[0, 2, 3, 1]),
        node("Flatten", "d", "e"),
        node("MatMul", "e v", "y"),
    ]
    model = model_of(nodes, {"x": ("N", 2, 4, 4)}, ["y"], constants)
    read = agree(model, {"x": rng.normal(size=(2, 2, 4, 4))})
    assert kinds(read) == ["Conv", "Transpose", "Flatten", "Linear"]
    assert read.source.nodes[1].op == Transpose((2, 3, 1))


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (3, 4, 5, 6)])
def test_batch_norm(rng: np.random.Generator, shape: Any) -> None:
    constants = {k: rng.normal(size=4) for k in ("s", "b", "m")} | {"v": rng.uniform(1, 2, size=4)}
    model = model_of(
        [node("BatchNormalization", "x s b m v", epsilon=0.25)], {"x": shape}, ["y"], constants
    )
    agree(model, {"x": rng.normal(size=shape)})


def test_padding_goes_into_the_convolution(rng: np.random.Generator) -> None:
    constants = {"w": rng.normal(size=(3, 2, 3, 3)), "p": np.array([0, 0, 1, 2, 0, 0, 0, 1])}
    nodes = [node("Pad", "x p", "a"), node("Conv", "a w", pads=[1, 0, 0, 1])]
    model = model_of(nodes, {"x": (2, 2, 5, 6)}, ["y"], constants)
    read = agree(model, {"x": rng.normal(size=(2, 2, 5, 6))})
    op = read.source.nodes[-1].op
    assert isinstance(op, Conv)
    assert (kinds(read), op.padding) == (["Conv"], (2, 0, 2, 2))


def test_a_weight_that_is_an_activation_is_refused() -> None:
    model = model_of([node("Conv", "x w")], {"x": (1, 2, 5, 5), "w": (3, 2, 3, 3)}, ["y"])
    with pytest.raises(OnnxError, match=r"Conv node 'y': weight \(input 1\) is an activation"):
        read_onnx(model)
