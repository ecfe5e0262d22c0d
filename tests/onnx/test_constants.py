"""Constant expressions are folded as ONNX's reference computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.onnx import OnnxError, read_onnx
from hwc.compiler.onnx.fold import FOLDS

from .helpers import agree, model_of, node, reference

A = np.random.default_rng(0).normal(size=(2, 3, 4)) + 0.25
B = np.random.default_rng(1).uniform(0.5, 2, size=(3, 1))
WHOLE = np.array([[7, -7, 5], [-5, 3, -1]])
J = np.array([2, 2, -3])
CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    **{k: ([node(k, "a b", "c")], {"a": A, "b": B}) for k in ("Add", "Sub", "Mul", "Div", "Max")},
    **{
        f"{k} of integers": ([node(k, "a b", "c")], {"a": WHOLE, "b": J})
        for k in ("Div", "Min", "Equal", "Less")
    },
    "Greater": ([node("Greater", "a b", "c")], {"a": A, "b": B}),
    "Mod": ([node("Mod", "a b", "c")], {"a": WHOLE, "b": J}),
    "Pow": ([node("Pow", "b a", "c")], {"a": A, "b": B}),
    **{
        k: ([node(k, "a", "c")], {"a": A * 3})
        for k in ("Abs", "Ceil", "Exp", "Floor", "Neg", "Relu", "Round", "Sign", "Identity")
    },
    **{k: ([node(k, "b", "c")], {"b": B}) for k in ("Log", "Sqrt", "Reciprocal", "Shape", "Size")},
    "Transpose": ([node("Transpose", "a", "c", perm=[2, 0, 1])], {"a": A}),
    "Reshape": ([node("Reshape", "a t", "c")], {"a": A, "t": np.array([0, -1])}),
    "Flatten": ([node("Flatten", "a", "c", axis=2)], {"a": A}),
    "Squeeze": ([node("Squeeze", "b t", "c")], {"b": B, "t": np.array([1])}),
    "Unsqueeze": ([node("Unsqueeze", "b t", "c")], {"b": B, "t": np.array([0, -1])}),
    "Concat": ([node("Concat", "a a", "c", axis=-1)], {"a": A}),
    "Split": ([node("Split", "a s", "e c", axis=2)], {"a": A, "s": np.array([1, 3])}),
    "Slice": (
        [node("Slice", "a s e d p", "c")],
        {"a": A, **{k: np.array([v]) for k, v in zip("sedp", (-1, -100, 2, -2), strict=True)}},
    ),
    "Gather": ([node("Gather", "a i", "c", axis=1)], {"a": A, "i": np.array([[2, 0]])}),
    "Expand": ([node("Expand", "b s", "c")], {"b": B, "s": np.array([2, 1, 4])}),
    "Tile": ([node("Tile", "b r", "c")], {"b": B, "r": np.array([2, 3])}),
    "Range": (
        [node("Range", "f t s", "c")],
        {k: np.array(v) for k, v in zip("fts", (1.0, 9.0, 2.5), strict=True)},
    ),
    "Where": ([node("Less", "a b", "m"), node("Where", "m a b", "c")], {"a": A, "b": B}),
    "Not": ([node("Less", "a b", "m"), node("Not", "m", "c")], {"a": A, "b": B}),
    **{
        k: (
            [node("Less", "a b", "m"), node("Greater", "a one", "n"), node(k, "m n", "c")],
            {"a": A, "b": B, "one": np.array(1.0)},
        )
        for k in ("And", "Or")
    },
    "MatMul": ([node("MatMul", "d b", "c")], {"d": A[0].T, "b": B}),
    **{
        k: ([node(k, "a t", "c", keepdims=0)], {"a": A, "t": np.array([0, 2])})
        for k in ("ReduceSum", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd")
    },
    "ConstantOfShape": (
        [node("ConstantOfShape", "s", "c", value=onnx.numpy_helper.from_array(np.array([2.5])))],
        {"s": np.array([2, 3])},
    ),
    "Constant": ([node("Constant", "", "c", value_floats=[1.0, 2.5])], {}),
    "Cast": ([node("Cast", "a", "m", to=7), node("Cast", "m", "c", to=11)], {"a": A * 9}),
    "CastLike": ([node("CastLike", "i b", "c")], {"i": WHOLE, "b": B}),
    "Dropout": ([node("Dropout", "a", "c")], {"a": A}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_folding(name: str) -> None:
    nodes, constants = CASES[name]
    alone = model_of(nodes, {"x": (1,)}, ["c"], constants, 18)
    shape = reference(alone, {"x": np.zeros(1)})["c"].shape or (1,)
    whole = [*nodes, node("Cast", "c", "k", to=11), node("Add", "x k")]
    model = model_of(whole, {"x": shape}, ["y"], constants, 18)
    agree(model, {"x": np.random.default_rng(2).normal(size=shape)})


def test_every_folded_operator_is_tested() -> None:
    assert not set(FOLDS) - {n.op_type for nodes, _ in CASES.values() for n in nodes}


def test_constants_on_a_grid_stay_on_it() -> None:
    """A quantized weight that is transposed and reshaped keeps its codes."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 6)).astype(np.float32), "s": np.full((4, 1), 0.5, np.float32),
        "z": np.float32(0), "b": np.float32(3), "t": np.array([6, 4]),
    }  # fmt: skip
    nodes = [
        node("Quant", "w s z b", "q", domain="qonnx.custom_op.general", signed=1, narrow=1),
        node("Transpose", "q", "r"), node("Reshape", "r t", "v"), node("MatMul", "x v"),
    ]  # fmt: skip
    read = read_onnx(model_of(nodes, {"x": ("N", 6)}, ["y"], constants))
    assert [type(n.op).__name__ for n in read.source.nodes] == ["Quant", "Linear"]


def test_an_unfolded_constant_expression_is_named() -> None:
    model = model_of([node("Sin", "a", "c"), node("Add", "x c")], {"x": (2, 3)}, ["y"], {"a": B})
    with pytest.raises(OnnxError, match="Sin node 'c': its inputs are all constants"):
        read_onnx(model)
