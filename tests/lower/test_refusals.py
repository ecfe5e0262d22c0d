"""What cannot be lowered is refused with the node, the rule and what would work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hwc.compiler.lower import LowerError, lower
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    Conv,
    HardTanh,
    Input,
    Linear,
    Quant,
    Relu,
    Reshape,
    Source,
    SourceNode,
    SourceOp,
)
from hwc.compiler.source.ops import Shape

PAD1 = (1, 1, 1, 1)


def float_reaches_linear(net: Any) -> str:
    x = net.quant(net.input(64), 0, 255, 0.25)
    y = net.op(Linear(), x, net.weight(8, 64, top=100))
    return net.op(Linear(), y, net.weight(8, 8))


def float_input(net: Any) -> str:
    return net.op(Linear(), net.input(4, scale=None), net.weight(2, 4))


def float_second_input(net: Any) -> str:
    return net.op(Add(), net.input(4), net.input(4, scale=None))


def two_quantizers(net: Any) -> str:
    x = net.input(4, scale=None)
    return net.op(Add(), net.quant(x, 0, 7, 0.5), net.quant(x, 0, 7, 0.25))


def relu_off_the_grid(net: Any) -> str:
    x = net.quant(net.input(4), -8, 7, 0.25)
    y = net.op(Affine(), x, net.tensor(1.0), net.tensor(0.1))
    return net.op(Linear(), net.op(Relu(), y), net.weight(2, 4))


def relu_per_channel(net: Any) -> str:
    x = net.quant(net.input(2, lo=-9), -8, 7, [0.25, 0.5])
    return net.op(Linear(), net.op(Relu(), x), net.weight(2, 2))


def bounds_per_channel(net: Any) -> str:
    x = net.op(HardTanh(-1, 1), net.quant(net.input(2, lo=-9), -8, 7, 0.25))
    y = net.op(Affine(), x, net.tensor(1.0), net.tensor([0.25, 0.5]))
    return net.op(Linear(), y, net.weight(2, 2))


def scales_per_channel(net: Any) -> str:
    x = net.quant(net.input(3, 4, 4), 0, 7, [1 / 3, 0.7, 1.0])
    return net.op(Conv(), x, net.weight(2, 3, 3, 3))


def scales_per_input(net: Any) -> str:
    weight = net.op(Quant(-3, 3, 0, 1), net.tensor(np.ones((2, 3))), net.tensor([1, 2, 3]))
    return net.op(Linear(), net.input(3), weight)


def residual(net: Any) -> str:
    x = net.input(4)
    a, b = net.quant(x, 0, 7, 1 / 3), net.quant(x, 0, 7, 0.5)
    return net.op(Add(), a, b)


def residual_per_channel(net: Any) -> str:
    x = net.quant(net.input(4), 0, 7, 0.5)
    y = net.op(Affine(), x, net.tensor([1, 2, 3, 4]), net.tensor(0.0))
    return net.op(Add(), x, y)


def off_grid_padding(net: Any) -> str:
    x = net.op(Affine(), net.input(3, 4, 4), net.tensor(1.0), net.tensor(0.1))
    return net.op(Conv(padding=PAD1), x, net.weight(2, 3, 3, 3))


def mixed_padding(net: Any) -> str:
    x = net.input(3, 4, 4, scale=1.0)
    x = net.op(Affine(), x, net.tensor(1.0), net.tensor([1.0, 2.0, 3.0]))
    return net.op(Conv(padding=PAD1), x, net.weight(2, 3, 3, 3))


def off_grid_average(net: Any) -> str:
    x = net.op(Affine(), net.input(3, 4, 4), net.tensor(1.0), net.tensor(0.1))
    return net.op(AvgPool(padding=PAD1), x)


def reshaped_scales(net: Any) -> str:
    x = net.quant(net.input(12), 0, 7, net.rng.uniform(1, 2, 12))
    return net.op(Reshape((1, 3, 4)), x)


def beyond_floats(net: Any) -> str:
    x = net.input(3)
    for _ in range(9):
        x = net.op(Affine(), x, net.tensor(3e38), net.tensor(0.0))
    return x


def argmax_of_wild_scales(net: Any) -> str:
    y = net.op(Linear(), net.input(3), net.weight(3, 3))
    return net.op(ArgMax(), net.op(Affine(), y, net.tensor([0.1, 1 / 3, 1]), net.tensor(0.1)))


def argmax_of_clips(net: Any) -> str:
    y = net.op(HardTanh(-1, 1), net.op(Linear(), net.input(3), net.weight(3, 3)))
    return net.op(ArgMax(), net.op(Affine(), y, net.tensor([1, 2, 3]), net.tensor(0.0)))


def float_weight(net: Any) -> str:
    return net.op(Linear(), net.input(3), net.tensor(net.rng.normal(size=(2, 3))))


def weight_twice(net: Any) -> str:
    w = net.weight(2, 3)
    return net.op(Linear(), net.input(3), net.op(Quant(-1, 1), w, net.tensor(0.5)))


def float_output(net: Any) -> str:
    return net.input(3, scale=None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            float_reaches_linear,
            (
                r"\(Linear\): the activation 'n2_linear' .* without a quantizer as "
                r"\d+-bit sums, over the 16 bits .*put a Quant after 'n2_linear' \(calibrate it\)"
            ),
        ),
        (float_input, r"\(Linear\): 'in0' is a float input; put a Quant or Bipolar directly after"),
        (float_second_input, r"\(Add\): 'in1' is a float input"),
        (two_quantizers, r"float input 'in0' is quantized differently by 'n0_quant'"),
        (
            relu_off_the_grid,
            (
                r"is clipped \(ReLU or HardTanh\) but not quantized, and bound 0 is off"
                r" its integer grid; put a Quant after the clip \(calibrate it\)"
            ),
        ),
        (relu_per_channel, r"and its channels have scales of their own; put a Quant"),
        (bounds_per_channel, r"and its channels have scales of their own; put a Quant"),
        (
            scales_per_channel,
            (
                r"a sum over channels needs one scale, but 'n0_quant' .* has the "
                r"scales 0.333333..1 \(3 channels\); use one scale per tensor"
            ),
        ),
        (scales_per_input, r"scale per index of axis 1, .*one scale per output channel \(axis 0\)"),
        (
            residual,
            (
                r"cannot add integers of the scales 0.333333333 of 'n0_quant' and 0.5 of "
                r"'n1_quant': .* share one scale between the quantizers before the add"
            ),
        ),
        (residual_per_channel, r"cannot add integers of the scales 0.5 of 'n0_quant' and 0.5..2"),
        (
            off_grid_padding,
            (
                r"padding inserts real 0, which is code -25.6 of 'n0_affine' .* put a "
                r"Quant directly before the padded operation, or use padding 0"
            ),
        ),
        (mixed_padding, r"real 0, which is a different code in each channel of 'n0_affine'"),
        (off_grid_average, r"\(AvgPool\): padding inserts real 0, which is code -25.6"),
        (beyond_floats, r"node 'n7_affine' \(Affine\): its scale or offset is beyond float64"),
        (reshaped_scales, r"would come from several channels of 'n0_quant'"),
        (argmax_of_wild_scales, r"cannot be compared as integers of 48 bits; use one weight scale"),
        (argmax_of_clips, r"is clipped per channel; put a Quant of one scale before comparing"),
        (float_weight, r"weight 't0' is float: codes of \d+ bits would be needed; put a Quant"),
        (weight_twice, r"is quantized twice; quantize a tensor once"),
        (float_output, r"output 'in0' is a float input; put a Quant after it"),
    ],
)
def test_refusals(net: Any, build: Callable[[Any], str], message: str) -> None:
    name = build(net)
    with pytest.raises(LowerError, match=message) as caught:
        net.lower(name)
    if net.nodes:
        assert str(caught.value).startswith("node '")


def test_unused_inputs_are_refused(net: Any) -> None:
    used, unused = net.input(3), net.input(4)
    with pytest.raises(LowerError, match=f"input '{unused}' is not used by any output; remove it"):
        net.lower(used)


def test_unknown_operations_are_named() -> None:
    @dataclass(frozen=True)
    class Gelu(SourceOp):
        def infer(self, *shapes: Shape) -> Shape:
            return shapes[0]

    nodes = (SourceNode("act", Gelu(), ("x",)),)
    with pytest.raises(LowerError, match=r"node 'act' \(Gelu\): this operation cannot be lowered"):
        lower(Source((Input("x", (3,), 1.0),), nodes, ("act",)))


def test_graph_errors_name_the_source_node(net: Any) -> None:
    x = net.input(4, scale=1.0, lo=-(2**60), hi=2**60)
    y = net.op(Add(), *([x] * 9))
    with pytest.raises(LowerError, match=rf"node '{y}' \(Add\): Add: .*int64"):
        net.lower(y)


def test_encodings_check_their_values(net: Any) -> None:
    x = net.input(3, scale=1.0)
    lowered = net.lower(x)
    with pytest.raises(LowerError, match=r"input in0: values must be integers in \[0, 255\]"):
        lowered.encode({x: np.full((1, 3), 256)})
    with pytest.raises(LowerError, match=r"input in0: values must be integers"):
        lowered.encode({x: np.full((1, 3), 0.5)})
    with pytest.raises(LowerError, match=r"input in0: shape \(1, 4\) must be \(batch, \*\(3,\)\)"):
        lowered.encode({x: np.zeros((1, 4))})
