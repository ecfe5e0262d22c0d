"""Files of others: they load, and compute what their golden outputs or onnxruntime say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwc.compiler.onnx import Imported, load_onnx
from hwc.compiler.source import evaluate

from .helpers import Arrays, runtime


def packaged(package: str, place: str) -> Path:
    """A file of an installed package; skips if the package is missing."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"package {package} is not installed")
    return Path(found.origin).parent / place


def computed(read: Imported, feeds: Arrays) -> Arrays:
    return read.fetch(evaluate(read.source, read.feed(feeds)))


def test_mnist_conv_gives_its_golden_output() -> None:
    folder = packaged("qonnx", "data/onnx/mnist-conv")
    read = load_onnx(folder / "model.onnx")
    x, y = (
        onnx.numpy_helper.to_array(onnx.TensorProto.FromString((folder / p).read_bytes()))
        for p in ("test_data_set_0/input_0.pb", "test_data_set_0/output_0.pb")
    )
    assert [p.name for p in read.inputs] == ["Input3"]
    np.testing.assert_allclose(computed(read, {"Input3": x})["Plus214_Output_0"], y, rtol=1e-4)


@pytest.mark.parametrize("name", ["pulsevad_2.1k", "pulsevad_teacher_81k"])
def test_pulsevad_float(name: str) -> None:
    path = packaged("pulsevad", f"data/{name}.onnx")
    read = load_onnx(path)
    x = np.random.default_rng(0).normal(size=(5, 64, 21)).astype(np.float32)
    made = computed(read, {"log_mel": x})["logits"]
    np.testing.assert_allclose(made, runtime(onnx.load(path), {"log_mel": x})["logits"], atol=1e-4)


def test_pulsevad_int8() -> None:
    """QDQ with any scales: a code may fall on the other side of a tie in float32, rarely."""
    path = packaged("pulsevad", "data/pulsevad_2.1k_int8.onnx")
    read = load_onnx(path)
    x = np.random.default_rng(0).normal(size=(200, 64, 21)).astype(np.float32) * 4
    made = computed(read, {"log_mel": x})["logits"]
    want = runtime(onnx.load(path), {"log_mel": x})["logits"]
    step = np.min(np.diff(np.unique(want)))
    off = np.abs(made - want) > step / 2
    assert off.mean() < 0.02, f"{off.sum()} of {off.size} logits differ"


@pytest.mark.parametrize("name", ["subpixel/float_model", "nn_resize/float_model"])
def test_super_resolution(name: str) -> None:
    path = packaged("qonnx", f"data/onnx/bsd300x3-espcn/{name}.onnx")
    model = onnx.load(path)
    constants = {t.name for t in model.graph.initializer}
    (item,) = [i for i in model.graph.input if i.name not in constants]
    read = load_onnx(path, {item.name: (1, 3, 6, 5)})
    for dim, size in zip(item.type.tensor_type.shape.dim, (1, 3, 6, 5), strict=True):
        dim.dim_value = size
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    x = np.random.default_rng(0).normal(size=(1, 3, 6, 5)).astype(np.float32)
    (made,) = computed(read, {item.name: x}).values()
    (want,) = runtime(model, {item.name: x}).values()
    np.testing.assert_allclose(made, want, atol=1e-4)


@pytest.mark.parametrize("name", ["subpixel", "nn_resize"])
def test_quantized_super_resolution(name: str) -> None:
    """Brevitas' files of several years ago: weights among the inputs, per-channel scales."""
    path = packaged("qonnx", f"data/onnx/bsd300x3-espcn/{name}/quant_model.onnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(path))
    (item,) = [i for i in model.graph.input if model.get_initializer(i.name) is None]
    size = (1, 3, 8, 8)
    model.set_tensor_shape(item.name, list(size))
    del model.graph.value_info[:]
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model = model.transform(InferShapes())
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    (want,) = execute_onnx(model, {item.name: x}).values()
    (made,) = computed(load_onnx(path, {item.name: size}), {item.name: x}).values()
    assert made.shape == want.shape
    step = np.min(np.diff(np.unique(want)))
    off = np.abs(made - want) > step / 2
    assert off.mean() < 0.01, f"{off.sum()} of {off.size} values differ"
