"""Small ONNX models, and what they compute by us and by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwc.compiler.onnx import Imported, read_onnx
from hwc.compiler.source import evaluate

Arrays = dict[str, np.ndarray]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
    kind: int = TensorProto.DOUBLE,
    **domains: int,
) -> onnx.ModelProto:
    """A model; constants are initializers, `domains` are further operator sets (with _ for .)."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, kind, list(s)) for n, s in inputs.items()],
        [helper.make_value_info(n, onnx.TypeProto()) for n in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    sets = [helper.make_opsetid("", opset)]
    sets += [helper.make_opsetid(d.replace("_", "."), v) for d, v in domains.items()]
    model = helper.make_model(graph, opset_imports=sets)
    model.ir_version = 9
    return model


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by spaces, `-` is an input left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), **attributes)


def ours(model: onnx.ModelProto, feeds: Arrays) -> tuple[Imported, Arrays]:
    """The model as read, and its outputs."""
    read = read_onnx(model)
    return read, read.fetch(evaluate(read.source, read.feed(feeds)))


def reference(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    """Outputs of ONNX's reference evaluator."""
    outputs = ReferenceEvaluator(model).run(None, feeds)
    return dict(zip((o.name for o in model.graph.output), map(np.asarray, outputs), strict=True))


def runtime(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    """Outputs of onnxruntime, without optimizations; skips the test where it is not installed."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(None, feeds)), strict=True))


def agree(
    model: onnx.ModelProto,
    feeds: Arrays,
    tolerance: float = 1e-9,
    oracle: Callable[[onnx.ModelProto, Arrays], Arrays] = reference,
) -> Imported:
    """Assert that our outputs are the oracle's."""
    read, made = ours(model, feeds)
    for name, want in oracle(model, feeds).items():
        assert made[name].shape == want.shape, f"{name}: {made[name].shape} for {want.shape}"
        np.testing.assert_allclose(made[name], want, rtol=tolerance, atol=tolerance, err_msg=name)
    return read


def small_network() -> onnx.ModelProto:
    """A small network that has most kinds of attributes, with a quantizer."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "b": np.zeros(4, np.float32),
        "s": np.float32(0.1), "z": np.uint8(3), "t": np.array([0, -1]),
        "v": rng.normal(size=(4, 5)).astype(np.float32),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "r"),
        node("Conv", "r w b", "c", pads=[1, 1, 1, 1], strides=[2, 2], dilations=[1, 1]),
        node("Clip", "c", "k"), node("MaxPool", "k", "m", kernel_shape=[2, 2], ceil_mode=1),
        node("Transpose", "m", "n", perm=[0, 2, 3, 1]), node("MatMul", "n v", "a"),
        node("ReduceMean", "a", "e", axes=[1, 2]), node("Reshape", "e t", "f"),
        node("Softmax", "f", axis=1),
    ]  # fmt: skip
    return model_of(nodes, {"x": ("N", 3, 8, 8)}, ["y"], constants, kind=TensorProto.FLOAT)
