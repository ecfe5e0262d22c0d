"""Damaged files that can be read are lowered, too: to the integers that the source means, in the
graph that is built as well, or to a named error."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwc.compiler.build import Options, build
from hwc.compiler.graph import run
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import hardware, lower
from hwc.compiler.onnx import load_onnx
from hwc.compiler.source import evaluate

from .helpers import model_of, node
from .test_mutations import SECONDS, mutated, restructured

S = np.float32
DOMAIN = "qonnx.custom_op.general"
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def pairs(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {
        "sx": S(0.05), "zx": np.uint8(3), "sw": S(0.01), "zw": np.int8(0), "sy": S(0.2),
        "zy": np.uint8(9), "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "v": rng.integers(-127, 128, (4, 5)).astype(np.int8), "a": np.array([0, -1]),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "q"), node("DequantizeLinear", "q sx zx", "r"),
        node("DequantizeLinear", "w sw zw", "wr"),
        node("Conv", "r wr", "c", pads=[1] * 4, strides=[2, 2]), node("Relu", "c", "k"),
        node("QuantizeLinear", "k sy zy", "l"), node("DequantizeLinear", "l sy zy", "m"),
        node("MaxPool", "m", "p", kernel_shape=[2, 2], ceil_mode=1),
        node("GlobalAveragePool", "p", "g"), node("QuantizeLinear", "g sy zy", "g2"),
        node("DequantizeLinear", "g2 sy zy", "g3"), node("Reshape", "g3 a", "h"),
        node("DequantizeLinear", "v sw zw", "vr"), node("MatMul", "h vr"),
    ]  # fmt: skip
    return model_of(nodes, {"x": ("N", 3, 6, 6)}, ["y"], constants, kind=FLOAT)


def quants(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {
        "w": rng.normal(size=(6, 4)).astype(S), "s": S(0.25), "s2": S(0.125), "o": S(0),
        "b": S(4), "t": np.sort(rng.normal(size=(4, 3)) * 4, 1).astype(S),
        "g": rng.normal(size=(3, 4)).astype(S), "vv": rng.uniform(0.1, 1, 4).astype(S),
    }  # fmt: skip
    quant: dict[str, Any] = {"domain": DOMAIN, "signed": 1, "rounding_mode": "ROUND"}
    nodes = [
        node("Quant", "x s o b", "q", narrow=0, **quant),
        node("Quant", "w s2 o b", "v", narrow=1, **quant), node("MatMul", "q v", "m"),
        node("Split", "g", "g0 g1 g2", axis=0), node("Squeeze", "g0", "h0"),
        node("Squeeze", "g1", "h1"), node("Squeeze", "g2", "h2"),
        node("BatchNormalization", "m h0 h1 h2 vv", "n"),
        node("MultiThreshold", "n t", "c", domain=DOMAIN, out_dtype="UINT2", data_layout="NC"),
        node("MatMul", "c vs", "l"), node("ArgMax", "l", "y", axis=1),
    ]  # fmt: skip
    constants["vs"] = rng.integers(-3, 4, (4, 3)).astype(S)
    return model_of(nodes, {"x": ("N", 6)}, ["y"], constants, kind=FLOAT)


def operators(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {
        "sx": S(0.5), "zx": np.uint8(3), "sw": np.array([0.1, 0.2, 0.3, 0.4], S),
        "zw": np.zeros(4, np.int8), "sy": S(2), "zy": np.uint8(51),
        "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "b": rng.integers(-99, 99, 4).astype(np.int32),
    }  # fmt: skip
    nodes = [
        node("QLinearConv", "x sx zx w sw zw sy zy b", "q", pads=[1, 0, 1, 0]),
        node("DequantizeLinear", "q sy zy", "d"),
        node("AveragePool", "d", "e", kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 0, 1]),
        node("QuantizeLinear", "e sy zy"),
    ]
    return model_of(nodes, {"x": (1, 3, 6, 6)}, ["y"], constants, kind=UINT8)


NUMBERS = [np.nan, np.inf, -np.inf, 0, -1, 1e-45, 3e38, 1e-30, 1e30, 2.0**-20, 2.0**20, 0.5, 7]


def renumbered(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with constants and attributes exchanged for extreme ones."""
    model = onnx.ModelProto.FromString(data)
    if rng.random() < 0.7:
        tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
        array = numpy_helper.to_array(tensor).copy()
        if array.dtype.kind == "f":
            value = NUMBERS[rng.integers(len(NUMBERS))]
        else:
            value = int(rng.choice([np.iinfo(array.dtype).min, np.iinfo(array.dtype).max, 0, 1]))
        flat = array.reshape(-1)
        if rng.random() < 0.5:
            flat[int(rng.integers(flat.size))] = value
        else:
            flat[:] = value
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return model.SerializeToString()
    nodes = [n for n in model.graph.node if n.attribute]
    attributes = nodes[rng.integers(len(nodes))].attribute
    chosen = attributes[rng.integers(len(attributes))]
    if chosen.ints:
        chosen.ints[int(rng.integers(len(chosen.ints)))] = int(rng.choice([0, 1, 2, 3, 5, -1, 100]))
    elif chosen.type == onnx.AttributeProto.STRING:
        chosen.s = [b"FLOOR", b"CEIL", b"HALF_UP", b"NHWC", b"nothing", b""][rng.integers(6)]
    else:
        chosen.i = int(rng.choice([0, 1, 2, -1, 3, 100]))
    return model.SerializeToString()


def outcome(path: Path) -> str:
    """What becomes of a file; asserts that integers are right."""
    try:
        source = load_onnx(path).source
        lowered = lower(source)
        graph = hardware(lowered.graph)
    except HwcError as error:
        return "refused" if ":" in str(error) and "\n" not in str(error) else "unnamed"
    rng = np.random.default_rng(0)
    frames = {
        e.name: e.decode(rng.integers(e.type.lo, e.type.hi, (2, *e.type.shape), endpoint=True))
        for e in lowered.inputs
    }
    codes, real = lowered.encode(frames), evaluate(source, frames)
    made, built = run(lowered.graph, codes), run(graph, codes)
    for reading in lowered.outputs:
        have, want = reading.decode(made[reading.node]), real[reading.source]
        largest = max(1, np.abs(want).max())
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-9 * largest)
        np.testing.assert_array_equal(built[reading.node], made[reading.node])
    return "lowered"


CHANGES = {"bytes": mutated, "structure": restructured, "numbers": renumbered}
LEAST = {"bytes": 5, "structure": 30, "numbers": 60}
"""At least so many files can still be lowered."""


@pytest.mark.parametrize("change", CHANGES)
def test_mutated_networks(change: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    originals = [make(rng).SerializeToString() for make in (pairs, quants, operators)]
    path, count = tmp_path / "mutated.onnx", Counter[str]()
    for i in range(240):
        path.write_bytes(CHANGES[change](originals[i % 3], rng))
        start = time.monotonic()
        try:
            count[outcome(path)] += 1
        except Exception as error:
            raise AssertionError(f"file {i}") from error
        assert time.monotonic() - start < SECONDS, f"file {i}"
    assert count["lowered"] >= LEAST[change], count
    assert count["refused"] >= 30, count
    assert not count["unnamed"]
    assert [p.name for p in tmp_path.iterdir()] == ["mutated.onnx"]


@pytest.mark.slow
def test_what_is_lowered_is_built_and_verified(tmp_path: Path) -> None:
    """Some files with other numbers, through Verilator, or to a named error of the mapper."""
    rng, path, count = np.random.default_rng(8), tmp_path / "mutated.onnx", Counter[str]()
    originals = [make(rng).SerializeToString() for make in (pairs, quants, operators)]
    for original in originals:
        tried = 0
        while tried < 3:
            path.write_bytes(renumbered(original, rng))
            if path.read_bytes() == original or outcome(path) != "lowered":
                continue
            tried += 1
            out, work = tmp_path / f"{sum(count.values())}", tmp_path / "work"
            options = Options(
                path, "pynq-z2", out, target_fps=50_000, verify_inputs=8, shell_frames=0, work=work
            )
            try:
                report = build(options)
            except HwcError:
                assert not out.exists()
                count["refused"] += 1
                continue
            assert report.verified is not None
            assert report.verified.frames > 8
            count["built"] += 1
    assert count["built"] >= 6, count
