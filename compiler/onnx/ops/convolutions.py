"""Convolutions and batch normalization."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.ops.windows import integers, spatial, window
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import BatchNorm, Conv, ConvTranspose, Pad, Shape

__all__ = ["batch_norm", "conv", "conv_of", "conv_transpose"]


def single_batch(walk: Walk, node: Node, x: Value) -> None:
    """Refuse an axis 0 that is neither the batch nor of size 1."""
    if x.axes[0] != 0 and walk.shape(x)[0] != 1:
        node.fail(f"axis 0 of {walk.shape(x)} must be the batch; it comes from another axis")


def positions(walk: Walk, node: Node, x: Value) -> Value:
    """x arranged as the source's (C, *positions)."""
    single_batch(walk, node, x)
    return walk.arranged(x, range(1, x.rank))


def conv(walk: Walk, node: Node) -> Value:
    """One or two spatial axes, groups, dilations, padding at each side or automatic; weight and
    bias are constants. A Pad with zeros in front becomes padding."""
    weight, bias = node.constant(1, "weight"), node.optional(2, "bias")
    return conv_of(walk, node, real(walk, node), weight, bias)


def conv_of(walk: Walk, node: Node, x: Value, weight: Constant, bias: Constant | None) -> Value:
    """The convolution of real values with the node's attributes."""
    size = spatial(walk, node, x)
    node.check(
        weight.value.ndim == x.rank,
        f"weight {weight.value.shape} must have as many axes as the input {walk.shape(x)}",
    )
    w = window(node, size, weight.value.shape[2:])
    y = positions(walk, node, x)
    name, padding = folded_padding(walk, y.name, w.padding)
    args = [walk.weight(weight, "weight")]
    if bias is not None:
        args.append(walk.weight(bias, "bias"))
    groups = node.int("group", 1)
    op = Conv(w.stride, padding, w.dilation, groups)
    return y.plain(walk.emit(op, name, *args))


def folded_padding(walk: Walk, name: str, padding: Shape) -> tuple[str, Shape]:
    """The producer of a Pad with zeros, and both paddings together."""
    made = walk.nodes.get(name)
    if made is None or not isinstance(made.op, Pad) or made.op.value != 0:
        return name, padding
    if len(made.op.padding) != len(padding):
        return name, padding
    return made.args[0], tuple(a + b for a, b in zip(made.op.padding, padding, strict=True))


def conv_transpose(walk: Walk, node: Node) -> Value:
    """One or two spatial axes, groups, dilations, output_padding, output_shape, automatic
    padding; weight and bias are constants."""
    x = real(walk, node)
    weight, bias = node.constant(1, "weight"), node.optional(2, "bias")
    size = spatial(walk, node, x)
    rank = len(size)
    kernel = weight.value.shape[2:]
    node.check(weight.value.ndim == x.rank, f"weight {weight.value.shape} must have {x.rank} axes")
    declared = integers(node, "kernel_shape", rank, 0, 0)
    node.check(declared in (kernel, (0,) * rank), f"kernel_shape {declared} is not that of weight")
    stride = integers(node, "strides", rank, 1, 1)
    dilation = integers(node, "dilations", rank, 1, 1)
    padding, extra = _transposed_padding(node, size, kernel, stride, dilation)
    y = positions(walk, node, x)
    args = [walk.weight(weight, "weight", axis=1)]  # (inputs, outputs of a group, *kernel)
    if bias is not None:
        args.append(walk.weight(bias, "bias"))
    op = ConvTranspose(stride, padding, extra, dilation, node.int("group", 1))
    return y.plain(walk.emit(op, y.name, *args))


def _transposed_padding(
    node: Node, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[Shape, Shape]:
    """(padding by side, extra) from pads, output_padding, output_shape or auto_pad."""
    rank = len(size)
    extra = list(integers(node, "output_padding", rank, 0, 0))
    pads = integers(node, "pads", 2 * rank, 0, 0)
    padding = [pads[i + side * rank] for i in range(rank) for side in (0, 1)]
    auto = node.string("auto_pad", "NOTSET")
    node.check(
        auto in ("NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad {auto!r} is unknown"
    )
    same = auto.startswith("SAME")
    if auto == "VALID":
        padding = [0] * (2 * rank)
    if same or node.has("output_shape"):
        shape = tuple(n * s for n, s in zip(size, stride, strict=True))
        if node.has("output_shape"):
            shape = integers(node, "output_shape", rank, 1, 1)
        for i, n in enumerate(size):
            full = (n - 1) * stride[i] + extra[i] + dilation[i] * (kernel[i] - 1) + 1
            crop = full - shape[i]
            extra[i] += max(-crop, 0)
            crop = max(crop, 0)
            small, large = crop // 2, crop - crop // 2
            padding[2 * i : 2 * i + 2] = (small, large) if auto == "SAME_UPPER" else (large, small)
    return tuple(padding), tuple(extra)


def batch_norm(walk: Walk, node: Node) -> Value:
    """Inference with constant statistics."""
    x = real(walk, node)
    training = node.int("training_mode", 0) or not node.int("spatial", 1)
    node.check(not training, "training mode is not supported; export the model in eval mode")
    used = [i for i in range(1, 5) if node.wants(i)]
    node.check(not used, "statistics of the batch are not supported; export in eval mode")
    roles = ("scale", "B", "mean", "var")
    constants = [node.array(i, role).astype(np.float64) for i, role in enumerate(roles, 1)]
    node.check(x.rank >= 2, f"input of rank {x.rank} has no channel axis 1")
    if x.axes[1] == 0:
        walk.mixes("the channels are the batch")
    y = walk.channels(x, 1)
    names = [walk.tensor(c, role) for c, role in zip(constants, roles, strict=True)]
    op = BatchNorm(node.float("epsilon", 1e-5))
    return replace(y, name=walk.emit(lambda: op, y.name, *names))
