"""Folding and equalization keep the float function, and do what they are for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate.equalize import equalize
from hwc.compiler.calibrate.fold import fold, snap_slopes
from hwc.compiler.calibrate.layers import canonical, input_channels
from hwc.compiler.calibrate.scales import mantissa_bits
from hwc.compiler.source import (
    Affine,
    BatchNorm,
    Conv,
    ConvTranspose,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Linear,
    MaxPool,
    PRelu,
    Relu,
    Source,
    evaluate,
)


def kinds(source: Source) -> list[str]:
    return [type(node.op).__name__ for node in source.nodes]


def same_function(net: Any, before: Source, after: Source) -> None:
    frames = net.frames(6)
    for name, x in evaluate(before, frames).items():
        y = evaluate(after, frames)[name]
        np.testing.assert_allclose(y, x, rtol=0, atol=1e-10 * max(1, np.abs(x).max()))


def test_batch_norms_go_into_layers_and_outputs_keep_their_names(net: Any) -> None:
    x = net.op(Relu(), net.norm(net.conv(net.input(2, 6, 6), 4)))
    x = net.norm(net.conv(x, 4, groups=4))
    up = net.op(
        ConvTranspose((2, 2), extra=(0, 0), groups=2),
        x,
        net.tensor(net.rng.normal(size=(4, 3, 2, 2))),
    )
    up = net.norm(up)
    flat = net.op(Flatten(), net.op(MaxPool(), x))
    out = net.norm(net.norm(net.linear(flat, 5, bias=False)))
    source = net.source(out, up)
    folded = fold(source)
    assert "BatchNorm" not in kinds(folded)
    assert folded.outputs == source.outputs
    same_function(net, source, folded)


def test_batch_norm_stays_where_the_sum_has_other_readers(net: Any) -> None:
    x = net.conv(net.input(2, 6, 6), 4)
    out = net.norm(x)
    assert fold(net.source(out, x)) == net.source(out, x)


def test_normalization_goes_into_the_layer_behind_if_it_does_not_pad(net: Any) -> None:
    def built(padding: int, shift: float) -> Source:
        x = net.op(Affine(), net.input(2, 6, 6), net.tensor([2.0, 3.0]), net.tensor([shift, shift]))
        weight = net.tensor(net.rng.normal(size=(4, 2, 3, 3)))
        return net.source(net.op(Conv(padding=(padding,) * 4), x, weight))

    for padding, shift, goes in ((0, 0.5, True), (1, 0.5, False), (1, 0.0, True)):
        net.__init__(0)
        source = built(padding, shift)
        folded = fold(source)
        assert ("Affine" not in kinds(folded)) == goes
        same_function(net, source, folded)


def test_normalization_of_an_image_passes_a_flatten(net: Any) -> None:
    x = net.op(Affine(), net.input(2, 3, 3), net.tensor(2.5), net.tensor(-0.7))
    source = net.source(net.linear(net.op(Flatten(), x), 4))
    assert kinds(fold(source)) == ["Flatten", "Linear"]
    same_function(net, source, fold(source))


@pytest.mark.parametrize("op", [Relu(), HardTanh(-1.0, 2.0)])
def test_pools_move_behind_what_rises(net: Any, op: Any) -> None:
    x = net.op(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), net.conv(net.input(2, 6, 6), 4))
    source = net.source(net.op(op, x))
    assert kinds(fold(source)) == ["Conv", type(op).__name__, "MaxPool"]
    same_function(net, source, fold(source))


def test_pools_stay_in_front_of_what_falls(net: Any) -> None:
    x = net.op(MaxPool(), net.conv(net.input(2, 6, 6), 4))
    source = net.source(net.op(PRelu(), x, net.tensor([-0.5])))
    assert kinds(fold(source)) == ["Conv", "MaxPool", "PRelu"]


def test_slopes_get_eight_bits(net: Any) -> None:
    x = net.op(PRelu(), net.input(2, 6, 6), net.tensor([0.01, 0.3]))
    snapped = snap_slopes(net.source(x))
    (slopes,) = snapped.tensors.values()
    assert (abs(slopes / [0.01, 0.3] - 1) <= 2.0**-8).all()
    assert max(map(mantissa_bits, slopes)) <= 8


def chain(net: Any) -> Source:
    """Conv, depthwise, conv, two linear layers, with all homogeneous functions between them."""
    x = net.op(Relu(), net.conv(net.input(2, 8, 8), 6))
    x = net.op(PRelu(), net.conv(x, 6, groups=6), net.tensor(net.rng.uniform(0, 1, 6)))
    x = net.op(MaxPool(), net.op(Relu(), net.conv(x, 4, kernel=1)))
    x = net.op(Relu(), net.linear(net.op(Flatten(), x), 7))
    return net.source(net.linear(x, 3))


def test_equalization_keeps_the_function_and_evens_ranges(net: Any) -> None:
    source = chain(net)
    even = equalize(source)
    same_function(net, source, even)
    layers = [n for n in even.nodes if isinstance(n.op, (Conv, Linear))]
    for first, second in pairwise(layers):
        r1 = np.abs(canonical(first.op, even.tensors[first.args[1]])).max(axis=(2, 3)).ravel()
        r2 = (
            input_channels(second.op, even.tensors[second.args[1]]).reshape(r1.size, -1).max(axis=1)
        )
        np.testing.assert_allclose(r1, r2, rtol=5e-3)
    assert even != source


def test_equalization_stops_at_clips_forks_and_dead_channels(net: Any) -> None:
    x = net.op(HardTanh(0.0, 6.0), net.conv(net.input(2, 8, 8), 6))
    source = net.source(net.conv(x, 4))
    assert equalize(source) == source
    y = net.op(Relu(), net.conv(x, 4))
    source = net.source(net.conv(y, 3), net.op(GlobalAvgPool(), y))
    assert equalize(source) == source
    net.__init__(0)
    x = net.conv(net.input(2, 8, 8), 3)
    out = net.conv(net.op(Relu(), x), 4)
    weight = net.tensors[net.nodes[0].args[1]]
    weight[1] = 0
    same_function(net, net.source(out), equalize(net.source(out)))


def test_shared_tensors_are_changed_for_one_reader_only(net: Any) -> None:
    x = net.input(4)
    weight = net.tensor(net.rng.normal(size=(4, 4)))
    y = net.op(Linear(), x, weight)
    y = net.op(
        BatchNorm(), y, *(net.tensor(v) for v in ([2.0] * 4, [1.0] * 4, [0.5] * 4, [3.0] * 4))
    )
    source = net.source(net.op(Linear(), net.op(Relu(), y), weight))
    same_function(net, source, fold(source))
    same_function(net, source, equalize(fold(source)))
