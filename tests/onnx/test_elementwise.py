"""Arithmetic with constants and activation functions against ONNX's reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.onnx import OnnxError, read_onnx

from .helpers import agree, model_of, node

SHAPE = (2, 3, 4, 5)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(3).normal(size=SHAPE) * 3


def run(x: np.ndarray, *nodes: onnx.NodeProto, opset: int = 18, **constants: Any) -> list[str]:
    """Names of the source operations, after comparing."""
    model = model_of(nodes, {"x": x.shape}, ["y"], constants, opset)
    return [type(n.op).__name__ for n in agree(model, {"x": x}).source.nodes]


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 1, 1), (5,), (4, 1), (3, 4, 5)])
@pytest.mark.parametrize("first", [False, True])
def test_constants_broadcast(x: np.ndarray, kind: str, shape: Any, first: bool) -> None:
    c = np.random.default_rng(1).uniform(0.5, 2, size=shape)
    model = model_of([node(kind, "c x" if first else "x c")], {"x": x.shape}, ["y"], {"c": c})
    agree(model, {"x": x})


@pytest.mark.parametrize("exponent", [2.0, -1.0, np.full((1, 1, 1, 1), 3.0)])
def test_powers(x: np.ndarray, exponent: Any) -> None:
    assert run(x, node("Pow", "x e"), e=np.asarray(exponent)) == ["Function"]
    assert run(x, node("Relu", "x", "p"), node("Pow", "p e"), e=np.asarray(0.5))[-1] == "Function"


def test_an_exponent_is_one_number(x: np.ndarray) -> None:
    model = model_of([node("Pow", "x e")], {"x": SHAPE}, ["y"], {"e": np.arange(5.0)})
    with pytest.raises(OnnxError, match="the exponent has 5 elements, not 1"):
        read_onnx(model)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Max", "Min", "Sum", "Mean"])
def test_two_activations(x: np.ndarray, kind: str) -> None:
    run(x, node("Relu", "x", "a"), node(kind, "x a"))


def test_activations_in_different_layouts_add(x: np.ndarray) -> None:
    square = np.random.default_rng(0).normal(size=(2, 4, 4, 4))
    made = run(square, node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Add", "x a"))
    assert made == ["Transpose", "Add"]


def test_positions_broadcast(x: np.ndarray) -> None:
    made = run(x, node("GlobalAveragePool", "x", "a"), node("Add", "x a"))
    assert made == ["GlobalAvgPool", "Reshape", "Upsample", "Add"]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("Relu", {}), ("LeakyRelu", {"alpha": 0.3}), ("Sigmoid", {}), ("Tanh", {}), ("Elu", {}),
        ("Elu", {"alpha": 2.0}), ("Selu", {}), ("Selu", {"alpha": 1.5, "gamma": 0.5}),
        ("HardSigmoid", {}), ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}), ("HardSwish", {}),
        ("Softplus", {}), ("Softsign", {}), ("Erf", {}), ("Abs", {}), ("Exp", {}), ("Mish", {}),
        ("Reciprocal", {}), ("Sign", {}),
        ("Celu", {"alpha": 2.0}), ("Neg", {}), ("Identity", {}),
        ("Softmax", {"axis": 1}), ("Softmax", {"axis": 3}), ("Softmax", {}),
    ],
)  # fmt: skip
def test_curves(x: np.ndarray, kind: str, attributes: dict[str, Any]) -> None:
    attributes = {k: float(np.float32(v)) if k != "axis" else v for k, v in attributes.items()}
    model = model_of([node(kind, "x", **attributes)], {"x": SHAPE}, ["y"], opset=18)
    agree(model, {"x": x}, tolerance=2e-7)  # the reference rounds some attributes to float32


@pytest.mark.parametrize("kind", ["Log", "Sqrt"])
def test_curves_of_what_is_not_negative(x: np.ndarray, kind: str) -> None:
    assert run(abs(x), node(kind, "x")) == ["Function"]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(x: np.ndarray, approximate: str) -> None:
    model = model_of([node("Gelu", "x", approximate=approximate)], {"x": SHAPE}, ["y"], opset=20)
    agree(model, {"x": x}, tolerance=1e-6)


def test_softmax_before_operator_set_13_flattens(x: np.ndarray) -> None:
    read = read_onnx(model_of([node("Softmax", "x")], {"x": SHAPE}, ["y"], opset=11))
    made = read.fetch(evaluated(read, x))["y"]
    flat = np.exp(x.reshape(2, -1))
    np.testing.assert_allclose(made, (flat / flat.sum(1, keepdims=True)).reshape(SHAPE))


def evaluated(read: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    from hwc.compiler.source import evaluate

    return evaluate(read.source, read.feed({"x": x}))


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (5,), (3, 4, 5)])
def test_prelu(x: np.ndarray, shape: Any) -> None:
    run(x, node("PRelu", "x s"), s=np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 2.0), (None, 1.0), (0.0, None), (2.0, -1.0)])
def test_clip(x: np.ndarray, lo: float | None, hi: float | None) -> None:
    constants: dict[str, Any] = {k: np.array(v) for k, v in (("l", lo), ("h", hi)) if v is not None}
    names = f"x {'-' if lo is None else 'l'} {'' if hi is None else 'h'}"
    run(x, node("Clip", names.strip()), **constants)


def test_clip_by_attributes(x: np.ndarray) -> None:
    assert run(x, node("Clip", "x", min=-0.5, max=1.5), opset=6 + 1) == ["HardTanh"]


@pytest.mark.parametrize("shape", [(), (3, 1, 1)])
@pytest.mark.parametrize("kind", ["Max", "Min"])
def test_extremes_with_constants(x: np.ndarray, kind: str, shape: Any) -> None:
    run(x, node(kind, "x c"), c=np.random.default_rng(2).normal(size=shape))


GATED = {
    "silu": [node("Sigmoid", "x", "g"), node("Mul", "x g")],
    "hard swish by a gate": [
        node("HardSigmoid", "x", "g", alpha=1 / 6, beta=0.5), node("Mul", "g x"),
    ],
    "hard swish by a clip": [
        node("Add", "x three", "a"), node("Clip", "a zero six", "b"), node("Mul", "x b", "c"),
        node("Div", "c six"),
    ],
    "mish": [node("Softplus", "x", "a"), node("Tanh", "a", "g"), node("Mul", "x g")],
    "gelu": [
        node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"),
        node("Mul", "x c", "d"), node("Mul", "d half"),
    ],
    "gelu halved first": [
        node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"),
        node("Mul", "x half", "d"), node("Mul", "d c"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GATED)
def test_gated_curves(x: np.ndarray, name: str) -> None:
    numbers = {"three": 3.0, "zero": 0.0, "six": 6.0, "root": 2**0.5, "one": 1.0, "half": 0.5}
    constants = {k: np.array(v) for k, v in numbers.items()}
    model = model_of(GATED[name], {"x": SHAPE}, ["y"], constants, 18)
    read = agree(model, {"x": x}, tolerance=1e-6)
    assert sum(type(n.op).__name__ == "Function" for n in read.source.nodes) == 1


def test_other_products(x: np.ndarray) -> None:
    """Of two activations, in other layouts, and a gate for each channel that broadcasts."""
    assert run(x, node("Tanh", "x", "a"), node("Mul", "x a")) == ["Function", "Multiply"]
    assert run(x, node("Mul", "x x")) == ["Multiply"]
    made = run(x, node("GlobalAveragePool", "x", "a"), node("Mul", "a x"))
    assert made == ["GlobalAvgPool", "Reshape", "Upsample", "Multiply"]
    square = x[:, :, :, :4]
    turned = node("Transpose", "x", "t", perm=[0, 1, 3, 2])
    assert run(square, turned, node("Mul", "x t"))[-1] == "Multiply"
