"""Thresholds of QONNX and FINN, and layers of theirs that have the channels last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.ops.convolutions import batch_norm, conv
from hwc.compiler.onnx.ops.pools import max_pool, sum_pool
from hwc.compiler.onnx.ops.qonnx import FARTHEST
from hwc.compiler.onnx.ops.windows import Window
from hwc.compiler.onnx.reshaping import permuted
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Quant, Threshold

__all__ = ["last", "multi_threshold", "pool_last", "quant_avg_pool"]

LAYOUTS = {0: "N", 1: "N", 2: "NC", 3: "NWC", 4: "NCHW"}
"""What qonnx assumes where data_layout is missing, by rank."""


def multi_threshold(walk: Walk, node: Node) -> Value:
    """out_scale * (how many thresholds of the channel x reaches) + out_bias; the channel axis as
    data_layout says (NCHW, NHWC, NC ...); thresholds per channel or shared."""
    x = real(walk, node)
    thresholds = node.array(1, "thresholds").astype(np.float64)
    node.check(thresholds.ndim == 2, f"thresholds {thresholds.shape} must be (channels, steps)")
    layout = node.string("data_layout", "") or LAYOUTS.get(x.rank, "NC")
    axis = layout.index("C") if "C" in layout else 1
    node.check(axis < x.rank, f"data_layout {layout!r} does not fit rank {x.rank}")
    if len(thresholds) > 1:
        if walk.is_batch(x, axis):
            walk.mixes("the thresholds differ between samples")
        x = walk.channels(x, axis)
    scale, bias = node.float("out_scale", 1.0), node.float("out_bias", 0.0)
    most = max(abs(scale), abs(bias))
    node.check(most < FARTHEST, f"out_scale {scale:g} and out_bias {bias:g} must be below 2^32")
    whole = scale == int(scale) >= 1 and bias == int(bias)
    lo, step = (int(bias), int(scale)) if whole else (0, 1)
    rows = walk.tensor(np.sort(thresholds, axis=1), "thresholds")
    y = x.plain(walk.emit(lambda: Threshold(lo, step), x.name, rows))
    return y if whole else walk.affine(y, scale, bias)


def last(handler: Callable[[Walk, Node], Value]) -> Callable[[Walk, Node], Value]:
    """A handler for channels first, used on a value that has them last."""

    def wrapped(walk: Walk, node: Node) -> Value:
        x = node.activation()
        node.check(x.rank >= 3, "channels last needs a batch, positions and channels")
        first = (0, x.rank - 1, *range(1, x.rank - 1))
        node.operands[0] = permuted(x, first)
        y = handler(walk, node)
        return permuted(y, (0, *range(2, y.rank), 1))

    wrapped.__doc__ = f"Channels last: {handler.__doc__}"
    return wrapped


CHANNELS_LAST = {
    "Conv": last(conv),
    "MaxPool": last(max_pool),
    "BatchNormalization": last(batch_norm),
}


def pool_last(walk: Walk, node: Node) -> Value:
    """MaxPool with channels last."""
    return CHANNELS_LAST["MaxPool"](walk, node)


def quant_avg_pool(walk: Walk, node: Node) -> Value:
    """The sum over a window, its low bits dropped; channels first or last."""
    x = real(walk, node)
    layout = node.string("data_layout", "NCHW")
    node.check(
        layout in ("NCHW", "NHWC") and x.rank == 4, f"data_layout {layout!r} of rank {x.rank}"
    )
    k, stride = node.int("kernel", 0), node.int("stride", 1)
    bits, out = node.int("ibits", 0), node.int("obits", 0)
    node.check(0 < k < 1 << 12 and 0 < stride < 1 << 12, f"kernel {k} and stride {stride}")
    node.check(1 <= bits <= 32 and 1 <= out <= 32, f"ibits {bits}, obits {out} must be in 1..32")
    x = permuted(x, (0, 3, 1, 2)) if layout == "NHWC" else x
    window = Window((k, k), (stride, stride), (1, 1), (0,) * 4, (0, 0))
    y = sum_pool(walk, x, window)
    most = (2**bits - 1) * k * k
    step = 2 ** max(most.bit_length() - out, 0)
    op = Quant(-most // step - 1, most // step + 1, rounding="floor")
    y = walk.per_channel(y, [np.array(float(step))], lambda axis: op)
    y = replace(walk.affine(y, 1 / step, 0.0), coding=None)
    return permuted(y, (0, 2, 3, 1)) if layout == "NHWC" else y
