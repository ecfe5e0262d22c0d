"""Each decision of lowering on the smallest network that needs it, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import (
    Add,
    Binary,
    Conv2d,
    GroupedMatMul,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    PowerOfTwo,
    Requant,
    SumPool2d,
    Type,
    Window,
    run,
)
from hwc.compiler.lower import Lowered, lower
from hwc.compiler.source import Add as SourceAdd
from hwc.compiler.source import (
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Bipolar,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Linear,
    MaxPool,
    Quant,
    Relu,
    Reshape,
    SourceNode,
    TopK,
    evaluate,
)

Check = Callable[..., Lowered]
PAD1 = (1, 1, 1, 1)


def ops(lowered: Lowered) -> list[type]:
    """Classes of the graph's ops in order."""
    return [type(node.op) for node in lowered.graph.nodes]


def test_batch_norm_with_negative_and_zero_gamma(net: Any, check: Check) -> None:
    x = net.input(6, scale=0.25, lo=-8, hi=7)
    y = net.op(Linear(), x, net.weight(5, 6), net.tensor(net.rng.normal(size=5)))
    bn = [[1.0, -0.5, 0.0, 0.0, -2.0], [0.1, 0.2, 0.3, -9, 9], [0.5, 0, 1, 2, 3], [1, 2, 3, 4, 5]]
    y = net.op(BatchNorm(1e-3), y, *(net.tensor(v) for v in bn))
    q = net.quant(net.op(Relu(), y), 0, 7, 0.25)
    lowered = check(net, q, batch=40)
    op = lowered.graph.node(q).op
    assert isinstance(op, MultiThreshold)
    assert op.descending == (False, True, False, False, True)
    kinds = [type(lowered.graph.node(n.name).op) for n in lowered.graph.nodes]
    assert kinds == [MatMul, MultiThreshold]  # nothing is negated


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
def test_mlp_with_ties(net: Any, check: Check, bits: int) -> None:
    """Dyadic constants so coarse that half of all sums are ties."""
    x = net.input(12, scale=0.5, lo=-3, hi=3)
    for _ in range(2):
        x = net.op(Linear(), x, net.weight(10, 12 if "in" in x else 10, top=1, scale=0.5))
        scale, shift = net.rng.choice([-1, 0.5, 1, 2], 10), net.rng.integers(-4, 5, 10) / 2
        x = net.op(Affine(), x, net.tensor(scale), net.tensor(shift))
        x = net.quant(x, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0.5)
    y = net.op(Linear(), x, net.weight(4, 10), net.tensor([0.1, -0.7, 1 / 3, 0]))
    check(net, y, batch=50)
    source = net.source(y)
    node = net.nodes[-3]
    before = evaluate(source, net.samples(source, 50), object, (node.args[0],))[node.args[0]]
    ties = sum(v / Fraction(1, 2) % 1 == Fraction(1, 2) for v in before.ravel())
    assert ties > before.size // 10


def test_bipolar_network(net: Any, check: Check) -> None:
    x = net.input(3, 6, 6, scale=1 / 256)
    half = net.op(Affine(), x, net.tensor(1.0), net.tensor(-0.5))
    x = net.op(Bipolar(), half, net.tensor(0.5))
    latent, alpha = net.tensor(net.rng.normal(size=(4, 3, 3, 3))), net.tensor([0.5, 0.25, 1, 2])
    y = net.op(Conv(padding=PAD1), x, net.op(Bipolar(axis=0), latent, alpha))
    bn = ([1, -1, 0, 2], [0, 0.5, 0, -1], [0] * 4, [1] * 4)
    y = net.op(BatchNorm(), y, *(net.tensor(v) for v in bn))
    y = net.op(Bipolar(), y, net.tensor(1.0))
    y = net.op(MaxPool(), y)
    y = net.op(Flatten(), y)
    latent = net.tensor(net.rng.normal(size=(5, 36)))
    y = net.op(Linear(), y, net.op(Bipolar(), latent, net.tensor(1.0)))
    lowered = check(net, y)
    conv = next(n.op for n in lowered.graph.nodes if isinstance(n.op, Conv2d))
    assert isinstance(conv.weight, Binary)
    signs = [n for n in lowered.graph.nodes if isinstance(n.op, MultiThreshold)]
    assert all(lowered.graph.types[n.name].bipolar for n in signs)
    first = signs[0].op
    assert isinstance(first, MultiThreshold)
    assert first.thresholds.values.tolist() == [[128]]  # 128/256 - 0.5 = 0 is +1


def test_flattened_map_is_permuted_in_the_weights(net: Any, check: Check) -> None:
    x = net.input(3, 2, 4, scale=1.0, lo=-9, hi=9)
    flat = net.op(Flatten(), x)
    y = net.op(Linear(), flat, net.weight(5, 24))
    lowered = check(net, flat, y)
    assert lowered.outputs[0].order is not None
    assert ops(lowered)[1:] == [MatMul]


def test_per_channel_ops_after_flatten(net: Any, check: Check) -> None:
    """The channels of a batch-norm after Flatten are torch's elements."""
    x = net.input(2, 2, 3, scale=1.0, lo=-9, hi=9)
    flat = net.op(Flatten(), x)
    gamma, shift = net.rng.normal(size=12), net.rng.normal(size=12)
    y = net.op(Affine(), flat, net.tensor(gamma), net.tensor(shift))
    q = net.quant(y, -4, 3, net.rng.choice([0.25, 0.5, 1], 12))
    check(net, q, batch=30)


def test_offsets_pass_through_flatten_into_a_linear(net: Any, check: Check) -> None:
    x = net.input(2, 2, 3, scale=1.0, lo=-9, hi=9)
    y = net.op(Affine(), x, net.tensor(0.5), net.tensor([1.0, -2.0]))
    y = net.op(Linear(), net.op(Flatten(), y), net.weight(5, 12))
    check(net, y)


def test_depthwise_convolution_takes_scales_per_channel(net: Any, check: Check) -> None:
    x = net.input(4, 5, 5, scale=1.0, lo=-9, hi=9)
    x = net.quant(x, -4, 3, [1.0, 0.5, 3.0, 1 / 3])
    y = net.op(Conv(padding=PAD1, groups=4), x, net.weight(8, 1, 3, 3))
    lowered = check(net, y)
    assert len(lowered.outputs[0].slope) == 8


def test_grouped_convolution_with_a_scale_per_group(net: Any, check: Check) -> None:
    x = net.input(4, 5, 5, scale=1.0, lo=-9, hi=9)
    x = net.quant(x, -4, 3, [1.0, 1.0, 0.3, 0.3])
    weight = net.weight(6, 2, 3, 2, scale=[0.5, 0.25, 1, 2, 0.125, 0.75])
    y = net.op(Conv((2, 1), (0, 1, 1, 0), (1, 2), 2), x, weight, net.tensor(net.rng.normal(size=6)))
    check(net, y)


def test_small_ratios_between_channels_become_multipliers(net: Any, check: Check) -> None:
    a = net.quant(net.input(3, 4, 4, scale=1.0, lo=-9, hi=9), -4, 3, 0.5)
    b = net.quant(net.input(2, 4, 4, scale=1.0, lo=-9, hi=9), -8, 7, 0.75)
    y = net.op(Conv(padding=PAD1), net.op(Concat(), a, b), net.weight(4, 5, 3, 3))
    lowered = check(net, y)
    scale = next(n.op for n in lowered.graph.nodes if n.name.endswith("_scale"))
    assert isinstance(scale, Requant)
    assert scale.multiplier.values.tolist() == [2, 2, 2, 3, 3]


def test_residual_with_a_shared_scale_is_a_plain_add(net: Any, check: Check) -> None:
    x = net.quant(net.input(4, 5, 5), 0, 7, 0.25)
    y = net.quant(net.op(Conv(padding=PAD1), x, net.weight(4, 4, 3, 3)), -8, 7, 0.25)
    s = net.op(SourceAdd(), x, y)
    q = net.quant(net.op(Relu(), s), 0, 7, 0.25)
    lowered = check(net, q, s)
    assert lowered.graph.node(s).op == Add((1, 1))


def test_residual_with_rational_ratios_multiplies(net: Any, check: Check) -> None:
    x = net.quant(net.input(4, 5, 5), 0, 7, 0.5)
    y = net.quant(net.op(Conv(padding=PAD1), x, net.weight(4, 4, 3, 3)), -8, 7, 0.75, zero=2)
    z = net.op(Affine(), x, net.tensor(-0.25), net.tensor([0.1, 0.2, 0.3, 0.4]))
    s = net.op(SourceAdd(), x, y, z)
    lowered = check(net, s)
    assert lowered.graph.node(s).op == Add((4, 6, -1))


def test_residual_with_equal_scales_per_channel(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 4, scale=1.0), 0, 15, [1.0, 0.3, 7.0])
    s = net.op(SourceAdd(), x, net.op(Affine(), x, net.tensor(2.0), net.tensor(0.7)))
    lowered = check(net, s)
    assert lowered.graph.node(s).op == Add((1, 2))


def test_clip_on_the_grid_is_an_integer_clip(net: Any, check: Check) -> None:
    """ReLU and HardTanh need no quantizer where their bounds are codes."""
    x = net.quant(net.input(4, 4, 4, lo=-128, hi=127), -8, 7, 0.25)
    a, b = net.op(Relu(), x), net.op(HardTanh(-1.0, 1.25), x)
    s = net.op(SourceAdd(), a, b)
    y = net.op(Conv(), s, net.weight(2, 4, 3, 3))
    z = net.op(Affine(), net.op(Relu(), x), net.tensor(-1.0), net.tensor(0.5))
    lowered = check(net, y, net.op(AvgPool(), z), batch=30)
    clips = [n.op for n in lowered.graph.nodes if "_clip" in n.name]
    assert [(c.lo, c.hi) for c in clips if isinstance(c, Requant)] == [(0, 7), (-4, 5)]


def test_max_pool_of_pending_functions(net: Any, check: Check) -> None:
    """Before the quantizer, with clips, and with slopes of both signs and zero."""
    x = net.input(4, 6, 6, scale=0.5, lo=-8, hi=7)
    y = net.op(Conv(), x, net.weight(4, 4, 3, 3))
    y = net.op(Affine(), y, net.tensor([0.5, -1, 0, -0.25]), net.tensor([1, 2, 3, 0.3]))
    y = net.op(HardTanh(-2, 3), y)
    p = net.op(MaxPool((3, 3), (2, 2), PAD1), y)
    q = net.quant(p, -4, 3, 0.5)
    lowered = check(net, q, p)
    sign = next(n.op for n in lowered.graph.nodes if n.name.endswith("_sign"))
    assert isinstance(sign, Requant)
    assert sign.multiplier.values.tolist() == [1, -1, 1, -1]


def test_max_pool_in_one_dimension_and_dilated(net: Any, check: Check) -> None:
    x = net.input(3, 11, scale=0.5, lo=-8, hi=7)
    p = net.op(MaxPool((3,), (2,), (1, 0), (2,)), x)
    check(net, p)


def test_max_pool_after_a_positive_scale_is_bare(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 4, 4), 0, 3, 0.5)
    lowered = check(net, net.op(MaxPool(), x))
    assert ops(lowered) == [MultiThreshold, MaxPool2d]


def test_average_pools_fold_the_divisor(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 5, 5), 0, 7, 1 / 7)
    a = net.quant(net.op(AvgPool((3, 3), (1, 2), PAD1), x), 0, 7, 1 / 7)
    g = net.op(GlobalAvgPool(), a)
    lowered = check(net, g, net.quant(g, 0, 255, 1 / 64))
    assert next(n.op for n in lowered.graph.nodes if isinstance(n.op, SumPool2d))
    assert lowered.outputs[0].slope == (Fraction(1 / 7) / 15,)


def test_average_of_scales_per_channel_and_of_offsets(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 6, scale=1.0), 0, 7, [0.5, 0.3, 1.0])
    y = net.op(Affine(), x, net.tensor([1.0, -2.0, 0.5]), net.tensor([0.1, 0.2, 0.3]))
    check(net, net.op(AvgPool((2,), (2,), (0, 0)), y))


def test_padded_average_shifts_a_zero_point_away(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 4, 4), 0, 7, 0.25, zero=3)
    lowered = check(net, net.op(AvgPool((2, 2), (2, 2), PAD1), x))
    assert lowered.outputs[0].offset == (0,)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_zero_points_pad_with_their_code(net: Any, check: Check, dimensions: int) -> None:
    size, ones = (5,) * dimensions, (1,) * dimensions
    x = net.quant(net.input(4, *size, scale=1 / 32), 0, 15, 0.5, zero=5)
    weight = net.weight(6, 2, *(3 * o for o in ones))
    y = net.op(Conv(ones, (1, 1) * dimensions, ones, 2), x, weight)
    lowered = check(net, y)
    window = next(n.op for n in lowered.graph.nodes if isinstance(n.op, Window))
    assert window.fill == 5
    assert any(isinstance(n.op, GroupedMatMul) for n in lowered.graph.nodes)


def test_an_offset_needs_no_grid_without_padding(net: Any, check: Check) -> None:
    x = net.op(Affine(), net.input(3, 5, 5), net.tensor(2.0), net.tensor([0.485, 0.456, 0.406]))
    check(net, net.op(Conv(), x, net.weight(4, 3, 3, 3)))


def test_concat_keeps_a_function_per_channel(net: Any, check: Check) -> None:
    a = net.op(Relu(), net.op(Conv(), net.input(2, 5, 5), net.weight(3, 2, 3, 3)))
    b = net.quant(net.input(2, 3, 3), 0, 3, 0.3)
    q = net.quant(net.op(Concat(), a, b), 0, 15, 1 / 16)
    check(net, q)


def test_concat_of_flattened_maps(net: Any, check: Check) -> None:
    a = net.op(Flatten(), net.input(2, 2, 2, scale=1.0))
    b = net.input(3, scale=1.0)
    c = net.op(Flatten(), net.input(2, 3, scale=1.0))
    cat = net.op(Concat(), a, b, c)
    check(net, cat, net.op(Linear(), cat, net.weight(4, 17)))


def test_bipolar_concat_stays_bipolar(net: Any, check: Check) -> None:
    a = net.op(Bipolar(), net.input(2, 3, lo=-5, hi=5), net.tensor(1.0))
    b = net.op(Bipolar(), net.input(1, 3, lo=-5, hi=5), net.tensor(1.0))
    cat = net.op(Concat(), a, b)
    lowered = check(net, cat)
    assert lowered.graph.types[cat].bipolar


def test_reshapes_that_keep_the_order(net: Any, check: Check) -> None:
    x = net.input(12, scale=1.0)
    image = net.op(Reshape((1, 3, 4)), x)  # one channel
    y = net.op(Conv(), image, net.weight(2, 1, 2, 2))
    one = net.op(Reshape((12, 1, 1)), x)  # one position
    z = net.op(Conv(), one, net.weight(2, 12, 1, 1))
    check(net, y, z, net.op(Flatten(), image))


def test_conv1d(net: Any, check: Check) -> None:
    x = net.quant(net.input(4, 9), 0, 7, 0.25)
    y = net.op(Conv((2,), (2, 1), (2,), 2), x, net.weight(6, 2, 3), net.tensor([0.3] * 6))
    check(net, y)


def test_several_inputs_and_outputs(net: Any, check: Check) -> None:
    a, b = net.input(3, 4, 4), net.input(2, scale=0.5, lo=-4, hi=3)
    y = net.op(GlobalAvgPool(), net.op(Conv(), a, net.weight(2, 3, 3, 3)))
    q, r = net.quant(y, -8, 7, 0.25), net.quant(b, -8, 7, 0.25)
    s = net.op(SourceAdd(), q, r)
    lowered = check(net, s, q, y, b)
    assert [o.source for o in lowered.outputs] == [s, q, y, b]
    assert [e.name for e in lowered.inputs] == [a, b]


def test_unused_nodes_are_left_out(net: Any, check: Check) -> None:
    x = net.quant(net.input(3), 0, 3, 0.5)
    unused = net.op(Linear(), x, net.weight(3, 3))
    lowered = check(net, net.op(Linear(), x, net.weight(2, 3)))
    assert unused not in lowered.graph.types


def test_float_inputs_are_quantized_by_the_encoding(net: Any, check: Check) -> None:
    x = net.input(2, 3, scale=None)
    q = net.quant(x, -4, 3, [0.25, 0.5], zero=1)
    s = net.op(Bipolar(), net.input(2, 3, scale=None), net.tensor(2.0))
    lowered = check(net, net.op(Relu(), q), s, batch=30)
    assert lowered.inputs[0].kind == "quantize"
    assert lowered.inputs[1].type == Type((3, 2), -1, 1, True)


def test_the_same_quantizer_twice_on_a_float_input(net: Any, check: Check) -> None:
    x = net.input(4, scale=None)
    a, b = net.quant(x, -4, 3, 0.25), net.quant(x, -4, 3, 0.25)
    check(net, net.op(SourceAdd(), a, b))


@pytest.mark.parametrize("slope", [1.0, -0.5])
def test_argmax_of_offsets_off_the_grid(net: Any, check: Check, slope: float) -> None:
    x = net.input(6, scale=0.25, lo=-3, hi=3)
    bias = net.tensor([0.1, 0.1, 1 / 3, -0.25, 0.0, 0.1 + 0.25])
    y = net.op(Linear(), x, net.weight(6, 6, top=1, scale=0.5), bias)
    y = net.op(Affine(), y, net.tensor(slope), net.tensor(0.0))
    lowered = check(net, net.op(ArgMax(), y), net.op(TopK(6), y), batch=200)
    compare = next(n for n in lowered.graph.nodes if n.name.endswith("_compare"))
    assert lowered.graph.types[compare.name].width < 12  # sums, and three bits for the fractions


def test_argmax_of_scales_per_channel(net: Any, check: Check) -> None:
    x = net.input(4, scale=0.25, lo=-3, hi=3)
    weight = net.weight(5, 4, scale=[0.5, 0.25, 0.375, 1, 0.0625])
    y = net.op(Linear(), x, weight, net.tensor([0.5, 0, -0.25, 1, 2]))
    check(net, net.op(ArgMax(), y), batch=200)


@pytest.mark.parametrize(("low", "high"), [(0.0, 9.0), (-0.3, 0.6), (50.0, 60.0), (-60.0, -50.0)])
def test_clips_make_ties_for_argmax(net: Any, check: Check, low: float, high: float) -> None:
    x = net.input(4, scale=0.25, lo=-3, hi=3)
    y = net.op(Linear(), x, net.weight(5, 4), net.tensor([0.5, 0, -0.25, 1, 0.25]))
    y = net.op(HardTanh(low, high), y)
    check(net, net.op(ArgMax(), y), net.op(TopK(3), y), batch=200)


def test_argmax_and_top_k_at_each_position(net: Any, check: Check) -> None:
    """Scales of their own for the channels, and a transposition behind."""
    scale = [0.5, 0.25, 0.375, 1, 0.0625]
    y = net.op(Conv((1, 1)), net.input(3, 4, 2), net.weight(5, 3, 1, 1, scale=scale))
    best = net.op(ArgMax(), y)
    flat = net.op(Reshape((4, 2)), best)
    lowered = check(net, best, net.op(TopK(2), y), flat, batch=60)
    assert [r.shape for r in lowered.outputs] == [(1, 4, 2), (2, 4, 2), (4, 2)]
    line = net.op(TopK(3), net.op(Conv((1,), (0, 0), (1,)), net.input(3, 7), net.weight(4, 3, 1)))
    check(net, best, line, batch=20)


def test_argmax_of_one_scale_compares_the_sums(net: Any, check: Check) -> None:
    x = net.input(4, scale=0.25, lo=-3, hi=3)
    lowered = check(net, net.op(ArgMax(), net.op(Linear(), x, net.weight(5, 4))))
    assert len(lowered.graph.nodes) == 2


def test_weights_are_rounded_exactly_half_to_even(net: Any, check: Check) -> None:
    x = net.input(4, scale=1.0, lo=-3, hi=3)
    tensor = net.tensor([[0.125, 0.375, -0.125, 0.3], [0.3, -0.9, 5.0, -5.0]])
    weight = net.op(Quant(-2, 3, 1, 0), tensor, net.tensor([0.25, 0.2]))
    y = net.op(Linear(), x, weight)
    lowered = check(net, y)
    op = lowered.graph.node(y).op
    assert isinstance(op, MatMul)
    assert op.weight.dense().tolist() == [[0, 2, 0, 1], [1, -3, 2, -3]]


def test_weights_beside_a_tie_are_not_rounded_in_floats(net: Any, check: Check) -> None:
    """0.3 as a float is below 3/10, so 0.75 / 0.3 is above 2.5, though float64 divides to 2.5."""
    x = net.input(1, scale=1.0, lo=-3, hi=3)
    weight = net.op(Quant(-7, 7), net.tensor([[0.75], [-0.75]]), net.tensor(0.3))
    lowered = check(net, net.op(Linear(), x, weight))
    op = lowered.graph.nodes[0].op
    assert isinstance(op, MatMul)
    assert op.weight.dense().tolist() == [[3], [-3]]


def test_a_bipolar_weight_of_zero_is_plus_one(net: Any, check: Check) -> None:
    x = net.input(3, scale=1.0, lo=-3, hi=3)
    weight = net.op(Bipolar(), net.tensor([[0.0, -0.0, -1e-30]]), net.tensor(0.5))
    lowered = check(net, net.op(Linear(), x, weight))
    op = lowered.graph.nodes[0].op
    assert isinstance(op, MatMul)
    assert op.weight.dense().tolist() == [[1, 1, -1]]


def test_bare_tensors_on_a_grid_are_weights(net: Any, check: Check) -> None:
    x = net.input(3, scale=1.0, lo=-3, hi=3)
    shifts = net.op(Linear(), x, net.tensor([[0.5, -0.25, 8.0], [0, 1, 2]]))
    zeros = net.op(Linear(), x, net.tensor(np.zeros((2, 3))))
    lowered = check(net, shifts, zeros)
    first, second = (node.op for node in lowered.graph.nodes)
    assert isinstance(first, MatMul)
    assert isinstance(second, MatMul)
    assert isinstance(first.weight, PowerOfTwo)
    assert first.weight.dense().tolist() == [[2, -1, 32], [0, 4, 8]]
    assert not second.weight.dense().any()


def test_low_rank_layers_may_keep_their_narrow_sums(net: Any, check: Check) -> None:
    x = net.quant(net.input(16), 0, 3, 0.5)
    y = net.op(Linear(), net.op(Linear(), x, net.weight(2, 16)), net.weight(6, 2))
    check(net, y)


def test_helper_names_do_not_collide(net: Any, check: Check) -> None:
    x = net.quant(net.input(4, 4, 4, lo=-128, hi=127), -8, 7, 0.25)
    y = net.op(Conv(), net.op(Relu(), x), net.weight(2, 4, 3, 3))
    net.nodes.append(SourceNode(f"{x}_clip", MaxPool(), (x,)))
    lowered = check(net, y, f"{x}_clip")
    assert f"{x}_clip2" in lowered.graph.types


def test_helpers_are_shared(net: Any, check: Check) -> None:
    x = net.op(Relu(), net.quant(net.input(4, 4, 4, lo=-128, hi=127), -8, 7, 0.25))
    y, z = (net.op(Conv(), x, net.weight(2, 4, 3, 3)) for _ in range(2))
    assert ops(check(net, y, z)) == [MultiThreshold, Requant, Conv2d, Conv2d]


def test_clip_of_a_flattened_map(net: Any, check: Check) -> None:
    x = net.quant(net.input(3, 2, 2, lo=-128, hi=127), -8, 7, 0.25)
    y = net.op(Linear(), net.op(Relu(), net.op(Flatten(), x)), net.weight(4, 12))
    check(net, y)


def test_notes_name_wide_multipliers_and_long_tables(net: Any) -> None:
    x = net.input(4, 8, 8, scale=1 / 255)
    y = net.op(Conv(), x, net.weight(8, 4, 3, 3, scale=np.linspace(0.01, 0.3, 8)))
    y = net.op(Affine(), y, net.tensor(net.rng.normal(size=8)), net.tensor(net.rng.normal(size=8)))
    q = net.quant(y, -128, 127, 0.011)
    notes = net.lower(q).notes
    assert len(notes) == 1
    assert notes[0].startswith(f"'{q}' ")


def test_encode_and_decode_change_the_layout(net: Any) -> None:
    x = net.input(2, 1, 3, scale=0.5, lo=0, hi=9)
    lowered = net.lower(x)
    image = np.arange(6).reshape(1, 2, 1, 3)
    codes = lowered.encode({x: image})
    assert codes[x].tolist() == [[[[0, 3], [1, 4], [2, 5]]]]
    real = lowered.outputs[0].decode(run(lowered.graph, codes)[x])
    np.testing.assert_array_equal(real, image / 2)


def test_encodings_decode_to_values_that_encode_back(net: Any) -> None:
    raw = net.input(2, 3, 4, lo=-4, hi=9)
    q = net.quant(net.input(2, 3, scale=None), -4, 3, [0.1, 0.7], zero=1)
    s = net.op(Bipolar(), net.input(5, scale=None), net.tensor(0.3))
    lowered = net.lower(raw, q, s)
    for encoding in lowered.inputs:
        codes = net.rng.integers(encoding.type.lo, encoding.type.hi + 1, (20, *encoding.type.shape))
        codes = np.where(codes >= 0, 1, -1) if encoding.type.bipolar else codes
        np.testing.assert_array_equal(encoding.encode(encoding.decode(codes)), codes)


def test_lowering_is_repeatable(net: Any) -> None:
    x = net.quant(net.input(4, 5, 5), 0, 255, 0.25)
    source = net.source(net.op(Conv(padding=PAD1), x, net.weight(4, 4, 3, 3)))
    assert lower(source).graph == lower(source).graph
