"""The networks of benchmarks/foreign.py: files as others write them, through the whole compiler."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.build import Options, build
from hwc.compiler.graph import run
from hwc.compiler.lower import hardware, lower
from hwc.compiler.network import load_network
from hwc.compiler.source import evaluate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benchmarks/."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in [n for n in sys.modules if n.split(".")[0] == "foreign"]:
        del sys.modules[name]


def lowered_equals_source(path: Path, calib: Any, frames: Any, raw: tuple[str, ...] = ()) -> Any:
    """Lower a file and compare every output of the integers with the quantized float network, and
    with the graph that is built."""
    network = load_network(path, calib and str(calib), raw=raw)
    lowered = lower(network.source)
    codes = run(lowered.graph, lowered.encode(frames))
    built = run(hardware(lowered.graph), lowered.encode(frames))
    for reading in lowered.outputs:
        np.testing.assert_array_equal(built[reading.node], codes[reading.node])
    wanted = evaluate(network.source, frames)
    for reading in lowered.outputs:
        made, want = reading.decode(codes[reading.node]), wanted[reading.source]
        np.testing.assert_allclose(made, want, rtol=1e-9, atol=1e-9 * np.abs(want).max())
    return lowered


def test_the_3_bit_mlp_equals_qonnx(load: Any, tmp_path: Path) -> None:
    prepared = load("foreign.qonnx_files").kws_mlp(tmp_path)
    frames = {name: x[:16] for name, x in prepared.frames.items()}
    lowered = lowered_equals_source(prepared.path, None, frames)
    _, want = load("foreign.oracles").execute(prepared.path, frames)
    (reading,) = lowered.outputs
    codes = run(lowered.graph, lowered.encode(frames))[reading.node]
    np.testing.assert_allclose(reading.decode(codes), want["logits"], rtol=1e-4, atol=1e-3)
    weights = [n.op.weight for n in lowered.graph.nodes if hasattr(n.op, "weight")]
    assert [w.shape for w in weights] == [(256, 490), (256, 256), (256, 256), (12, 256)]
    assert all(np.abs(w.dense()).max() == 3 for w in weights)


@pytest.mark.parametrize(
    "name",
    [
        "autoencoder",
        pytest.param("ds_cnn", marks=pytest.mark.slow),
        pytest.param("mobilenet", marks=pytest.mark.slow),
    ],
)
def test_float_networks_from_torch(load: Any, tmp_path: Path, name: str) -> None:
    prepared = getattr(load("foreign.made"), name)(tmp_path)
    calib = tmp_path / "calib.npz"
    np.savez(calib, **{k: v[:16] for k, v in prepared.calib.items()})
    frames = {k: v[:4] for k, v in prepared.frames.items()}
    lowered = lowered_equals_source(prepared.path, calib, frames)
    _, want = load("foreign.oracles").execute(prepared.path, frames)
    (reading,) = lowered.outputs
    codes = run(lowered.graph, lowered.encode(frames))[reading.node]
    (value,) = want.values()
    assert load("foreign.oracles").signal_to_noise(reading.decode(codes), value) > 12


def random_weights(name: str, mtcnn: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Arrays of the shapes that the mtcnn package has, slopes of both signs among them."""
    shapes = {
        "pnet": [(3, 3, 3, 10), (3, 3, 10, 16), (3, 3, 16, 32)],
        "rnet": [(3, 3, 3, 28), (3, 3, 28, 48), (2, 2, 48, 64), (576, 128)],
    }[name]
    heads = {"pnet": [(1, 1, 32, 4), (1, 1, 32, 2)], "rnet": [(128, 4), (128, 2)]}[name]
    arrays = []
    for i, shape in enumerate([*shapes, *heads]):
        arrays.append(rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape))
        arrays.append(rng.normal(0, 0.1, shape[-1]))
        if i < len(shapes):
            slope = rng.uniform(-0.3, 0.8, shape[-1])
            arrays.append(slope if len(shape) == 2 else slope[None, None])
    return arrays


@pytest.mark.parametrize("name", ["pnet", "rnet"])
def test_keras_networks_with_prelu_and_heads(load: Any, tmp_path: Path, name: str) -> None:
    mtcnn, rng = load("foreign.mtcnn"), np.random.default_rng(3)
    arrays, size = random_weights(name, mtcnn, rng), {"pnet": (12, 14), "rnet": (24, 24)}[name]
    path = tmp_path / f"{name}.onnx"
    onnx.save(mtcnn.onnx_of(name, arrays, size), path)
    images = rng.integers(0, 256, (8, *size, 3))
    wanted = mtcnn.forward(name, arrays, images)
    _, found = load("foreign.oracles").execute(path, {"image": images})
    for have, want in zip(found.values(), wanted, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-5)

    frames = {"image": images.transpose(0, 3, 1, 2)}
    np.savez(tmp_path / "calib.npz", **frames)  # type: ignore[arg-type]
    lowered = lowered_equals_source(path, tmp_path / "calib.npz", frames, ("image=1",))
    ops = {type(node.op).__name__ for node in lowered.graph.nodes}
    assert "TwoSlope" in ops
    assert len(lowered.outputs) == 2


def test_the_page_has_the_rows(load: Any, tmp_path: Path) -> None:
    foreign = _script(load)
    row = foreign.Row("net", "data", "w8a8", weights=1234, resources=(1000, 2.5), notes=("n",))
    (tmp_path / "kws-mlp.json").write_text(json.dumps(foreign.asdict(row)))
    (back,) = foreign.stored(tmp_path)
    assert back == row
    refused = foreign.Row("other", "data", "w8a8", refused="too large")
    text = foreign.page([back, refused])
    assert "| net | data | 1,234 |" in text
    assert "- other: too large" in text


def _script(load: Any) -> Any:
    load("foreign.made")
    spec = importlib.util.spec_from_file_location("foreign_script", BENCHMARKS / "foreign.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["foreign_script"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_3_bit_mlp_builds(load: Any, tmp_path: Path) -> None:
    prepared = load("foreign.qonnx_files").kws_mlp(tmp_path)
    options = Options(
        prepared.path, "pynq-z2", tmp_path / "out", verify_inputs=4, work=tmp_path / "cache"
    )
    report = build(options)
    assert report.verified is not None
    assert report.verified.mismatches == 0
    assert report.cycles.interval.estimated == report.cycles.interval.measured


@pytest.mark.slow
def test_what_a_pool_ignores_still_moves_after_the_last_output(tmp_path: Path) -> None:
    """A 3x3 pool leaves two of 14 rows: a slow layer before it works on when all is out."""
    rng = np.random.default_rng(0)
    helper, path = onnx.helper, tmp_path / "pool.onnx"
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["m"], kernel_shape=[3, 3], strides=[3, 3]),
        helper.make_node("Conv", ["m", "v"], ["y"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("w", (4, 2, 5, 5)), ("v", (3, 4, 1, 1)))
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "pool",
        [helper.make_tensor_value_info("x", kind, ["N", 2, 14, 14])],
        [helper.make_tensor_value_info("y", kind, ["N", 3, 4, 4])],
        constants,
    )
    sets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)
    np.save(tmp_path / "calib.npy", rng.normal(size=(16, 2, 14, 14)))
    options = Options(
        path,
        "pynq-z2",
        tmp_path / "out",
        target_fps=2000,
        verify_inputs=2,
        shell_frames=0,
        calib=str(tmp_path / "calib.npy"),
        work=tmp_path / "cache",
    )
    report = build(options)
    assert report.verified is not None
    assert report.verified.cycle_errors == 0
