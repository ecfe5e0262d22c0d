"""The executors of others, and how far the integers are from them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

__all__ = ["execute", "signal_to_noise"]


def execute(path: Path, frames: Mapping[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    """The executor's name and all outputs for float32 frames; qonnx where the file needs it."""
    model = onnx.load(str(path))
    foreign = any("qonnx" in node.domain for node in model.graph.node)
    run = _qonnx(path) if foreign else _onnxruntime(path)
    ((first, *_),) = [[i for i in model.graph.input if i.name in frames]]
    fixed = first.type.tensor_type.shape.dim[0].dim_value
    count = len(frames[first.name])
    step = fixed or count
    parts = [
        run({k: v[i : i + step].astype(np.float32) for k, v in frames.items()})
        for i in range(0, count, step)
    ]
    name = "qonnx" if foreign else "onnxruntime"
    return name, {k: np.concatenate([np.asarray(p[k]) for p in parts]) for k in parts[0]}


def _onnxruntime(path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Fusions change the order of float32 sums, so what lies near a tie.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return lambda feed: dict(zip(names, session.run(None, feed), strict=True))


def _qonnx(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes

        model = ModelWrapper(str(path)).transform(InferShapes())

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return execute_onnx(model, feed)

    return run


def signal_to_noise(have: np.ndarray, want: np.ndarray) -> float:
    """10 log10 of the power of `want` over that of the difference, in dB."""
    noise = float(((have - want) ** 2).sum())
    return float("inf") if noise == 0 else 10 * float(np.log10(float((want**2).sum()) / noise))
