"""Leaky ReLUs, tabulated functions, thresholds, rounding modes, and operations that move elements,
each in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import Add as IntegerAdd
from hwc.compiler.graph import Gather, MultiThreshold, Requant, Table, TwoSlope, Window, run
from hwc.compiler.lower import Lowered, LowerError, lower
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    Bipolar,
    Concat,
    Conv,
    ConvTranspose,
    Flatten,
    Function,
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
    SourceNode,
    Threshold,
    Transpose,
    Upsample,
    evaluate,
)
from hwc.compiler.source.curves import curve_exact

Check = Callable[..., Lowered]
PAD1 = (1, 1, 1, 1)


def ops(lowered: Lowered) -> list[type]:
    """Classes of the graph's ops in order."""
    return [type(node.op) for node in lowered.graph.nodes]


def sums(net: Any, outputs: int = 4, top: int = 31) -> str:
    """Sums of weighted inputs, with a scale for each output."""
    scale = np.array([0.25, 0.375, 0.5, 0.1])[:outputs]
    x = net.input(6, scale=8 / (top + 1), lo=-top, hi=top)
    return net.op(Linear(), x, net.weight(outputs, 6, scale=scale))


@pytest.mark.parametrize("slope", [0.25, [0.25, 0.0, 1.5, 1.0], [0.1, 2.0, 0.3, 0.7]])
@pytest.mark.parametrize("bits", [3, 8])
def test_leaky(net: Any, check: Check, slope: Any, bits: int) -> None:
    y = net.op(PRelu(), sums(net), net.tensor(slope))
    half = 1 << bits - 1
    q = net.quant(y, -half, half - 1, 40.0123 / (1 << bits), 0)
    lowered = check(net, y, q, batch=40)
    assert ops(lowered)[-1] is (TwoSlope if bits > 4 else MultiThreshold)


def test_leaky_after_and_before_lines_with_both_signs(net: Any, check: Check) -> None:
    x = net.op(Affine(), sums(net), net.tensor([1, -1, 0, 0.5]), net.tensor([0.5, 3, -2, 0]))
    y = net.op(PRelu(), x, net.tensor([0.5, 0.25, 0.125, 1.25]))
    z = net.op(Affine(), y, net.tensor([-1.0, 2.0, 1.0, -0.5]), net.tensor([1, 0, 0.25, -1]))
    net.op(Relu(), z)
    check(net, net.quant(z, -8, 7, 2.0), net.quant(z, -128, 127, 0.3), z, batch=40)


def test_leaky_through_pool_and_concat(net: Any, check: Check) -> None:
    x = net.op(Conv(padding=PAD1), net.input(2, 4, 4), net.weight(3, 2, 3, 3))
    y = net.op(PRelu(), x, net.tensor([0.5, 0.25, 1.5]))
    z = net.op(Concat(), net.op(MaxPool(), y), net.op(MaxPool(), x))
    check(net, net.quant(z, -128, 127, 0.05), batch=6)


def test_falling_leak_needs_a_narrow_code(net: Any, check: Check) -> None:
    y = net.op(PRelu(), net.quant(sums(net), -128, 127, 0.25), net.tensor([0.5, -0.5, -1, 0]))
    lowered = check(net, net.quant(y, -8, 7, 2.0), batch=40)
    assert ops(lowered)[-1] is Table


@pytest.mark.parametrize("bits", [4, 8])
def test_falling_leak_of_wide_sums_is_two_lines(net: Any, check: Check, bits: int) -> None:
    y = net.op(PRelu(), sums(net, top=2000), net.tensor([0.5, -0.5, -1, 1.5]))
    half = 1 << bits - 1
    lowered = check(net, net.quant(y, -half, half - 1, 40.0123 / (1 << bits)), batch=40)
    assert ops(lowered)[-1] is TwoSlope


def test_falling_leak_after_a_clip_is_refused(net: Any) -> None:
    x = net.op(Relu(), sums(net, top=2000))
    y = net.op(PRelu(), net.op(Affine(), x, net.tensor(1), net.tensor(-1)), net.tensor(-0.5))
    with pytest.raises(LowerError, match=r"rises and falls, .* put a Quant of 8 to 10 bits"):
        net.lower(net.quant(y, -8, 7, 2.0))


@pytest.mark.parametrize(
    "op",
    [
        Function("sigmoid"),
        Function("tanh"),
        Function("silu"),
        Function("gelu"),
        Function("hard_swish"),
        Function("hard_sigmoid", 0.2, 0.5),
        Function("elu", 0.7),
        Function("softplus"),
        Function("abs"),
        Function("pow", 2.0),
        Function("reciprocal"),
        Function("pow", -3.0),
    ],
    ids=lambda op: op.curve,
)
def test_tables(net: Any, check: Check, op: Function) -> None:
    x = net.quant(sums(net), -128, 127, 1 / 16)
    y = net.op(Affine(), net.op(op, x), net.tensor(2.0), net.tensor(-0.25))
    lowered = check(net, net.quant(net.op(Relu(), y), -128, 127, 1 / 64), batch=40)
    assert ops(lowered)[-1] is Table


@pytest.mark.parametrize(
    "op", [Function("log"), Function("sqrt"), Function("pow", 1.5), Function("pow", -0.5)], ids=str
)
def test_tables_of_what_is_not_negative(net: Any, check: Check, op: Function) -> None:
    """The pole at code 0 saturates, on the side of its sign and of the line behind it."""
    x = net.quant(net.input(16), 0, 255, 1 / 256)
    y = net.op(op, x)
    down = net.op(Affine(), y, net.tensor(-1.5), net.tensor(0.5))
    lowered = check(net, net.quant(y, -100, 90, 1 / 16), net.quant(down, -100, 90, 1 / 16))
    tables = [n.op for n in lowered.graph.nodes]
    assert [type(t) for t in tables[-2:]] == [Table, Table]
    if op.curve != "sqrt" and op.alpha < 1.5:
        first = [t.values.values[0, 0] for t in tables[-2:]]  # pyright: ignore
        assert first == ([-100, 90] if op.curve == "log" else [90, -100])


def test_powers_are_exact_at_their_ties(net: Any, check: Check) -> None:
    """x**9 of 17 bits has more digits than the curves are computed with."""
    x = net.quant(net.input(8), -64, 64, 1 + 2.0**-40)
    y = net.op(Function("pow", 9.0), x)
    check(net, net.quant(y, -128, 127, (1 + 2.0**-40) ** 9 * 2), batch=40)
    assert curve_exact(Function("pow", 9.0), Fraction(3, 7)) == Fraction(3, 7) ** 9
    assert curve_exact(Function("reciprocal"), Fraction(3, 7)) == Fraction(7, 3)
    assert [curve_exact(Function("pow", a), Fraction(0)) for a in (0, 2, 0.5)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("op", "wide"),
    [
        (Function("log"), False),
        (Function("sqrt"), False),
        (Function("pow", 0.5), False),
        (Function("pow", -0.5), False),
        (Function("log"), True),
        (Function("sqrt"), True),
    ],
)
def test_codes_for_which_a_curve_is_not_defined_are_refused(
    net: Any, op: Function, wide: bool
) -> None:
    x = sums(net, top=2000) if wide else net.quant(sums(net), -128, 127, 1 / 16)
    with pytest.raises(LowerError, match=f"{op.curve} is not defined at -.* put a Relu or a Quant"):
        net.lower(net.quant(net.op(op, x), 0, 15 if wide else 255, 1 / 16))


def test_what_follows_a_pole(net: Any, check: Check) -> None:
    x = net.op(Function("reciprocal"), net.quant(net.input(4), 0, 15, 1 / 16))
    clipped = net.op(HardTanh(-2.0, 9.0), net.op(PRelu(), x, net.tensor(0.5)))
    check(net, net.quant(clipped, 0, 255, 1 / 16), net.op(Threshold(), x, net.tensor([[5.0, 9.0]])))
    none = net.op(Affine(), x, net.tensor([0.0, 1, 1, 1]), net.tensor(0.0))
    with pytest.raises(LowerError, match="scale of 0 times a value that is infinite"):
        net.lower(net.quant(none, 0, 255, 1 / 16))
    with pytest.raises(LowerError, match="of a value that is infinite at some code"):
        net.lower(net.quant(net.op(Function("tanh"), x), 0, 255, 1 / 16))


def test_powers_that_rise_are_thresholds(net: Any, check: Check) -> None:
    """Odd ones do, and those of what is not negative."""
    assert Function("pow", 3.0).monotone
    assert Function("pow", 0.5).monotone
    assert not any(Function("pow", a).monotone for a in (2.0, -1.0, -0.5, 0.0))
    cube = net.op(Function("pow", 3.0), sums(net, top=2000))
    root = net.op(Function("sqrt"), net.op(Relu(), sums(net, top=2000)))
    lowered = check(net, net.quant(cube, -8, 7, 16.0), net.quant(root, 0, 15, 1 / 4), batch=40)
    assert ops(lowered)[-1] is MultiThreshold


def test_sign_has_three_values(net: Any, check: Check) -> None:
    """As ONNX and torch define it: 0 at 0."""
    x = net.input(1, scale=1.0, lo=-3, hi=3)
    y = net.op(Quant(-1, 1, rounding="from_zero"), x, net.tensor(1.0))
    lowered = check(net, y)
    codes = run(lowered.graph, {x: np.arange(-3, 4)[:, None]})
    assert codes[lowered.graph.outputs[0]].ravel().tolist() == [-1, -1, -1, 0, 1, 1, 1]
    (only,) = (n.op for n in lowered.graph.nodes)
    assert isinstance(only, MultiThreshold)
    assert only.levels == 2


@pytest.mark.parametrize("curve", ["sigmoid", "tanh", "softplus"])
def test_rising_functions_of_wide_sums_are_thresholds(net: Any, check: Check, curve: str) -> None:
    x = net.op(Affine(), sums(net, top=2000), net.tensor([1, -1, 0.5, 1]), net.tensor(0.3))
    y = net.op(Function(curve), x)
    flipped = net.op(Affine(), y, net.tensor(-1.0), net.tensor(0.5))
    lowered = check(net, net.quant(y, 0, 15, 1 / 16), net.quant(flipped, -8, 7, 1 / 16), batch=40)
    assert ops(lowered)[-2:] == [MultiThreshold, MultiThreshold]


def test_signs_after_a_function(net: Any, check: Check) -> None:
    y = net.op(Affine(), net.op(Function("tanh"), sums(net)), net.tensor(1.0), net.tensor(0.25))
    lowered = check(net, net.op(Bipolar(), y, net.tensor(1.0)), batch=40)
    assert lowered.graph.types[lowered.graph.outputs[0]].bipolar


def test_thresholds_on_reals(net: Any, check: Check) -> None:
    x, rng = sums(net), np.random.default_rng(5)
    rows = np.sort(rng.integers(-40, 40, (4, 3)) / 8, axis=1)
    y = net.op(Threshold(-1, 2), x, net.tensor(rows))
    z = net.op(Threshold(), net.op(Relu(), x), net.tensor([[-0.5, 0.0, 0.1]]))
    w = net.op(Threshold(2), net.op(Function("sigmoid"), x), net.tensor([[0.25, 0.5]]))
    check(net, y, z, w, batch=60)


def test_thresholds_after_flatten(net: Any, check: Check) -> None:
    rows = np.arange(12)[:, None] * 20.0 / 256
    x = net.op(Flatten(), net.input(3, 2, 2))
    check(net, net.op(Threshold(), x, net.tensor(rows)), batch=20)


@pytest.mark.parametrize(
    "rounding",
    ["half_even", "half_up", "half_from_zero", "half_to_zero", "floor", "ceil", "to_zero",
     "from_zero"],
)  # fmt: skip
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_rounding(net: Any, check: Check, rounding: str, joint: bool, scale: float) -> None:
    x = net.input(6, scale=0.25, lo=-31, hi=31)
    weight = net.op(Quant(-4, 3, 1, rounding=rounding, joint=joint),
                    net.tensor(net.rng.integers(-12, 13, (4, 6)) / 4), net.tensor(0.5))  # fmt: skip
    y = net.op(Linear(), x, weight)
    op = Quant(-100, 100, 3, rounding=rounding, joint=joint)
    few = Quant(-3, 4, 1, rounding=rounding, joint=joint)
    check(net, net.op(op, y, net.tensor(scale)), net.op(few, y, net.tensor(scale)), batch=60)


MOVES: list[tuple[Any, tuple[int, ...]]] = [
    (Transpose((3, 1, 2)), (2, 3, 4)),
    (Transpose((2, 1)), (3, 5)),
    (Slice(1, 1, 3), (4, 3, 2)),
    (Slice(3, 0, 5, 2), (2, 3, 5)),
    (Upsample((2, 3)), (2, 3, 2)),
    (Upsample((2,)), (2, 3)),
    (Reshape((4, 6)), (2, 3, 4)),
    (Reshape((2, 2, 3)), (12,)),
    (Pad((1, 0, 2, 1), 0.5), (2, 3, 3)),
    (Pad((1, 2), -0.25), (2, 3)),
    (Slice(1, 2, 11, 3), (12,)),
]


@pytest.mark.parametrize("case", MOVES, ids=lambda c: str(c[0]))
def test_moves(net: Any, check: Check, case: tuple[Any, tuple[int, ...]]) -> None:
    op, shape = case
    x = net.quant(net.input(*shape, scale=1 / 8), 0, 15, 0.25, 3)
    y = net.op(op, x)
    check(net, y, net.op(Flatten(), y), batch=5)


def test_moves_of_a_flattened_map(net: Any, check: Check) -> None:
    x = net.op(Flatten(), net.input(3, 2, 4))
    part = net.op(Slice(1, 3, 20, 2), x)
    other = net.input(24)
    both = net.op(Add(), x, other)
    y = net.op(Linear(), part, net.weight(3, 9))
    lowered = check(net, y, part, both, net.op(ArgMax(), x), net.op(Reshape((6, 4)), x), batch=8)
    assert Gather in ops(lowered)


def test_move_of_channels_with_their_own_scales(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 2, 2), 0, 7, [1 / 3, 0.7, 1.0])
    kept = net.op(Slice(1, 1, 3), x)
    spread = net.op(Upsample((2, 2)), net.op(Slice(2, 1, 2), x))
    check(net, net.quant(kept, 0, 15, 0.3), net.quant(spread, 0, 15, 0.3), batch=8)
    with pytest.raises(LowerError, match=r"several channels of .*one scale per tensor"):
        net.lower(net.op(Transpose((2, 1, 3)), x))


def test_pad_streams(net: Any, check: Check) -> None:
    lowered = check(net, net.op(Pad(PAD1), net.input(2, 3, 3)), batch=4)
    assert Window in ops(lowered)
    assert Gather not in ops(lowered)


@pytest.mark.parametrize(
    "op",
    [
        ConvTranspose((2, 3), (1, 1, 0, 0), (1, 0), (1, 2), 2),
        ConvTranspose((1, 1), (2, 2, 1, 2), (0, 0), (1, 1), 1),
        ConvTranspose((2, 2), (0, 0, 0, 0), (0, 0), (1, 1), 1),
        ConvTranspose((2, 2), (2, 1, 2, 1), (1, 1), (1, 1), 4),
    ],
    ids=str,
)
@pytest.mark.parametrize("zero", [0, 3])
def test_transposed_convolution(net: Any, check: Check, op: ConvTranspose, zero: int) -> None:
    x = net.quant(net.input(4, 3, 4, scale=1 / 8), 0, 15, 0.25, zero)
    scale = net.tensor(np.array([0.5, 0.25, 1.0]))
    codes = net.rng.integers(-3, 4, (4, 3, 3, 2)) * np.array([0.5, 0.25, 1])[:, None, None]
    weight = net.op(Quant(-3, 3, axis=1), net.tensor(codes), scale)
    bias = net.tensor(net.rng.normal(size=3 * op.groups))
    check(net, net.op(op, x, weight, bias), batch=4)


@pytest.mark.parametrize("include", [True, False])
def test_borders_of_averages(net: Any, check: Check, include: bool) -> None:
    x = net.quant(net.input(3, 5, 5), 0, 15, 0.1)
    y = net.op(AvgPool((3, 2), (2, 2), (1, 0, 0, 1), include, (1, 1)), x)
    z = net.op(AvgPool((3,), (2,), (1, 1), include), net.input(2, 7))
    check(net, net.quant(y, 0, 15, 0.1), y, z, batch=6)


def test_softmax_at_the_end(net: Any) -> None:
    y = net.op(Linear(), net.input(6), net.weight(4, 6))
    soft = net.op(Softmax(), y)
    source = net.source(soft, net.op(ArgMax(), soft))
    lowered, x = lower(source), net.samples(source, 10)
    codes = run(lowered.graph, lowered.encode(x))
    expected = evaluate(source, x)
    for reading in lowered.outputs:
        np.testing.assert_allclose(reading.decode(codes[reading.node]), expected[reading.source])
    with pytest.raises(
        LowerError, match="softmax of its channels; put a Quant of one scale and at most 10"
    ):
        net.lower(net.quant(soft, 0, 15, 1 / 16))


def test_argmax_keeps_order_through_rising_functions(net: Any, check: Check) -> None:
    y = net.op(Linear(), net.input(6), net.weight(4, 6))
    check(net, net.op(ArgMax(), net.op(Function("sigmoid"), y)), batch=20)
    with pytest.raises(LowerError, match="does not keep their order"):
        net.lower(net.op(ArgMax(), net.op(Function("hard_sigmoid"), y)))


def test_bent_values_ask_for_a_quantizer(net: Any) -> None:
    x = sums(net)
    y = net.op(PRelu(), x, net.tensor(0.5))
    with pytest.raises(LowerError, match=r"is bent .* put a Quant after it"):
        net.lower(net.op(Linear(), y, net.weight(2, 4)))
    z = net.op(Function("sigmoid"), x)
    with pytest.raises(LowerError, match=r"is bent .* put a Quant after it"):
        net.lower(net.op(Add(), z, z))


@pytest.mark.parametrize("joint", [False, True])
def test_float_inputs_with_a_zero_point(joint: bool) -> None:
    nodes = (SourceNode("q", Quant(0, 15, 3, joint=joint), ("x", "s")),)
    source = Source((Input("x", (4,), None),), nodes, ("q",), {"s": np.array(0.5)})
    lowered = lower(source)
    x = {"x": np.arange(-16, 16).reshape(8, 4) / 4}
    codes = run(lowered.graph, lowered.encode(x))["x"]
    expected = evaluate(source, x)["q"]
    np.testing.assert_array_equal(lowered.outputs[0].decode(codes), expected)
    again = lowered.inputs[0].encode(lowered.inputs[0].decode(codes))
    np.testing.assert_array_equal(again, codes)


def test_requant_is_used_for_wide_outputs_in_every_rounding(net: Any, check: Check) -> None:
    y = net.op(Linear(), net.input(6), net.weight(4, 6))
    kinds = []
    for rounding in ("floor", "half_up", "to_zero"):
        q = net.op(Quant(-128, 127, rounding=rounding), y, net.tensor(0.03))
        kinds += ops(check(net, q, batch=30))[-1:]
    assert kinds[:2] == [Requant, Requant]


@pytest.mark.parametrize("scales", [(0.0011561492, 0.00138305034), (0.3, 0.0071), (0.5, 0.1)])
def test_residual_of_two_float32_scales(
    net: Any, check: Check, scales: tuple[float, float]
) -> None:
    a, b = (float(np.float32(s)) for s in scales)
    x, y = net.input(2, 9, scale=a, lo=-128, hi=127), net.input(2, 9, scale=b, lo=-128, hi=127)
    total = net.op(Add(), x, y)
    out = net.quant(net.op(Relu(), total), 0, 255, float(np.float32(1.1 * max(a, b))))
    lowered = check(net, total, out, net.quant(total, -8, 7, 20 * a), batch=400)
    narrow = [n.op for n in lowered.graph.nodes if isinstance(n.op, IntegerAdd)]
    assert max(map(abs, narrow[-1].multipliers)) < 1 << 16


def test_sign_behind_scales_of_float64(net: Any, check: Check) -> None:
    x = net.op(Affine(), sums(net), net.tensor(1 / 3), net.tensor(0.1 / 7))
    check(net, net.op(Bipolar(), x, net.tensor(1.0)), batch=40)
