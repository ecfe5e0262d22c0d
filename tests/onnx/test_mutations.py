"""Randomly damaged files end in a named error or a network, quickly and in little memory."""

from __future__ import annotations

import resource
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hwc.compiler.onnx import OnnxError, load_onnx

from .helpers import model_of, node, small_network

SECONDS, BYTES = 10, 2 << 30


def seeds() -> list[bytes]:
    domain = "qonnx.custom_op.general"
    constants = {"w": np.eye(6, dtype=np.float32), "s": np.float32(0.5), "o": np.float32(0),
                 "b": np.float32(4), "t": np.zeros((6, 3), np.float32)}  # fmt: skip
    nodes = [
        node("Quant", "x s o b", "q", domain=domain, signed=1, narrow=0, rounding_mode="ROUND"),
        node("Quant", "w s o b", "v", domain=domain, signed=1, narrow=1, rounding_mode="CEIL"),
        node("MatMul", "q v", "m"),
        node("MultiThreshold", "m t", domain=domain, out_dtype="UINT2", data_layout="NC"),
    ]
    qonnx = model_of(nodes, {"x": (1, 6)}, ["y"], constants, kind=TensorProto.FLOAT)
    shapes = [
        node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Unsqueeze", "n a", "m"),
        node("Concat", "m r", "t", axis=0), node("Reshape", "x t", "f"),
        node("Gemm", "f w", "g", alpha=0.5), node("Split", "g", "u v", axis=1),
        node("Concat", "v u", "c", axis=1), node("TopK", "c k", "values y"),
    ]  # fmt: skip
    constants = {"i": np.array(0), "a": np.array([0]), "r": np.array([-1]), "k": np.array([2]),
                 "w": np.ones((12, 6), np.float32)}  # fmt: skip
    moving = model_of(shapes, {"x": ("N", 3, 4)}, ["y"], constants, kind=TensorProto.FLOAT)
    return [
        small_network().SerializeToString(),
        qonnx.SerializeToString(),
        moving.SerializeToString(),
    ]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, bits flipped, bytes replaced by extremes, or pieces copied elsewhere."""
    out = bytearray(data)
    match rng.integers(4):
        case 0:
            return bytes(out[: rng.integers(len(out))])
        case 1:
            for _ in range(rng.integers(1, 4)):
                out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
        case 2:
            for _ in range(rng.integers(1, 3)):
                out[rng.integers(len(out))] = int(rng.choice([0, 1, 127, 128, 255]))
        case _:
            start, end = sorted(rng.integers(len(out), size=2))
            at = rng.integers(len(out))
            out[at : at + end - start] = out[start:end]
    return bytes(out)


def restructured(data: bytes, rng: np.random.Generator) -> bytes:
    """A parsed file with names, numbers and types exchanged."""
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    item = graph.node[rng.integers(len(graph.node))]
    names = [n for other in graph.node for n in (*other.input, *other.output)]
    match rng.integers(6):
        case 0 if item.input:
            item.input[rng.integers(len(item.input))] = str(rng.choice(names))
        case 1:
            item.output[0] = str(rng.choice(names))
        case 2 if item.attribute:
            a = item.attribute[rng.integers(len(item.attribute))]
            a.i = int(rng.choice([-1, 0, 1 << 31, -(1 << 62)]))
            for k in range(len(a.ints)):
                a.ints[k] = int(rng.choice([-1, 0, 3, 1 << 20, 1 << 62]))
        case 3:
            tensor = graph.initializer[rng.integers(len(graph.initializer))]
            if tensor.dims:
                tensor.dims[rng.integers(len(tensor.dims))] = int(rng.choice([0, -1, 2, 1 << 33]))
        case 4:
            tensor = graph.initializer[rng.integers(len(graph.initializer))]
            size = len(tensor.raw_data)
            tensor.raw_data = rng.integers(0, 256, size, np.uint8).tobytes()
        case _:
            other = graph.node[rng.integers(len(graph.node))]
            item.op_type, item.domain = other.op_type, other.domain
    return model.SerializeToString()


def outcome(data: bytes, folder: Path) -> str:
    path = folder / "mutated.onnx"
    path.write_bytes(data)
    try:
        load_onnx(path)
    except OnnxError as error:
        return "refused" if ":" in str(error) else "unnamed"
    return "loaded"


@pytest.mark.parametrize("seed", range(8))
def test_mutated_files(seed: int, tmp_path: Path) -> None:
    """8 x 150 files: no other exception, none slow, and little memory in all."""
    rng = np.random.default_rng(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    count: Counter[str] = Counter()
    originals = seeds()
    for i in range(150):
        change_ = mutated if i % 2 else restructured
        start = time.monotonic()
        count[outcome(change_(originals[i % 3], rng), tmp_path)] += 1
        assert time.monotonic() - start < SECONDS, f"seed {seed}, file {i}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 < before + BYTES
    assert count["refused"] > 75
    assert not count["unnamed"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mutated.onnx"]
