"""The float evaluator against torch, op by op, and its exact mode against its float mode."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Bipolar,
    Concat,
    Conv,
    ConvTranspose,
    Flatten,
    Function,
    GlobalAvgPool,
    HardTanh,
    Input,
    Linear,
    MaxPool,
    Pad,
    PRelu,
    Quant,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Source,
    SourceError,
    SourceNode,
    Threshold,
    TopK,
    Transpose,
    Upsample,
    evaluate,
)
from hwc.compiler.source.curves import curve_exact
from hwc.compiler.source.rounding import reached, round_exact

RNG = np.random.default_rng(0)
T = {
    "w1": RNG.normal(size=(6, 2, 3)),
    "w2": RNG.normal(size=(6, 2, 3, 2)),
    "fc": RNG.normal(size=(5, 4)),
    "b5": RNG.normal(size=5),
    "b6": RNG.normal(size=6),
    "g": RNG.normal(size=4),
    "v": RNG.uniform(0.5, 2, size=4),
    "wt": RNG.normal(size=(4, 3, 3, 2)),
    "wt1": RNG.normal(size=(4, 2, 3)),
    "th": np.sort(RNG.integers(-4, 5, (4, 3)) / 4, axis=1),
    "s": np.array(0.25),
    "s4": np.array([0.25, 0.5, 1.0, 0.125]),
}
t = {name: torch.from_numpy(value) for name, value in T.items()}

CASES: list[tuple[Any, tuple[int, ...], tuple[str, ...], Any]] = [
    (Linear(), (4,), ("fc", "b5"), lambda x: F.linear(x, t["fc"], t["b5"])),
    (
        Conv((2,), (2, 2), (2,), 2),
        (4, 11),
        ("w1", "b6"),
        lambda x: F.conv1d(x, t["w1"], t["b6"], 2, 2, 2, 2),
    ),
    (
        Conv((2, 1), (1, 1, 2, 2), (1, 3), 2),
        (4, 9, 8),
        ("w2",),
        lambda x: F.conv2d(x, t["w2"], None, (2, 1), (1, 2), (1, 3), 2),
    ),
    (
        Conv((1, 1), (0, 1, 2, 0), (1, 1), 2),
        (4, 5, 5),
        ("w2",),
        lambda x: F.conv2d(F.pad(x, (2, 0, 0, 1)), t["w2"], None, groups=2),
    ),
    (
        BatchNorm(1e-3),
        (4, 3, 2),
        ("g", "s4", "g", "v"),
        lambda x: F.batch_norm(x, t["g"], t["v"], t["g"], t["s4"], eps=1e-3),
    ),
    (Affine(), (4, 3), ("g", "s"), lambda x: x * t["g"][:, None] + 0.25),
    (Relu(), (4, 3), (), F.relu),
    (HardTanh(-0.5, 0.75), (4, 3), (), lambda x: F.hardtanh(x, -0.5, 0.75)),
    (
        Quant(-2, 3, 1, 1),
        (4, 3, 3),
        ("s4",),
        lambda x: torch.fake_quantize_per_channel_affine(
            x.float(), t["s4"].float(), torch.ones(4, dtype=torch.int32), 1, -2, 3
        ).double(),
    ),
    (Bipolar(), (4, 3), ("s",), lambda x: torch.where(x >= 0, 0.25, -0.25).double()),
    (Add(), (4, 3), ("x", "x"), lambda x: 3 * x),
    (Concat(), (4, 3, 2), ("x",), lambda x: torch.cat([x, x], 1)),
    (
        MaxPool((3, 2), (2, 1), (1, 1, 0, 0), (1, 2)),
        (4, 7, 6),
        (),
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0), (1, 2)),
    ),
    (MaxPool((3,), (2,), (1, 1), (1,)), (4, 7), (), lambda x: F.max_pool1d(x, 3, 2, 1)),
    (AvgPool((3, 3), (2, 2), (1, 1, 1, 1)), (4, 7, 6), (), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    (
        AvgPool((3, 3), (2, 2), (1, 1, 1, 1), False),
        (4, 7, 6),
        (),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    *(
        (
            AvgPool((3, 2), (2, 2), (1, 1, 0, 0), include, (1, 1)),
            (4, 6, 5),
            (),
            lambda x, include=include: F.avg_pool2d(
                x, (3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=include
            ),
        )
        for include in (True, False)
    ),
    (AvgPool((3,), (1,), (0, 0)), (4, 7), (), lambda x: F.avg_pool1d(x, 3, 1)),
    (GlobalAvgPool(), (4, 7, 6), (), lambda x: x.mean((2, 3))),
    (Flatten(), (4, 3, 2), (), lambda x: x.flatten(1)),
    (Reshape((2, 12)), (4, 3, 2), (), lambda x: x.reshape(-1, 2, 12)),
    (PRelu(), (4, 3), ("g",), lambda x: F.prelu(x, t["g"])),
    (PRelu(), (4, 3), ("s",), lambda x: F.leaky_relu(x, 0.25)),
    (Softmax(), (4, 3), (), lambda x: F.softmax(x, 1)),
    (
        Threshold(-1, 2),
        (4, 3),
        ("th",),
        lambda x: 2.0 * (x[..., None] >= t["th"][:, None]).sum(3) - 1,
    ),
    (Pad((1, 0, 0, 2), 0.5), (2, 3, 3), (), lambda x: F.pad(x, (0, 2, 1, 0), value=0.5)),
    (Slice(2, 1, 6, 2), (2, 7), (), lambda x: x[:, :, 1:6:2]),
    (Transpose((3, 1, 2)), (2, 3, 4), (), lambda x: x.permute(0, 3, 1, 2)),
    (Upsample((2, 3)), (2, 3, 4), (), lambda x: F.interpolate(x, scale_factor=(2, 3))),
    (
        ConvTranspose((2, 3), (1, 1, 0, 0), (1, 0), (1, 2), 2),
        (4, 3, 3),
        ("wt", "b6"),
        lambda x: F.conv_transpose2d(x, t["wt"], t["b6"], (2, 3), (1, 0), (1, 0), 2, (1, 2)),
    ),
    (
        ConvTranspose((2,), (0, 0), (0,), (1,), 1),
        (4, 3),
        ("wt1",),
        lambda x: F.conv_transpose1d(x, t["wt1"], None, 2),
    ),
    *(
        (Function(curve, *options), (4, 3), (), function)
        for curve, options, function in (
            ("abs", (), torch.abs),
            ("elu", (0.5,), lambda x: F.elu(x, 0.5)),
            ("erf", (), torch.erf),
            ("exp", (), torch.exp),
            ("gelu", (), F.gelu),
            ("gelu_tanh", (), lambda x: F.gelu(x, approximate="tanh")),
            ("hard_sigmoid", (1 / 6, 0.5), F.hardsigmoid),
            ("hard_swish", (), F.hardswish),
            ("log", (), torch.log),
            ("mish", (), F.mish),
            ("pow", (3.0,), lambda x: x**3),
            ("pow", (-2.0,), lambda x: x**-2),
            ("pow", (0.7,), lambda x: x**0.7),
            ("reciprocal", (), torch.reciprocal),
            ("selu", (1.6732632423543772, 1.0507009873554805), F.selu),
            ("sigmoid", (), torch.sigmoid),
            ("silu", (), F.silu),
            ("softplus", (), F.softplus),
            ("softsign", (), F.softsign),
            ("sqrt", (), torch.sqrt),
            ("tanh", (), torch.tanh),
        )
    ),
    (ArgMax(), (4,), (), lambda x: x.argmax(1, keepdim=True)),
    (
        TopK(3),
        (4,),
        (),
        lambda x: torch.sort(x, dim=1, descending=True, stable=True).indices[:, :3],
    ),
]


def one(op: Any, shape: tuple[int, ...], constants: tuple[str, ...]) -> Source:
    """A source of one node on a float input."""
    node = SourceNode("y", op, ("x", *constants))
    return Source((Input("x", shape, None),), (node,), ("y",), T)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]!r}"[:40])
def test_equals_torch(case: tuple[Any, tuple[int, ...], tuple[str, ...], Any]) -> None:
    op, shape, constants, function = case
    x = np.random.default_rng(1).normal(size=(3, *shape))
    x[0] = np.round(x[0] * 8) / 8  # ties of the quantizers
    got = evaluate(one(op, shape, constants), {"x": x})["y"]
    expected = function(torch.from_numpy(x)).numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]!r}"[:40])
def test_exact_mode_equals_float_mode(
    case: tuple[Any, tuple[int, ...], tuple[str, ...], Any],
) -> None:
    op, shape, constants, _ = case
    source = one(op, shape, constants)
    x = np.random.default_rng(2).normal(size=(2, *shape))
    if isinstance(op, Function) and (op.curve in ("log", "sqrt") or op.alpha == 0.7):
        x = abs(x)  # not defined elsewhere
    exact = evaluate(source, {"x": x}, object)["y"]
    if exact.dtype == object:
        assert all(isinstance(v, (Fraction, int)) for v in exact.ravel())
    np.testing.assert_allclose(
        exact.astype(np.float64), evaluate(source, {"x": x})["y"], rtol=1e-12, atol=1e-12
    )


def test_ties_go_to_even_and_the_sign_of_zero_is_plus() -> None:
    x = np.array([[-1.5, -0.5, 0.5, 1.5, 2.5]])
    node = SourceNode("y", Quant(-8, 7), ("x", "u"))
    source = Source((Input("x", (5,), None),), (node,), ("y",), {"u": np.array(1.0)})
    assert evaluate(source, {"x": x})["y"].tolist() == [[-2.0, 0.0, 0.0, 2.0, 2.0]]
    signs = evaluate(one(Bipolar(), (2,), ("s",)), {"x": np.array([[0.0, -0.0]])})["y"]
    assert signs.tolist() == [[0.25, 0.25]]


def test_raw_inputs_are_scaled_and_checked() -> None:
    source = Source((Input("x", (2,), 0.5, 0, 7),), (), ("x",))
    assert evaluate(source, {"x": [[1, 7]]})["x"].tolist() == [[0.5, 3.5]]
    with pytest.raises(SourceError, match=r"input x: values must lie in \[0, 7\]"):
        evaluate(source, {"x": [[1, 8]]})
    with pytest.raises(SourceError, match=r"shape \(1, 3\) must be \(batch, \*\(2,\)\)"):
        evaluate(source, {"x": [[1, 2, 3]]})
    with pytest.raises(SourceError, match="input 'x' is missing"):
        evaluate(source, {})


def test_taps() -> None:
    source = one(Relu(), (2,), ())
    assert set(evaluate(source, {"x": np.zeros((1, 2))}, taps=("x",))) == {"x", "y"}


ROUNDED = {
    "half_even": [-2, -2, -2, -1, 0, 0, 1, 2, 2, 2],
    "half_up": [-2, -2, -1, -1, 0, 1, 1, 2, 2, 3],
    "half_from_zero": [-3, -2, -2, -1, -1, 1, 1, 2, 2, 3],
    "half_to_zero": [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2],
    "floor": [-3, -3, -2, -2, -1, 0, 0, 1, 1, 2],
    "ceil": [-2, -2, -1, -1, 0, 1, 1, 2, 2, 3],
    "to_zero": [-2, -2, -1, -1, 0, 0, 0, 1, 1, 2],
    "from_zero": [-3, -3, -2, -2, -1, 1, 1, 2, 2, 3],
}
AT = [-2.5, -2.25, -1.5, -1.25, -0.5, 0.5, 0.75, 1.5, 1.75, 2.5]


@pytest.mark.parametrize("rounding", ROUNDED)
def test_rounding_modes(rounding: str) -> None:
    op = Quant(-8, 7, rounding=rounding)
    node = SourceNode("y", op, ("x", "u"))
    source = Source((Input("x", (10,), None),), (node,), ("y",), {"u": np.array(1.0)})
    for dtype in (np.float64, object):
        assert evaluate(source, {"x": [AT]}, dtype)["y"].tolist() == [ROUNDED[rounding]]
    for v in [Fraction(n, 4) for n in range(-17, 18)]:
        for level in range(-6, 7):
            t, strict = reached(level, rounding)
            assert (v > t if strict else v >= t) == (round_exact(v, rounding) >= level)


def test_a_joint_zero_point_moves_the_ties() -> None:
    x = {"x": [[0.5, 1.5, -0.5]]}
    for joint, expected in ((False, [0, 2, 0]), (True, [1, 1, -1])):
        node = SourceNode("y", Quant(-8, 7, 1, joint=joint), ("x", "u"))
        source = Source((Input("x", (3,), None),), (node,), ("y",), {"u": np.array(1.0)})
        assert evaluate(source, x)["y"].tolist() == [expected]


def test_curves_are_exact_to_many_digits() -> None:
    near_one = curve_exact(Function("tanh"), Fraction(20))
    assert 0 < 1 - near_one < Fraction(1, 10**16)  # float64 gives 1
    assert curve_exact(Function("silu"), Fraction(-3)) < 0


@pytest.mark.parametrize("curve", ["exp", "sigmoid", "silu", "softplus", "mish", "gelu", "elu"])
@pytest.mark.parametrize("x", [Fraction(10) ** 277, Fraction(-(10**277)), Fraction(2) ** -16000])
def test_curves_far_away_take_no_time(curve: str, x: Fraction) -> None:
    """exp(1e277) has more digits than there is memory: it counts as infinite, its inverse as a
    number below all steps."""
    y = curve_exact(Function(curve), x)
    if isinstance(y, Fraction):
        assert max(y.numerator.bit_length(), y.denominator.bit_length()) < 1 << 15
    if curve == "exp":
        assert y == np.inf if x > 1 else 0 < y < 2 if x > 0 else 0 < y < Fraction(2) ** -16000


def test_powers_of_powers_stay_short() -> None:
    x: Fraction | float = Fraction(3, 7)
    for _ in range(5):
        assert isinstance(x, Fraction)
        x = curve_exact(Function("pow", 16.0), x)
    assert isinstance(x, Fraction)
    assert 0 < x < Fraction(1, 2**16000)
    assert x.denominator.bit_length() < 1 << 16
