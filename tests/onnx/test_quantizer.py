"""Files of onnxruntime's own quantizer, in both its formats, mean what onnxruntime says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.graph import run
from hwc.compiler.lower import hardware, lower
from hwc.compiler.onnx import load_onnx
from hwc.compiler.source import evaluate

from .helpers import model_of, node, runtime

quantization: Any = pytest.importorskip("onnxruntime.quantization")

FORMATS = {"operators": "QOperator", "pairs": "QDQ"}


def network() -> onnx.ModelProto:
    """A float network of everything the quantizer has an operator for."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    nodes = [
        node("Conv", "x w b", "c", pads=[1] * 4), node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p w2", "d", pads=[1] * 4), node("Sigmoid", "d", "g"),
        node("Mul", "d g", "m"), node("Add", "m p", "a"),
        node("AveragePool", "a", "v", kernel_shape=[2, 2]),
        node("LeakyRelu", "v", "l", alpha=0.2), node("Concat", "l l", "k", axis=1),
        node("GlobalAveragePool", "k", "e"), node("Flatten", "e", "f"),
        node("Gemm", "f u ub", "h", transB=1), node("Softmax", "h", "y", axis=1),
    ]  # fmt: skip
    constants = {"w": weight(8, 3, 3, 3), "b": weight(8), "w2": weight(8, 8, 3, 3),
                 "u": weight(5, 16), "ub": weight(5)}  # fmt: skip
    return model_of(nodes, {"x": ("N", 3, 8, 8)}, ["y"], constants, kind=onnx.TensorProto.FLOAT)


class Frames(quantization.CalibrationDataReader):
    """Random calibration data."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        made = ({"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(12))
        self.frames: Iterator[dict[str, np.ndarray]] = made

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.frames, None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("activations", "weights", "per_channel"),
    [("QUInt8", "QInt8", True), ("QInt8", "QInt8", False), ("QUInt8", "QUInt8", True)],
)
def test_all_that_it_writes(
    form: str, activations: str, weights: str, per_channel: bool, tmp_path: Path
) -> None:
    model = onnx.shape_inference.infer_shapes(network())
    onnx.save(model, tmp_path / "float.onnx")
    quantization.quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "made.onnx",
        Frames(),
        quant_format=getattr(quantization.QuantFormat, FORMATS[form]),
        activation_type=getattr(quantization.QuantType, activations),
        weight_type=getattr(quantization.QuantType, weights),
        per_channel=per_channel,
    )
    quantized = onnx.load(tmp_path / "made.onnx")
    kinds = {n.op_type for n in quantized.graph.node}
    assert ("QGemm" in kinds) == (form == "operators")
    x = np.random.default_rng(2).normal(size=(16, 3, 8, 8)).astype(np.float32)
    read = load_onnx(tmp_path / "made.onnx")
    frames = read.feed({"x": x})
    values = evaluate(read.source, frames)
    made, want = read.fetch(values)["y"], runtime(quantized, {"x": x})["y"]
    assert np.abs(made - want).max() < 2.01 / 255, "two codes of the softmax"
    assert (np.abs(made - want) > 1e-6).mean() < 0.25
    lowered = lower(read.source)
    codes = lowered.encode(frames)
    (reading,) = lowered.outputs
    for graph in (lowered.graph, hardware(lowered.graph)):
        have = reading.decode(run(graph, codes)[reading.node])
        np.testing.assert_allclose(have, values[reading.source], rtol=1e-9, atol=1e-12)
