"""`hwc build` of ONNX files: calibrated from float, and quantized by others."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from hwc.compiler import cli
from hwc.compiler.build import Options, build
from hwc.compiler.calibrate import Config
from hwc.compiler.graph import run
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import lower
from hwc.compiler.network import load_network
from hwc.compiler.source import evaluate
from hwc.host.readings import Reading


def write(path, nodes, constants, shape, output):
    """An ONNX file with one float input `x` and one output `y`."""
    made = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *output])],
        made,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.fixture
def leaky(tmp_path):
    """A float network with a leaky ReLU, an upsampling, a table and a softmax."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["c", "slope"], ["p"]),
        helper.make_node("MaxPool", ["p"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["m", "", "scales"], ["r"], mode="nearest",
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        helper.make_node("HardSwish", ["r"], ["h"]),
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]  # fmt: skip
    constants = {
        "w": rng.normal(size=(3, 2, 3, 3)).astype(np.float32),
        "b": rng.normal(size=3).astype(np.float32),
        "slope": np.array([[[0.25]], [[0.5]], [[0.1]]], np.float32),
        "scales": np.array([1, 1, 1, 2], np.float32),
        "g": (rng.normal(size=(5, 36)) / 6).astype(np.float32),
    }
    return write(tmp_path / "leaky.onnx", nodes, constants, (2, 4, 6), (5,))


def test_float_onnx_with_calibration(leaky, tmp_path):
    frames = np.random.default_rng(1).normal(size=(64, 2, 4, 6))
    np.savez(tmp_path / "calib.npz", x=frames)
    options = Options(
        leaky,
        "pynq-z2",
        tmp_path / "out",
        verify_inputs=4,
        calib=str(tmp_path / "calib.npz"),
        quantization=Config.of("w6a8", rounding="second_order", equalize=True),
        work=tmp_path / "cache",
    )
    report = build(options)
    record = json.loads(report.to_json())["calibrated"]
    assert record["data"] == str(tmp_path / "calib.npz")
    assert (record["weight_bits"], record["rounding"]) == (6, "second_order")
    assert report.verified is not None
    assert report.verified.mismatches == report.verified.cycle_errors == 0
    assert {"TwoSlope", "Gather", "Table"} <= {
        op for layer in report.layers for op in layer.op.split(" + ")
    }
    kinds = {loss["kind"] for loss in report.record()["calibration"]}
    assert kinds == {"weight", "activation", "output"}

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    network = load_network(leaky, str(tmp_path / "calib.npz"), options.quantization)
    lowered = lower(network.source)
    inputs = {name: x[:16] for name, x in network.frames.items()}
    (section,) = manifest["outputs"].values()
    reading = Reading.of(section)
    integers = run(lowered.graph, lowered.encode(inputs))[lowered.outputs[0].node]
    expected = evaluate(network.source, inputs)[lowered.outputs[0].source]
    np.testing.assert_allclose(reading.real(integers), expected, rtol=1e-9)
    assert np.abs(expected.sum(axis=1) - 1).max() < 1e-9


def test_a_float_network_asks_for_calibration(leaky, tmp_path):
    with pytest.raises(HwcError, match="put a Quant"):
        build(Options(leaky, "pynq-z2", tmp_path / "out", work=tmp_path / "cache"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bits", ["w9a8", "8", "w8"])
def test_wrong_bits(leaky, tmp_path, bits):
    np.save(tmp_path / "calib.npy", np.zeros((4, 2, 4, 6)))
    with pytest.raises(HwcError, match=r"2\.\.8 bits|such as w8a8"):
        load_network(leaky, str(tmp_path / "calib.npy"), Config.of(bits))


def test_options_of_a_calibration_want_its_data(leaky):
    with pytest.raises(HwcError, match="name its data with --calib"):
        load_network(leaky, None, Config.of("w4a8"))


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ((), Config()),
        (("--bits", "w4a6", "--rounding", "second_order"), Config(4, 6, rounding="second_order")),
        (("--ranges", "percentile", "--percentile", "99"), Config(8, 8, "percentile", None, 99.0)),
        (
            ("--weight-ranges", "mse", "--per-tensor"),
            Config(weight_ranges="mse", per_channel=False),
        ),
        (("--no-bias-correction", "--equalize"), Config(bias_correction=False, equalize=True)),
    ],
)
def test_calibration_on_the_command_line(flags, wanted, monkeypatch, tmp_path):
    """Every option of `Config` reaches the build, and wrong ones say what is right."""
    seen = []

    def stop(options, step):
        seen.append(options)
        raise HwcError("enough")

    monkeypatch.setattr("hwc.compiler.build.build", stop)
    app = CliRunner()
    line = ("build", "m.onnx", "--board", "pynq-z2", "--calib", "x.npz", "-o", str(tmp_path / "o"))
    app.invoke(cli.application(), [*line, *flags])
    assert [options.quantization for options in seen] == [wanted]
    bad = app.invoke(cli.application(), [*line, "--rounding", "up"])
    assert bad.exit_code == 1
    assert "nearest, second_order" in bad.output


def test_quantized_onnx_with_a_residual_of_two_scales(tmp_path):
    """QDQ as other tools write it: zero points, and an add whose operands have float32 scales."""
    rng = np.random.default_rng(2)
    nodes, constants = [], {}

    def quantized(x, name, scale, zero):
        constants.update({f"{name}_s": np.float32(scale), f"{name}_z": np.array(zero)})
        ends = [f"{name}_s", f"{name}_z"]
        nodes.append(helper.make_node("QuantizeLinear", [x, *ends], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *ends], [name]))
        return name

    def conv(x, name, scale):
        weight = f"{name}_w"
        constants[f"{weight}_q"] = rng.integers(-127, 128, (3, 3, 3, 3)).astype(np.int8)
        constants.update({f"{weight}_s": np.float32(scale), f"{weight}_z": np.int8(0)})
        parts = [f"{weight}_{part}" for part in "qsz"]
        nodes.append(helper.make_node("DequantizeLinear", parts, [weight]))
        nodes.append(helper.make_node("Conv", [x, weight], [name], pads=[1, 1, 1, 1]))
        return name

    x = quantized("x", "xq", 0.0431, np.uint8(121))
    long = "a_name_as_long_as_those_that_some_exporters_give_to_the_outputs_of_their_layers"
    left = quantized(conv(x, "left", 0.0077), long, 0.1131, np.int8(-3))
    right = quantized(conv(x, "right", 0.0053), "rq", 0.0917, np.int8(11))
    nodes.append(helper.make_node("Add", [left, right], ["sum"]))
    nodes.append(helper.make_node("Relu", ["sum"], ["act"]))
    nodes.append(helper.make_node("Identity", [quantized("act", "yq", 0.07, np.uint8(0))], ["y"]))
    path = write(tmp_path / "residual.onnx", nodes, constants, (3, 4, 5), (3, 4, 5))
    report = build(
        Options(path, "pynq-z2", tmp_path / "out", verify_inputs=4, work=tmp_path / "cache")
    )
    assert report.verified is not None
    assert report.accuracy.differing_outputs == 0


def test_bytes_at_a_float_input(leaky):
    network = load_network(leaky, raw=["x=1/255"])
    (item,) = network.source.inputs
    assert (item.scale, item.lo, item.hi) == (1 / 255, 0, 255)


@pytest.mark.parametrize("text", ["x", "x=", "=1/255", "x=0", "x=-1", "x=1/0", "z=1/255", "x=a"])
def test_wrong_scales_of_bytes(leaky, text):
    with pytest.raises(HwcError, match=r"must be INPUT=SCALE|no input|z"):
        load_network(leaky, raw=[text])


def test_frames_may_have_the_channels_where_the_file_has_them(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["y"]),
    ]
    weight = np.random.default_rng(0).normal(size=(3, 2, 1, 1)).astype(np.float32)
    path = write(tmp_path / "last.onnx", nodes, {"w": weight}, (4, 5, 2), (3, 4, 5))
    frames = np.random.default_rng(1).normal(size=(8, 4, 5, 2))
    made = []
    for name, x in (("last", frames), ("first", frames.transpose(0, 3, 1, 2))):
        np.save(tmp_path / f"{name}.npy", x)
        made.append(load_network(path, str(tmp_path / f"{name}.npy")))
    for network in made:
        np.testing.assert_array_equal(network.frames["x"], frames.transpose(0, 3, 1, 2))
    np.save(tmp_path / "wrong.npy", frames.transpose(0, 2, 1, 3))
    with pytest.raises(HwcError, match=r"shape must be \(N, 2, 4, 5\)"):
        load_network(path, str(tmp_path / "wrong.npy"))


@pytest.fixture
def open_sizes(tmp_path):
    """A network of sounds of any length."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    return write(tmp_path / "open.onnx", nodes, {"w": np.ones((3, 2, 4), np.float32)},
                 (2, "T"), (3, "U"))  # fmt: skip


def test_sizes_that_the_file_leaves_open(open_sizes):
    with pytest.raises(HwcError, match=r"'T'\) is open .*--shape x=1,\.\.\."):
        load_network(open_sizes)
    network = load_network(open_sizes, shapes=["x=1,2,9"])
    assert network.source.shapes[network.source.outputs[0]] == (3, 6)


@pytest.mark.parametrize(
    "text", ["x", "x=", "=1,2,9", "x=1,2", "x=1,3,9", "x=1,2,-9", "x=1,2,0", "z=1,2,9", "x=a,2,9"]
)
def test_wrong_shapes(open_sizes, text):
    message = (
        r"must be INPUT=SIZES|does not fit the file's|no input is called|node 'y': Conv: weight"
    )
    with pytest.raises(HwcError, match=message):
        load_network(open_sizes, shapes=[text])


def test_shapes_on_the_command_line(open_sizes, tmp_path):
    line = ["build", str(open_sizes), "--board", "pynq-z2", "-o", str(tmp_path / "o")]
    bad = CliRunner().invoke(cli.application(), [*line, "--shape", "x=1,9"])
    assert bad.exit_code == 1
    assert "does not fit the file's" in bad.output
    good = CliRunner().invoke(cli.application(), [*line, "--shape", "x=1,2,9"])
    assert "put a Quant" in good.output, "the next thing that is missing"


def test_scales_of_bytes_are_for_onnx(tmp_path):
    with pytest.raises(HwcError, match="--raw speaks of ONNX files"):
        load_network(tmp_path / "model.pt", raw=["x=1/255"])
    with pytest.raises(HwcError, match="--shape speaks of ONNX files"):
        load_network(tmp_path / "model.pt", shapes=["x=1,2"])
