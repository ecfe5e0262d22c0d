"""What load_onnx makes of inputs, batches and names, and how networks exported by torch fare."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.lower import lower
from hwc.compiler.onnx import OnnxError, Raw, read_onnx
from hwc.compiler.source import Flatten, Linear, Quant, evaluate

from .helpers import agree, model_of, node, ours, runtime

DOMAIN = "qonnx.custom_op.general"
QUANT = {"s": np.float32(0.25), "z": np.float32(0), "b": np.float32(4)}


def quantized_mlp(*moves: onnx.NodeProto, shape: Any = ("N", 2, 3, 4), last: str = "x") -> Any:
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {**QUANT, "w": rng.integers(-3, 4, size=(24, 5)).astype(np.float32)}
    nodes = [
        *moves, node("Quant", f"{last} s z b", "q", domain=DOMAIN, signed=1, narrow=0),
        node("Flatten", "q", "f"), node("MatMul", "f w"),
    ]  # fmt: skip
    return model_of(nodes, {"x": shape}, ["y"], constants, kind=1)


def test_the_quantizer_of_an_input_comes_before_movements() -> None:
    moves = [node("Transpose", "x", "t", perm=[0, 2, 1, 3]), node("Flatten", "t", "u")]
    model = quantized_mlp(*moves, last="u")
    read, made = ours(model, {"x": np.random.default_rng(1).normal(size=(7, 2, 3, 4))})
    assert isinstance(read.source.nodes[0].op, Quant)
    assert read.source.nodes[0].args[0] == "x"
    x = np.random.default_rng(1).normal(size=(7, 2, 3, 4))
    codes = np.clip(np.rint(x / 0.25), -8, 7) * 0.25
    weight = onnx.numpy_helper.to_array(model.graph.initializer[3])
    want = codes.transpose(0, 2, 1, 3).reshape(7, -1) @ weight
    np.testing.assert_allclose(made["y"], want)
    lower(read.source)


def test_a_raw_input_gets_integers() -> None:
    model = quantized_mlp(node("Mul", "x s", "m"), last="m")
    read = read_onnx(model, raw={"x": Raw(1 / 255)})
    (item,) = read.source.inputs
    assert (item.scale, item.lo, item.hi) == (1 / 255, 0, 255)
    x = np.random.default_rng(0).integers(0, 256, size=(3, 2, 3, 4))
    made = read.fetch(evaluate(read.source, read.feed({"x": x})))["y"]
    real = read_onnx(model)
    want = real.fetch(evaluate(real.source, real.feed({"x": x / 255})))["y"]
    np.testing.assert_array_equal(made, want)
    lower(read.source)


def test_an_unknown_input_is_named() -> None:
    with pytest.raises(OnnxError, match=r"no input is called \['image'\]; inputs are x"):
        read_onnx(quantized_mlp(), raw={"image": Raw()})


def test_shapes_can_be_fixed() -> None:
    model = quantized_mlp(shape=("N", 2, "h", "w"))
    with pytest.raises(OnnxError, match=r"input 'x': shape \('N', 2, 'h', 'w'\) is open beyond"):
        read_onnx(model)
    assert read_onnx(model, {"x": (1, 2, 3, 4)}).source.inputs[0].shape == (2, 3, 4)


@pytest.mark.parametrize("batch", ["N", 1, 5])
def test_batches(batch: Any) -> None:
    read = read_onnx(quantized_mlp(shape=(batch, 2, 3, 4)))
    assert read.source.inputs[0].shape == (2, 3, 4)
    assert [type(n.op) for n in read.source.nodes] == [Quant, Flatten, Linear]


def test_a_sample_without_a_batch_axis() -> None:
    w = np.random.default_rng(0).normal(size=(4, 3))
    nodes = [node("MatMul", "w x", "a"), node("ReduceMax", "a", "y", axes=[0], keepdims=0)]
    agree(model_of(nodes, {"x": (3, 5)}, ["y"], {"w": w}), {"x": np.ones((3, 5))})


def test_several_inputs_and_outputs() -> None:
    nodes = [node("Add", "a b", "c"), node("Relu", "c", "d"), node("Concat", "a d", "e", axis=1)]
    model = model_of(nodes, {"a": ("N", 3), "b": ("N", 3)}, ["c", "e", "d"])
    rng = np.random.default_rng(0)
    read = agree(model, {"a": rng.normal(size=(4, 3)), "b": rng.normal(size=(4, 3))})
    assert [p.name for p in read.outputs] == ["c", "e", "d"]


def test_names_become_identifiers() -> None:
    nodes = [node("Relu", "input.1", "/layer/Relu:0"), node("Neg", "/layer/Relu:0", "layer.Relu_0")]
    read = read_onnx(model_of(nodes, {"input.1": ("N", 3)}, ["layer.Relu_0"]))
    assert all(n.name.isidentifier() for n in read.source.nodes)


def test_dead_nodes_need_no_support() -> None:
    nodes = [node("Loop", "x", "z"), node("Relu", "x")]
    assert len(read_onnx(model_of(nodes, {"x": ("N", 3)}, ["y"])).source.nodes) == 1


def exported(module: Any, x: Any) -> onnx.ModelProto:
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.onnx.export(module.eval(), (x,), buffer, dynamo=False, dynamic_axes={"x": {0: "n"}},
                      input_names=["x"], output_names=["y"])  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["separable", "residual", "decoder", "sequence"])
def test_networks_exported_by_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    from torch import nn

    torch.manual_seed(0)

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 1, 2)
            self.n, self.f = nn.BatchNorm2d(8), nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.n(self.a(x)) + self.b(x))
            return self.f(nn.functional.adaptive_avg_pool2d(y, 1).view(x.size(0), -1))

    networks: dict[str, tuple[Any, tuple[int, ...]]] = {
        "separable": (
            nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
                nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Hardswish(), nn.Conv2d(8, 16, 1), nn.SiLU(),
                nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.LazyLinear(5), nn.Softmax(1),
            ),
            (2, 3, 14, 14),
        ),
        "residual": (Residual(), (2, 3, 12, 12)),
        "decoder": (
            nn.Sequential(
                nn.Conv2d(2, 12, 3, padding=1), nn.PReLU(12), nn.PixelShuffle(2),
                nn.Upsample(scale_factor=2), nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.GELU(),
                nn.ZeroPad2d((1, 0, 2, 1)), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Sigmoid(),
            ),
            (2, 2, 5, 6),
        ),
        "sequence": (
            nn.Sequential(
                nn.Conv1d(4, 6, 3, padding="same"), nn.ELU(),
                nn.Conv1d(6, 6, 5, dilation=2, groups=2), nn.Mish(), nn.MaxPool1d(2),
                nn.Flatten(), nn.LazyLinear(3), nn.Hardtanh(),
            ),
            (2, 4, 21),
        ),
    }  # fmt: skip
    module, shape = networks[name]
    x = torch.randn(*shape)
    module.eval()(x)
    model = exported(module, x)
    agree(model, {"x": x.numpy()}, 2e-5, runtime)


def test_outputs_keep_the_names_of_the_file() -> None:
    """Nodes that move nothing leave no trace, but what they make may be an output."""
    nodes = [
        node("MatMul", "x w", "inner"), node("Transpose", "inner", "turned", perm=[0, 2, 1]),
        node("Identity", "inner", "same"), node("Relu", "inner", "other"),
        node("Identity", "other", "a/b:0"), node("Identity", "x", "given"),
    ]  # fmt: skip
    model = model_of(
        nodes, {"x": (2, 3, 4)}, ["turned", "same", "a/b:0", "given"], {"w": np.eye(4)}
    )
    read = agree(model, {"x": np.random.default_rng(0).normal(size=(2, 3, 4))})
    assert [p.value.name for p in read.outputs] == ["turned", "turned", "a_b_0", "x"]
    assert read.source.outputs == ("turned", "a_b_0", "x")
