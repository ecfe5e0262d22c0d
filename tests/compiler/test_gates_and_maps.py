"""Gates (products of two activations) and decisions at each position, built and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.build import Options, build
from hwc.compiler.calibrate import Config
from hwc.compiler.graph import run
from hwc.compiler.lower import agree, lower
from hwc.compiler.network import load_network
from hwc.compiler.source import evaluate

SHAPE = (2, 4, 5)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def write(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], kind: int) -> Path:
    """An ONNX file with one float input `x` of SHAPE and one output `y` of any shape."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    sets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)
    np.save(path.with_suffix(".npy"), np.random.default_rng(5).normal(size=(64, *SHAPE)))
    return path


def weights(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {k: rng.normal(size=s) / np.sqrt(np.prod(s[1:])) for k, s in shapes.items()}
    return {k: v.astype(np.float32) for k, v in made.items()}


def built(path: Path, bits: str = "w8a8") -> tuple[set[str], dict[str, np.ndarray], np.ndarray]:
    """Build for a board; the operations of all layers, inputs, and what the integers say."""
    calib, folder = str(path.with_suffix(".npy")), path.parent
    report = build(
        Options(
            path,
            "pynq-z2",
            folder / "out",
            verify_inputs=8,
            calib=calib,
            quantization=Config.of(bits),
            work=folder / "cache",
        )
    )
    assert report.verified is not None
    assert report.verified.mismatches == report.verified.cycle_errors == 0
    assert report.accuracy.differing_outputs == 0
    network = load_network(path, calib, Config.of(bits))
    lowered = lower(network.source)
    frames = {k: v[:16] for k, v in network.frames.items()}
    assert agree(network.source, lowered, frames).differing == 0
    (reading,) = lowered.outputs
    codes = run(lowered.graph, lowered.encode(frames))[reading.node]
    kinds = {op for layer in report.layers for op in layer.op.split(" + ")}
    return kinds, frames, reading.decode(codes)


def real(path: Path, frames: dict[str, np.ndarray]) -> np.ndarray:
    """What the float network says."""
    source = load_network(path).source
    return evaluate(source, frames)[source.outputs[0]]


@pytest.mark.slow
def test_gates_are_built(tmp_path: Path) -> None:
    """A gate of its own weights, and squeeze and excitation: one factor for each channel."""
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4),
        node("Conv", "x v", "d", pads=[1] * 4),
        node("Sigmoid", "d", "g"),
        node("Mul", "c g", "gated"),
        node("GlobalAveragePool", "gated", "p"),
        node("Conv", "p a", "q"),
        node("Relu", "q", "r"),
        node("Conv", "r b", "s"),
        node("HardSigmoid", "s", "e"),
        node("Mul", "gated e", "excited"),
        node("Conv", "excited u", "y"),
    ]
    constants = weights(
        w=(4, 2, 3, 3), v=(4, 2, 3, 3), a=(2, 4, 1, 1), b=(4, 2, 1, 1), u=(3, 4, 1, 1)
    )
    path = write(tmp_path / "gates.onnx", nodes, constants, onnx.TensorProto.FLOAT)
    kinds, frames, made = built(path)
    assert {"Multiply", "Table"} <= kinds
    want = real(path, frames)
    assert np.abs(made - want).max() < 0.1 * np.abs(want).max()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ArgMax", "TopK"])
def test_a_decision_at_each_position_is_built(kind: str, tmp_path: Path) -> None:
    """A segmentation network in small: 5 classes for each of 4 x 5 positions."""
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4),
        node("Relu", "c", "r"),
        node("Conv", "r v", "d"),
        node("ArgMax", "d", "y", axis=1)
        if kind == "ArgMax"
        else node("TopK", "d k", "values y", axis=1),
    ]
    constants = weights(w=(6, 2, 3, 3), v=(5, 6, 1, 1))
    if kind == "TopK":
        constants["k"] = np.array([2])
    path = write(tmp_path / "map.onnx", nodes, constants, onnx.TensorProto.INT64)
    kinds, frames, made = built(path)
    assert kind in kinds
    want = real(path, frames)
    assert made.shape == want.shape == (16, 1 if kind == "ArgMax" else 2, 4, 5)
    assert len(np.unique(want)) > 3
    assert (made == want).mean() > 0.9
