"""QuantizeLinear, DequantizeLinear and the integer operators against onnxruntime.

Scales are powers of two, so that onnxruntime's float32 arithmetic is exact and so must be the
equality; random scales are compared up to one code where float32 may fall on the other side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.graph import Ratio
from hwc.compiler.lower import agree, lower
from hwc.compiler.onnx import OnnxError, read_onnx
from hwc.compiler.source import Quant

from .helpers import Arrays, model_of, node, ours, runtime

FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
S = np.float32


def unsigned(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    """Onnxruntime on the same weights, `w` and their zero points `zw` written as uint8.

    On x86 without VNNI it adds pairs of uint8 by int8 products in 16 bits that saturate:
    2 * 255 * 64 is the most that fits. Products of two uint8 are exact everywhere.
    """
    shifted = onnx.ModelProto()
    shifted.CopyFrom(model)
    for tensor in shifted.graph.initializer:
        if tensor.name in ("w", "zw"):
            codes = onnx.numpy_helper.to_array(tensor).astype(int) + 128
            tensor.CopyFrom(onnx.numpy_helper.from_array(codes.astype(np.uint8), tensor.name))
    return runtime(shifted, feeds)


ORACLES = {128: unsigned, 64: runtime}
"""Who is right about uint8 by int8 products, by the largest weight."""


def equal(model: onnx.ModelProto, feeds: Arrays, oracle: Any = runtime) -> Any:
    """Assert equality with the oracle in every bit; returns what was read."""
    read, made = ours(model, feeds)
    for name, want in oracle(model, feeds).items():
        np.testing.assert_array_equal(made[name], want, err_msg=name)
        assert made[name].dtype == want.dtype or want.dtype.kind == "f"
    return read


def halves(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random multiples of 1/16: with scales of 1/8 half of them are ties."""
    return (np.random.default_rng(seed).integers(-600, 600, size=shape) / 16).astype(np.float32)


@pytest.mark.parametrize("zero", [0, 3, -5])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_quantize_rounds_ties_to_even_before_the_zero_point(dtype: Any, zero: int) -> None:
    zero = zero if dtype in (np.int8, np.int16) else abs(zero)
    constants = {"s": S(0.125), "z": dtype(zero)}
    q, dq = node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")
    model = model_of([q, dq], {"x": (40, 6)}, ["q", "y"], constants, 21, FLOAT)
    read = equal(model, {"x": halves((40, 6))})
    assert [type(n.op) for n in read.source.nodes] == [Quant]


@pytest.mark.parametrize("zero", [(2, 4, 6), (1, 3, 5), (7, 7, 7)])
@pytest.mark.parametrize("axis", [1, 2])
def test_quantize_along_an_axis(zero: Any, axis: int) -> None:
    constants = {"s": np.array([0.125, 0.5, 2], S), "z": np.array(zero, np.uint8)}
    nodes = [
        node("QuantizeLinear", "x s z", "q", axis=axis),
        node("DequantizeLinear", "q s z", axis=axis),
    ]
    model = model_of(nodes, {"x": (20, 3, 3)}, ["q", "y"], constants, 17, FLOAT)
    equal(model, {"x": halves((20, 3, 3))})


def test_zero_points_of_mixed_parity_along_an_axis_are_refused() -> None:
    constants = {"s": np.ones(3, S), "z": np.array([1, 2, 3], np.uint8)}
    model = model_of([node("QuantizeLinear", "x s z", axis=1)], {"x": (2, 3)}, ["y"], constants)
    with pytest.raises(OnnxError, match="zero points of different parity"):
        read_onnx(model)


def qdq_conv(per_channel: bool, zero: int, *, power: bool = True) -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    scale = 2.0 ** rng.integers(-8, -5, size=4) if power else rng.uniform(0.01, 0.02, size=4)
    scale = (scale if per_channel else scale[0]) * np.ones(4 if per_channel else ())
    sx = S(0.0625 if power else 0.0731)
    constants = {
        "sx": sx, "zx": np.uint8(zero), "sw": scale.astype(S), "sb": (scale * sx).astype(S),
        "zw": np.zeros(scale.shape, np.int8), "zb": np.zeros(scale.shape, np.int32),
        "w": rng.integers(-128, 128, size=(4, 3, 3, 3)).astype(np.int8),
        "b": rng.integers(-2000, 2000, size=4).astype(np.int32),
        "sy": S(0.25 if power else 0.193), "zy": np.uint8(100),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "xq"), node("DequantizeLinear", "xq sx zx", "xr"),
        node("DequantizeLinear", "w sw zw", "wr", axis=0),
        node("DequantizeLinear", "b sb zb", "br", axis=0),
        node("Conv", "xr wr br", "c", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", "c", "r"),
        node("QuantizeLinear", "r sy zy", "q"), node("DequantizeLinear", "q sy zy"),
    ]  # fmt: skip
    return model_of(nodes, {"x": (2, 3, 8, 8)}, ["q", "y"], constants, 17, FLOAT)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("zero", [0, 128, 77])
def test_qdq_convolution(per_channel: bool, zero: int) -> None:
    equal(qdq_conv(per_channel, zero), {"x": halves((2, 3, 8, 8)) / 4})


def test_qdq_convolution_with_any_scales() -> None:
    model = qdq_conv(True, 128, power=False)
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(S) * 3}
    _, made = ours(model, feeds)
    codes, want = made["q"].astype(int), runtime(model, feeds)["q"].astype(int)
    assert (np.abs(codes - want) <= 1).all()
    assert (codes != want).mean() < 0.01


def test_the_weight_keeps_its_codes() -> None:
    model = qdq_conv(True, 0)
    read = read_onnx(model)
    conv = next(n for n in read.source.nodes if type(n.op).__name__ == "Conv")
    quant = read.source.node(conv.args[1])
    assert isinstance(quant.op, Quant)
    assert quant.op.axis == 0
    codes = next(t for t in model.graph.initializer if t.name == "w")
    scale = read.source.tensors[quant.args[1]].reshape(-1, 1, 1, 1)
    made = read.source.tensors[quant.args[0]] / scale
    np.testing.assert_array_equal(made, onnx.numpy_helper.to_array(codes))


@pytest.mark.parametrize("zero", [0, 9])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("largest", ORACLES)
def test_qlinear_conv(zero: int, per_channel: bool, largest: int) -> None:
    rng = np.random.default_rng(4)
    scale = 2.0 ** -rng.integers(5, 8, size=4) if per_channel else np.array(2.0**-6)
    constants = {
        "sx": S(0.5), "zx": np.uint8(zero), "sw": scale.astype(S),
        "zw": np.zeros(scale.shape, np.int8), "sy": S(2), "zy": np.uint8(51),
        "w": rng.integers(-largest, largest, size=(4, 3, 3, 3)).astype(np.int8),
        "b": rng.integers(-2000, 2000, size=4).astype(np.int32),
    }  # fmt: skip
    conv = node("QLinearConv", "x sx zx w sw zw sy zy b", pads=[1, 0, 1, 0], group=1)
    model = model_of([conv], {"x": (2, 3, 7, 7)}, ["y"], constants, 17, UINT8)
    feeds = {"x": rng.integers(0, 256, size=(2, 3, 7, 7)).astype(np.uint8)}
    read = equal(model, feeds, ORACLES[largest])
    assert (read.source.inputs[0].scale, read.source.inputs[0].hi) == (0.5, 255)


@pytest.mark.parametrize("kind", ["signed", "unsigned"])
def test_qlinear_matmul(kind: str) -> None:
    rng = np.random.default_rng(4)
    dtype, zero = (np.int8, -3) if kind == "signed" else (np.uint8, 131)
    info = np.iinfo(dtype)
    constants = {
        "sx": S(0.25), "zx": dtype(zero), "sw": S(0.125), "zw": dtype(zero + 2), "sy": S(4),
        "zy": dtype(zero), "w": rng.integers(info.min, info.max + 1, size=(6, 5)).astype(dtype),
    }  # fmt: skip
    matmul = node("QLinearMatMul", "x sx zx w sw zw sy zy")
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = model_of([matmul], {"x": (9, 6)}, ["y"], constants, 17, element)
    equal(model, {"x": rng.integers(info.min, info.max + 1, size=(9, 6)).astype(dtype)})


@pytest.mark.parametrize("zero", [12, 5])
def test_dynamic_style_conv_integer(zero: int) -> None:
    """ConvInteger, Cast, Mul: the scales come back after the accumulator."""
    rng = np.random.default_rng(6)
    constants = {
        "sx": S(0.25), "zx": np.uint8(12), "zi": np.uint8(zero),
        "w": rng.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8),
        "zw": np.uint8(120), "m": S(0.25 * 0.125), "b": halves((1, 4, 1, 1)), "sy": S(8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "q"), node("ConvInteger", "q w zi zw", "a", pads=[1] * 4),
        node("Cast", "a", "f", to=1), node("Mul", "f m", "r"), node("Add", "r b", "t"),
        node("QuantizeLinear", "t sy zx", "y"),
    ]  # fmt: skip
    model = model_of(nodes, {"x": (2, 3, 6, 6)}, ["a", "t", "y"], constants, 17, FLOAT)
    equal(model, {"x": halves((2, 3, 6, 6))})


@pytest.mark.parametrize("largest", ORACLES)
def test_matmul_integer(largest: int) -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(-largest, largest, (5, 4)).astype(np.int8)
    constants = {"w": codes, "z": np.uint8(7), "zw": np.int8(0)}
    model = model_of(
        [node("MatMulInteger", "x w z zw")], {"x": (3, 5)}, ["y"], constants, 17, UINT8
    )
    equal(model, {"x": rng.integers(0, 256, (3, 5)).astype(np.uint8)}, ORACLES[largest])


def microsoft(kind: str, inputs: str, **attributes: Any) -> onnx.NodeProto:
    return node(kind, inputs, domain="com.microsoft", **attributes)


QLINEAR = {
    "add": microsoft("QLinearAdd", "x sx zx c sc zc sy zy"),
    "add itself": microsoft("QLinearAdd", "x sx zx x sx zx sy zy"),
    "concat": microsoft("QLinearConcat", "sy zy x sx zx x sx zx", axis=1),
    "multiply": microsoft("QLinearMul", "x sx zx c sc zc sy zy"),
    "multiply itself": microsoft("QLinearMul", "x sx zx x sx zx sy zy"),
    "pool": microsoft("QLinearGlobalAveragePool", "x sx zx sy zy"),
    "window": microsoft(
        "QLinearAveragePool",
        "x sx zx sy zy",
        kernel_shape=[2, 2],
        strides=[2, 1],
        count_include_pad=1,
        pads=[1, 0, 0, 1],
    ),
    "window last": microsoft(
        "QLinearAveragePool", "x sx zx sy zy", kernel_shape=[2, 1], channels_last=1
    ),
    "leaky": microsoft("QLinearLeakyRelu", "x sx zx sy zy", alpha=0.25),
    "sigmoid": microsoft("QLinearSigmoid", "x sx zx sp zz"),
}


@pytest.mark.parametrize("name", QLINEAR)
def test_microsoft_operators(name: str) -> None:
    rng = np.random.default_rng(8)
    constants = {
        "sx": S(0.125), "zx": np.uint8(100), "sc": S(0.5), "zc": np.uint8(60), "sy": S(0.25),
        "zy": np.uint8(33), "c": rng.integers(0, 256, (3, 1, 1)).astype(np.uint8),
        "sp": S(2**-8), "zz": np.uint8(0),
    }  # fmt: skip
    used = {k: v for k, v in constants.items() if k in QLINEAR[name].input}
    model = model_of([QLINEAR[name]], {"x": (2, 3, 4, 4)}, ["y"], used, 17, UINT8, com_microsoft=1)
    feeds: Arrays = {"x": rng.integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)}
    if name == "pool":  # onnxruntime's float32 mean may lie on either side of a tie
        _, made = ours(model, feeds)
        want = runtime(model, feeds)["y"].astype(int)
        assert (np.abs(made["y"].astype(int) - want) <= 1).all()
        return
    equal(model, feeds)


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("real", [False, True])
def test_qgemm(turned: int, per_channel: bool, real: bool) -> None:
    """What onnxruntime's quantizer makes of Gemm."""
    rng = np.random.default_rng(9)
    scale = 2.0 ** -rng.integers(5, 8, size=4) if per_channel else np.array(2.0**-6)
    w = rng.integers(-64, 64, (4, 6) if turned else (6, 4)).astype(np.int8)
    constants = {
        "sx": S(0.5), "zx": np.uint8(9), "w": w, "sw": scale.astype(S),
        "zw": np.zeros(scale.shape, np.int8), "b": rng.integers(-99, 99, 4).astype(np.int32),
        "sy": S(2), "zy": np.uint8(51),
    }  # fmt: skip
    inputs = "x sx zx w sw zw b" + ("" if real else " sy zy")
    gemm = microsoft("QGemm", inputs, transB=turned, alpha=2.0)
    used = {k: v for k, v in constants.items() if k in gemm.input}
    model = model_of([gemm], {"x": (5, 6)}, ["y"], used, 17, UINT8, com_microsoft=1)
    if real:
        model.graph.output[0].type.tensor_type.elem_type = FLOAT
    equal(model, {"x": rng.integers(0, 256, (5, 6)).astype(np.uint8)})


@pytest.mark.parametrize("axis", [1, 3])
def test_qlinear_softmax(axis: int) -> None:
    """Within a code of onnxruntime's, which sums floats."""
    made = microsoft("QLinearSoftmax", "x sx zx sy zy", axis=axis, opset=13)
    constants = {"sx": S(1 / 16), "zx": np.uint8(7), "sy": S(1 / 256), "zy": np.uint8(0)}
    model = model_of([made], {"x": (2, 5, 3, 4)}, ["y"], constants, 17, UINT8, com_microsoft=1)
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 4)).astype(np.uint8)
    read, have = ours(model, {"x": x})
    assert (np.abs(have["y"].astype(int) - runtime(model, {"x": x})["y"].astype(int)) <= 1).all()
    assert agree(read.source, lower(read.source), read.feed({"x": x})).differing == 0


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_with_a_scale_for_each_output(groups: int) -> None:
    """Its outputs lie along axis 1 of the weight, and so do the scales that quantizers write."""
    rng, outputs = np.random.default_rng(0), 6 // groups
    constants = {
        "sx": S(0.0625), "zx": np.uint8(128), "sy": S(0.25), "zy": np.uint8(60),
        "w": rng.integers(-127, 128, (4, outputs, 3, 3)).astype(np.int8),
        "sw": rng.uniform(0.004, 0.03, outputs).astype(S), "zw": np.zeros(outputs, np.int8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "q"), node("DequantizeLinear", "q sx zx", "r"),
        node("DequantizeLinear", "w sw zw", "v", axis=1),
        node("ConvTranspose", "r v", "t", strides=[2, 2], group=groups),
        node("QuantizeLinear", "t sy zy", "y"),
    ]  # fmt: skip
    model = model_of(nodes, {"x": (3, 4, 3, 5)}, ["y"], constants, 17, FLOAT)
    x = halves((3, 4, 3, 5)) / 4
    read, made = ours(model, {"x": x})
    wrong = made["y"].astype(int) - runtime(model, {"x": x})["y"]
    assert np.abs(wrong).max() <= 1
    assert np.count_nonzero(wrong) < wrong.size / 100
    assert agree(read.source, lower(read.source), read.feed({"x": x})).differing == 0


def test_codes_survive_movement_and_max_pools() -> None:
    """Quantized codes pass through operators that only move or compare them."""
    constants = {"s": S(0.125), "z": np.uint8(60), "p": np.array([0, 0, 1, 0, 0, 0, 0, 1]),
                 "c": np.uint8(9), "t": np.array([0, -1])}  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("Pad", "q p c", "a"),
        node("MaxPool", "a", "m", kernel_shape=[2, 2]), node("Concat", "m m", "k", axis=1),
        node("Transpose", "k", "n", perm=[0, 2, 3, 1]), node("Reshape", "n t", "r"),
        node("DequantizeLinear", "r s z"),
    ]  # fmt: skip
    model = model_of(nodes, {"x": (2, 3, 5, 5)}, ["r", "y"], constants, 17, FLOAT)
    equal(model, {"x": halves((2, 3, 5, 5))})


def test_an_integer_input_with_a_dequantizer_is_raw() -> None:
    constants = {"s": S(1 / 255), "z": np.uint8(3), "w": np.eye(4, dtype=S)}
    nodes = [node("DequantizeLinear", "x s z", "a"), node("MatMul", "a w")]
    model = model_of(nodes, {"x": ("N", 4)}, ["y"], constants, 17, UINT8)
    read, made = ours(model, {"x": np.array([[0, 3, 200, 255]], np.uint8)})
    assert read.source.inputs[0].scale == float(S(1 / 255))
    np.testing.assert_allclose(made["y"], (np.array([[0, 3, 200, 255]]) - 3) * float(S(1 / 255)))


def test_four_bit_weights_in_blocks() -> None:
    import ml_dtypes

    rng = np.random.default_rng(3)
    codes = rng.integers(-8, 8, size=(8, 4))
    scale = (2.0 ** -rng.integers(1, 4, size=(2, 4))).astype(S)
    constants = {"w": codes.astype(ml_dtypes.int4), "s": scale}
    nodes = [node("DequantizeLinear", "w s", "d", axis=0, block_size=4), node("MatMul", "x d")]
    model = model_of(nodes, {"x": (3, 8)}, ["y"], constants, 21, FLOAT)
    x = halves((3, 8))
    _, made = ours(model, {"x": x})
    np.testing.assert_array_equal(made["y"], x @ (codes * np.repeat(scale, 4, axis=0)))


def test_dynamic_quantization_is_refused() -> None:
    model = model_of([node("DynamicQuantizeLinear", "x", "y s z")], {"x": (1, 4)}, ["y"])
    with pytest.raises(OnnxError, match="computed from each sample"):
        read_onnx(model)


@pytest.mark.parametrize("axis", [1, -1])
def test_a_softmax_between_quantizers_is_lowered(axis: int) -> None:
    """Within one code of onnxruntime's floats, and the integers of its own definition exactly."""
    constants = {"s": S(1 / 16), "z": np.int8(3), "t": S(1 / 256), "o": np.uint8(0)}
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "r"),
        node("Softmax", "r", "p", axis=axis),
        node("QuantizeLinear", "p t o", "c"), node("DequantizeLinear", "c t o", "y"),
    ]  # fmt: skip
    model = model_of(nodes, {"x": ("N", 6, 3)}, ["y"], constants, kind=FLOAT)
    x = halves((40, 6, 3)) / 8
    read, made = ours(model, {"x": x})
    (want,) = runtime(model, {"x": x}).values()
    codes = np.abs(made["y"] - want) * 256
    assert codes.max() <= 1
    assert (codes > 0.5).mean() < 0.2
    report = agree(read.source, lower(read.source), read.feed({"x": x}))
    assert report.differing == 0
    assert any(isinstance(n.op, Ratio) for n in lower(read.source).graph.nodes)
