"""Movements in float networks: pixel shuffles, heads of detectors, padding with numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate import Config
from hwc.compiler.calibrate.needs import mixes
from hwc.compiler.graph import ArgMax as GraphArgMax
from hwc.compiler.source import (
    ArgMax,
    Flatten,
    HardTanh,
    Pad,
    PRelu,
    Quant,
    Relu,
    Reshape,
    Softmax,
    Source,
    Transpose,
    evaluate,
)

Check = Callable[..., Any]
W8A8 = Config.of("w8a8")


def quantizers(source: Source) -> dict[str, int]:
    """Bits of each quantizer of an activation, by what it quantizes."""
    return {
        n.args[0]: (n.op.hi - n.op.lo).bit_length()
        for n in source.nodes
        if isinstance(n.op, Quant) and n.name not in source.constants
    }


def shuffled(net: Any, x: str, block: int = 2) -> str:
    """DepthToSpace: blocks of channels become positions."""
    c, h, w = net.shape(x)
    x = net.op(Reshape((block, block, c // block**2, h, w)), x)
    x = net.op(Transpose((3, 4, 1, 5, 2)), x)
    return net.op(Reshape((c // block**2, h * block, w * block)), x)


def close(net: Any, calibrated: Any, *outputs: str) -> None:
    """The quantized network is near the float one."""
    source, frames = net.source(*outputs), net.frames(8, seed=3)
    want, have = evaluate(source, frames), evaluate(calibrated.source, frames)
    for name, made in zip(outputs, calibrated.source.outputs, strict=True):
        error = np.abs(have[made] - want[name]).max() / np.abs(want[name]).max()
        assert error < 0.1, (name, error)


def test_what_mixes(net: Any) -> None:
    x = net.input(4, 2, 3)
    y = net.op(Transpose((1, 3, 2)), x)
    flat = net.op(Flatten(), x)
    up = net.op(Reshape((4, 2, 3, 1)), x)
    across, back = net.op(Transpose((2, 1, 3)), x), net.op(Reshape((8, 3)), x)
    source = net.source(y, flat, up, across, back)
    assert [n.name for n in source.nodes if mixes(source, n)] == [across]


@pytest.mark.parametrize("behind", ["output", "relu", "clip", "leak", "leaks", "norm"])
def test_a_pixel_shuffle_behind_a_convolution(net: Any, check: Check, behind: str) -> None:
    x = shuffled(net, net.conv(net.input(3, 4, 5), 12))
    if behind == "norm":
        x = net.norm(x)
    elif behind != "output":
        slopes = net.tensor(0.25 if behind == "leak" else [0.25, -0.5, 0.125])
        op = {"relu": Relu(), "clip": HardTanh(0.0, 1.0)}.get(behind, PRelu())
        x = net.op(op, x, *([slopes] if isinstance(op, PRelu) else []))
    if behind != "output":
        x = net.conv(x, 2)
    calibrated, _ = check(net, W8A8, x)
    close(net, calibrated, x)


def test_the_head_of_a_detector_has_twelve_bits(net: Any, check: Check) -> None:
    sums = net.conv(net.input(3, 4, 4), 10)
    y = net.op(Transpose((1, 3, 4, 2)), net.op(Reshape((2, 5, 4, 4)), sums))
    calibrated, lowered = check(net, W8A8, y)
    close(net, calibrated, y)
    assert quantizers(calibrated.source) == {sums: 12}
    (reading,) = lowered.outputs
    assert lowered.graph.types[reading.node].width == 12


def test_classes_of_each_box(net: Any, check: Check) -> None:
    sums = net.conv(net.input(3, 4, 4), 8)
    boxes = net.op(Transpose((2, 1)), net.op(Reshape((32, 4)), net.op(Transpose((2, 3, 1)), sums)))
    share = net.op(Softmax(), boxes)
    best = net.op(ArgMax(), boxes)
    calibrated, lowered = check(net, W8A8, share, best)
    close(net, calibrated, share, best)
    assert quantizers(calibrated.source) == {sums: 12}
    assert any(isinstance(n.op, GraphArgMax) for n in lowered.graph.nodes)


def test_sums_that_are_quantized_as_well(net: Any, check: Check) -> None:
    sums = net.conv(net.input(3, 4, 4), 8)
    y = shuffled(net, sums)
    z = net.conv(net.op(Relu(), sums), 2)
    calibrated, _ = check(net, W8A8, y, z)
    close(net, calibrated, y, z)
    assert set(quantizers(calibrated.source).values()) == {8, 12}


def test_slopes_of_their_own_get_a_quantizer(net: Any, check: Check) -> None:
    leaks = net.op(PRelu(), net.conv(net.input(3, 4, 4), 8), net.tensor(np.arange(8) / 16))
    y = shuffled(net, leaks)
    calibrated, _ = check(net, W8A8, y)
    close(net, calibrated, y)
    assert quantizers(calibrated.source) == {leaks: 12}


def test_codes_that_are_there_do(net: Any, check: Check) -> None:
    """What a convolution reads has 8 bits, though channels are exchanged in front of it."""
    x = net.conv(shuffled(net, net.op(Relu(), net.conv(net.input(3, 4, 4), 8))), 2)
    calibrated, _ = check(net, W8A8, x)
    close(net, calibrated, x)
    assert list(quantizers(calibrated.source).values()) == [8]


@pytest.mark.parametrize("value", [0.0, 0.4, -1.0])
def test_padding_with_a_number_takes_the_nearest_code(net: Any, check: Check, value: float) -> None:
    x = net.op(Relu(), net.conv(net.input(3, 4, 4), 8))
    y = net.conv(net.op(Pad((1, 0, 2, 1), value), x), 2)
    calibrated, _ = check(net, W8A8, y)
    (pad,) = (n for n in calibrated.source.nodes if isinstance(n.op, Pad))
    quant = calibrated.source.node(pad.args[0])
    scale = float(calibrated.source.tensors[quant.args[1]])
    assert abs(pad.op.value - max(value, 0.0)) <= scale / 2, "a ReLU leaves no negative code"
    assert quantizers(calibrated.source) == {x: 8}
