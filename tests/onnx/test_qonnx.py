"""QONNX operators against qonnx's own execution, with half-way values in every rounding mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.onnx import OnnxError, read_onnx
from hwc.compiler.onnx.ops.qonnx import ROUNDINGS
from hwc.compiler.source import Bipolar, Quant, Threshold

from .helpers import Arrays, model_of, node, ours

MODES = [m for m in ROUNDINGS if m != "ROUND_TO_ZERO"]  # which qonnx does not know
DOMAIN = "qonnx.custom_op.general"
S = np.float32


def executed(kind: str, inputs: list[Any], version: int = 1, **attributes: Any) -> np.ndarray:
    """What qonnx's custom operator gives."""
    pytest.importorskip("qonnx")
    from qonnx.custom_op.registry import getCustomOp

    names = [f"i{k}" for k in range(len(inputs))]
    made = onnx.helper.make_node(kind, names, ["y"], domain=DOMAIN, **attributes)
    context: dict[str, Any] = dict(zip(names, (np.asarray(i, S) for i in inputs), strict=True))
    context["y"] = np.zeros_like(context["i0"])
    getCustomOp(made, onnx_opset_version=version).execute_node(context, None)  # type: ignore[arg-type]
    return context["y"]


def check(
    kind: str, x: np.ndarray, constants: list[Any], version: int = 1, **attributes: Any
) -> Any:
    """Compare on an activation and, where the operator takes one, on a constant."""
    names = "x " + " ".join(f"c{i}" for i in range(len(constants)))
    values = {f"c{i}": np.asarray(c, S) for i, c in enumerate(constants)}
    made = node(kind, names, domain=DOMAIN, **attributes)
    model = model_of(
        [made], {"x": x.shape}, ["y"], values, 17, kind=1, **{"qonnx.custom_op.general": version}
    )
    feeds: Arrays = {"x": x}
    read, out = ours(model, feeds)
    np.testing.assert_array_equal(out["y"], executed(kind, [x, *constants], version, **attributes))
    return read


def ties(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Multiples of 1/16 up to +-40, including both zeros."""
    x = (np.random.default_rng(seed).integers(-640, 640, size=shape) / 16).astype(S)
    x.flat[0], x.flat[1] = 0.0, -0.0
    return x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("bits", [2, 4, 3.5, 8])
def test_quant(mode: str, signed: int, narrow: int, bits: float) -> None:
    check("Quant", ties((30, 8)), [0.125, 0.0, bits], signed=signed, narrow=narrow,
          rounding_mode=mode)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zero", [3.0, -2.0, 0.5, [[1.0, 2.5, -3.0]]])
def test_zero_points_are_inside_the_rounding(mode: str, zero: Any) -> None:
    check("Quant", ties((30, 3)), [0.125, zero, 6], signed=1, narrow=0, rounding_mode=mode)


@pytest.mark.parametrize("shape", [(), (1,), (1, 3, 1, 1), (3, 1, 1), (1, 1, 1, 5), (1, 3, 4, 5)])
def test_scales_of_any_shape(shape: Any) -> None:
    scale = 2.0 ** np.random.default_rng(1).integers(-4, 2, size=shape)
    check("Quant", ties((2, 3, 4, 5)), [scale, 0.0, 4], signed=1, narrow=1, rounding_mode="ROUND")


def test_one_signed_bit_is_bipolar() -> None:
    read = check("Quant", ties((20, 4)), [0.5, 0.0, 1], signed=1, narrow=1)
    assert [type(n.op) for n in read.source.nodes] == [Bipolar]


@pytest.mark.parametrize("mode", ["Half_Even", "ROUND_TO_ZERO", "round_to_zero", "floor"])
def test_spellings(mode: str) -> None:
    same = {"ROUND_TO_ZERO": "DOWN", "round_to_zero": "DOWN"}.get(mode, mode)
    made = node("Quant", "x s z b", domain=DOMAIN, rounding_mode=mode, signed=1, narrow=0)
    model = model_of([made], {"x": (20, 4)}, ["y"], {"s": S(0.25), "z": S(0), "b": S(5)}, kind=1)
    x = ties((20, 4))
    want = executed("Quant", [x, 0.25, 0, 5], rounding_mode=same, signed=1, narrow=0)
    np.testing.assert_array_equal(ours(model, {"x": x})[1]["y"], want)


def test_files_without_optional_attributes() -> None:
    """Older exporters write the domain onnx.brevitas and no rounding mode."""
    made = onnx.helper.make_node("Quant", ["x", "s", "z", "b"], ["y"], domain="onnx.brevitas")
    model = model_of([made], {"x": (20, 4)}, ["y"], {"s": S(0.25), "z": S(0), "b": S(5)}, kind=1)
    x = ties((20, 4))
    want = executed("Quant", [x, 0.25, 0, 5], signed=1, narrow=1)
    np.testing.assert_array_equal(ours(model, {"x": x})[1]["y"], want)


@pytest.mark.parametrize("shape", [(), (6, 1, 1, 1), (3, 1, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize("zero", [0.0, 1.0])
def test_quantized_weights(shape: Any, zero: float) -> None:
    """Codes on one scale or one per output channel stay a quantized tensor; others a tensor."""
    rng = np.random.default_rng(2)
    scale = (2.0 ** rng.integers(-4, 2, size=shape)).astype(S)
    w = rng.normal(size=(6, 3, 2, 2)).astype(S)
    nodes = [node("Quant", "w s z b", "q", domain=DOMAIN, signed=1, narrow=0), node("Conv", "x q")]
    constants = {"w": w, "s": scale, "z": S(zero), "b": S(4)}
    model = model_of(nodes, {"x": (2, 3, 4, 4)}, ["y"], constants, kind=1)
    x = ties((2, 3, 4, 4))
    read, made = ours(model, {"x": x})
    quantized = executed("Quant", [w, scale, zero, 4], signed=1, narrow=0).astype(np.float64)
    plain = model_of([node("Conv", "x q")], {"x": (2, 3, 4, 4)}, ["y"], {"q": quantized})
    np.testing.assert_array_equal(made["y"], ours(plain, {"x": x})[1]["y"])
    on_axis = shape in ((), (6, 1, 1, 1))
    assert any(isinstance(n.op, Quant) for n in read.source.nodes) == on_axis


@pytest.mark.parametrize("shape", [(), (1, 3, 1, 1)])
def test_bipolar_quant(shape: Any) -> None:
    scale = 2.0 ** np.random.default_rng(1).integers(-4, 2, size=shape)
    check("BipolarQuant", ties((2, 3, 4, 5)), [scale])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("zero", [0.0, 4.0])
def test_trunc(mode: str, zero: float) -> None:
    x = ties((40, 6)) * 4  # whole multiples of the scale 1/4
    check("Trunc", x, [0.25, zero, 12, 9], rounding_mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
def test_trunc_with_an_output_scale(mode: str, signed: int) -> None:
    check("Trunc", ties((40, 6)) * 4, [0.25, 0.0, 12, 2.0, 5], version=2, rounding_mode=mode,
          signed=signed, narrow=0)  # fmt: skip


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("scaling", [{}, {"out_scale": 2.0, "out_bias": -1.0}, {"out_scale": 0.5}])
@pytest.mark.parametrize("shared", [False, True])
def test_multi_threshold(layout: str, scaling: dict[str, Any], shared: bool) -> None:
    x = ties((2, 3, 3, 3))
    steps = np.sort(ties((1 if shared else 3, 7), seed=4), axis=1)
    read = check("MultiThreshold", x, [steps], data_layout=layout, out_dtype="UINT4", **scaling)
    assert any(isinstance(n.op, Threshold) for n in read.source.nodes)


def test_channels_last_layers() -> None:
    rng = np.random.default_rng(0)
    domain = "qonnx.custom_op.channels_last"
    w = rng.normal(size=(4, 3, 3, 3))
    nodes = [
        node("Conv", "x w", "c", domain=domain, kernel_shape=[3, 3], pads=[1] * 4),
        node("MaxPool", "c", domain=domain, kernel_shape=[2, 2], strides=[2, 2]),
    ]
    model = model_of(nodes, {"x": (2, 6, 6, 3)}, ["y"], {"w": w})
    first = [
        node("Conv", "x w", "c", pads=[1] * 4),
        node("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    plain = model_of(first, {"x": (2, 3, 6, 6)}, ["y"], {"w": w})
    x = rng.normal(size=(2, 6, 6, 3))
    want = ours(plain, {"x": x.transpose(0, 3, 1, 2)})[1]["y"].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(ours(model, {"x": x})[1]["y"], want)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_quant_avg_pool(layout: str) -> None:
    x = np.random.default_rng(0).integers(0, 16, size=(2, 4, 4, 4)).astype(S)
    made = node("QuantAvgPool2d", "x", domain=DOMAIN, kernel=2, stride=2, ibits=4, obits=4,
                signed=0, data_layout=layout)  # fmt: skip
    model = model_of([made], {"x": x.shape}, ["y"], kind=1)
    last = x if layout == "NHWC" else x.transpose(0, 2, 3, 1)
    total = last.reshape(2, 2, 2, 2, 2, 4).sum(axis=(2, 4)).astype(int) >> 2
    want = total if layout == "NHWC" else total.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(ours(model, {"x": x})[1]["y"], want)


def test_unknown_rounding_mode() -> None:
    made = node("Quant", "x s z b", domain=DOMAIN, rounding_mode="SIDEWAYS")
    model = model_of([made], {"x": (2, 4)}, ["y"], {"s": S(1), "z": S(0), "b": S(5)}, kind=1)
    with pytest.raises(OnnxError, match="Quant node 'y': rounding_mode 'SIDEWAYS' must be one of"):
        read_onnx(model)


@pytest.mark.parametrize("zero", [1e10, -1e30])
def test_zero_points_beyond_all_codes(zero: float) -> None:
    for kind, inputs in (("Quant", "x s z b"), ("Trunc", "x s z b b")):
        model = model_of(
            [node(kind, inputs, domain=DOMAIN)], {"x": (2, 4)}, ["y"],
            {"s": S(1), "z": S(zero), "b": S(5)}, kind=1,
        )  # fmt: skip
        with pytest.raises(OnnxError, match=f"{kind} node 'y': zero point .* must be below"):
            read_onnx(model)


@pytest.mark.parametrize(("scale", "bias"), [(1e30, 0.0), (1.0, -1e30), (float("inf"), 0.0)])
def test_thresholds_that_count_beyond_all_codes(scale: float, bias: float) -> None:
    made = node("MultiThreshold", "x t", domain=DOMAIN, out_scale=scale, out_bias=bias)
    model = model_of([made], {"x": (2, 4)}, ["y"], {"t": np.zeros((1, 3), S)}, kind=1)
    with pytest.raises(OnnxError, match=r"MultiThreshold node 'y': out_scale .* must be below"):
        read_onnx(model)
