"""Codes that differ from those of others: only where float32 cannot tell on which side of a tie
the exact value lies, and never with scales that are powers of two."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from .helpers import model_of, node, ours, runtime

FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
S = np.float32
EPS = 2.0**-23
"""Relative step of float32."""

ZERO_X, ZERO_Y = 117, 60


def scales(rng: np.random.Generator, power: bool, *shape: int) -> np.ndarray:
    if power:
        return (2.0 ** rng.integers(-8, -4, size=shape)).astype(S)
    return rng.uniform(0.004, 0.06, size=shape).astype(S)


def constants(rng: np.random.Generator, power: bool) -> dict[str, Any]:
    sx, sw = scales(rng, power), scales(rng, power, 4)
    return {
        "sx": sx, "zx": np.uint8(ZERO_X), "sw": sw, "zw": np.zeros(4, np.int8),
        "w": rng.integers(-63, 64, size=(4, 3, 3, 3)).astype(np.int8),
        "b": rng.integers(-900, 900, size=4).astype(np.int32),
        "bias": (rng.integers(-900, 900, size=4) * sx.astype(float) * sw).astype(S),
        "sy": S(0.25 if power else rng.uniform(0.1, 0.4)), "zy": np.uint8(ZERO_Y),
        "other": S(0.5 if power else 0.37),
    }  # fmt: skip


QUANTIZED = [node("QuantizeLinear", "x sx zx", "q"), node("DequantizeLinear", "q sx zx", "r")]
WEIGHT = node("DequantizeLinear", "w sw zw", "v", axis=0)
LAST = node("QuantizeLinear", "t sy zy", "y")
QDQ = {
    "conv": [*QUANTIZED, WEIGHT, node("Conv", "r v bias", "t", pads=[1] * 4), LAST],
    "relu": [*QUANTIZED, WEIGHT, node("Conv", "r v bias", "c"), node("Relu", "c", "t"), LAST],
    "mean": [*QUANTIZED, node("AveragePool", "r", "t", kernel_shape=[3, 2]), LAST],
    "sum": [*QUANTIZED, node("Mul", "r other", "m"), node("Add", "r m", "t"), LAST],
    "scale": [*QUANTIZED, node("Identity", "r", "t"), LAST],
}


@pytest.mark.parametrize("power", [True, False])
@pytest.mark.parametrize("name", QDQ)
def test_qdq(name: str, power: bool) -> None:
    """Random inputs, and those next to ties of the first quantizer; nonzero zero points."""
    total = differing = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        known = constants(rng, power)
        used = {k: v for k, v in known.items() if any(k in n.input for n in QDQ[name])}
        model = model_of(QDQ[name], {"x": (4, 3, 7, 6)}, ["t", "y"], used, 17, FLOAT)
        half = (rng.integers(-300, 300, size=(4, 3, 7, 6)) + 0.5) * float(known["sx"])
        x = np.where(rng.random(half.shape) < 0.5, half, rng.normal(size=half.shape)).astype(S)
        near = abs(x / known["sx"].astype(float) % 1 - 0.5) < 1e-3
        if not power:  # what is on the other side at the input is so in all that follows
            x = np.where(near, x * S(1.01), x)
        _, made = ours(model, {"x": x})
        want = runtime(model, {"x": x})["y"].astype(int)
        wrong = made["y"].astype(int) != want
        steps = made["t"] / float(known["sy"])
        size = 9 * 3 * 63 * 255 * float(known["sx"] * known["sw"].max() / known["sy"])
        bound = 40 * EPS * (size if name in ("conv", "relu") else np.abs(steps).max() + 1)
        assert (np.abs(steps - np.floor(steps) - 0.5)[wrong] < bound).all()
        assert (np.abs(made["y"].astype(int) - want) <= 1).all()
        total, differing = total + wrong.size, differing + int(wrong.sum())
    assert not (power and differing)
    assert differing < total / 100, f"{differing} of {total}"


@pytest.mark.parametrize("power", [True, False])
def test_qlinear_conv(power: bool) -> None:
    inputs, total, differing = "x sx zx w sw zw sy zy b", 0, 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        known = constants(rng, power)
        used = {k: known[k] for k in inputs.split()[1:]}
        conv = node("QLinearConv", inputs, pads=[1, 0, 0, 1])
        model = model_of([conv], {"x": (4, 3, 7, 6)}, ["y"], used, 17, UINT8)
        x = rng.integers(0, 256, size=(4, 3, 7, 6)).astype(np.uint8)
        _, made = ours(model, {"x": x})
        want = runtime(model, {"x": x})["y"].astype(int)
        wrong = made["y"].astype(int) != want
        exact = exact_sums(x, known) / float(known["sy"])
        bound = 8 * EPS * (np.abs(exact) + 1)
        assert (np.abs(exact - np.floor(exact) - 0.5) < bound)[wrong].all()
        total, differing = total + wrong.size, differing + int(wrong.sum())
    assert not (power and differing)
    assert differing < total / 1000, f"{differing} of {total}"


def exact_sums(x: np.ndarray, known: dict[str, Any]) -> np.ndarray:
    """What the convolution of test_qlinear_conv gives before it is quantized, in float64."""
    codes = np.pad(x.astype(np.int64) - ZERO_X, ((0, 0), (0, 0), (1, 0), (0, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(codes, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, known["w"].astype(np.int64))
    scale = float(known["sx"]) * known["sw"].astype(float)
    return (sums + known["b"][:, None, None]) * scale[:, None, None]


def test_inputs_next_to_ties() -> None:
    """Where float32 cannot divide, onnxruntime takes the other side now and then; we are exact."""
    rng, differing = np.random.default_rng(0), 0
    for _ in range(20):
        scale, zero = scales(rng, False), np.uint8(ZERO_X)
        half = ((rng.integers(-110, 130, size=(8, 50)) + 0.5) * float(scale)).astype(S)
        x = np.nextafter(half, rng.choice([-np.inf, np.inf, 0], size=half.shape).astype(S))
        model = model_of(
            [node("QuantizeLinear", "x s z")], {"x": (8, 50)}, ["y"], {"s": scale, "z": zero},
            17, FLOAT,
        )  # fmt: skip
        made, want = (f(model, {"x": x})["y"].astype(int) for f in (both, runtime))
        steps = x.astype(float) / float(scale)
        np.testing.assert_array_equal(made, np.clip(np.rint(steps) + ZERO_X, 0, 255))
        wrong = made != want
        assert (np.abs(steps - np.floor(steps) - 0.5) < 2 * EPS * np.abs(steps))[wrong].all()
        differing += int(wrong.sum())
    assert 0 < differing < 20 * 8 * 50 / 2, differing


def both(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our outputs alone."""
    return ours(model, feeds)[1]
