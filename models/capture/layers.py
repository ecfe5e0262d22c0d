"""Capture of linear layers, convolutions, batch-norm and quantizers."""

import torch
from torch.fx import Node

from hwc.compiler.source import BatchNorm, Bipolar, Conv, ConvTranspose, Input, Linear, Quant
from hwc.models.capture.constants import vector
from hwc.models.capture.pools import both, sizes
from hwc.models.capture.walk import Capture, Constant, Value


def linear(c: Capture, node: Node) -> Value:
    a = c.args(node)
    return c.emit(node, Linear(), *present(a["input"], a["weight"], a["bias"]))


def matmul(c: Capture, node: Node) -> Value:
    """An activation (B, K) times a constant (K, N)."""
    x, weight = c.args(node).values()
    return c.emit(node, Linear(), x, turned(c, node, x, weight))


def matmul_add(c: Capture, node: Node) -> Value:
    """A constant plus such a product."""
    a = c.args(node)
    if a["beta"] != 1 or a["alpha"] != 1:
        c.fail(node, "beta and alpha must be 1")
    bias, x = a["self"], a["mat1"]
    weight = turned(c, node, x, a["mat2"])
    if not isinstance(bias, Constant) or bias.value.numel() != weight.value.shape[0]:
        c.fail(node, "the summand must be a constant, one value per output")
    flat = Constant(bias.name, bias.value.reshape(-1))
    return c.emit(node, Linear(), x, weight, flat)


def turned(c: Capture, node: Node, x: object, weight: object) -> Constant:
    """The weight of a Linear for `x @ weight`."""
    if not isinstance(x, Value) or not isinstance(weight, Constant) or weight.value.ndim != 2:
        c.fail(node, "only activation @ constant matrix is supported; use nn.Linear")
    return Constant("", weight.value.t())


def conv_transpose(c: Capture, node: Node) -> Value:
    a = c.args(node)
    rank = node.meta["val"].ndim - 2
    op = ConvTranspose(
        sizes(a["stride"], rank),
        both(sizes(a["padding"], rank)),
        sizes(a["output_padding"], rank),
        sizes(a["dilation"], rank),
        int(a["groups"]),
    )
    return c.emit(node, op, *present(a["input"], a["weight"], a["bias"]))


def conv(c: Capture, node: Node) -> Value:
    a = c.args(node)
    kernel = tuple(node.args[1].meta["val"].shape[2:])  # pyright: ignore
    rank = len(kernel)
    dilation, stride = sizes(a["dilation"], rank), sizes(a["stride"], rank)
    padding: tuple[int, ...]
    if a["padding"] == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = tuple(p for r in reach for p in (r // 2, r - r // 2))
    elif a["padding"] == "valid":
        padding = (0,) * (2 * rank)
    else:
        padding = both(sizes(a["padding"], rank))
    op = Conv(stride, padding, dilation, int(a["groups"]))
    return c.emit(node, op, *present(a["input"], a["weight"], a["bias"]))


def batch_norm(c: Capture, node: Node) -> Value:
    a = c.args(node)
    mean, var = a["running_mean"], a["running_var"]
    if a.get("training") or mean is None or var is None:
        c.fail(node, "has no running statistics; use track_running_stats=True and train first")
    gamma = a["weight"] or Constant("", torch.ones_like(mean.value))
    beta = a["bias"] or Constant("", torch.zeros_like(mean.value))
    return c.emit(node, BatchNorm(float(a["eps"])), a["input"], gamma, beta, mean, var)


def quant(c: Capture, node: Node) -> Value:
    a = c.args(node)
    x, lo, hi = a["x"], int(a["lo"]), int(a["hi"])
    scale, axis = scale_of(c, node)
    if isinstance(x, Value) and x.name in c.inputs and axis is None:
        # The quantizer of a raw input: it says what arrives, and is the identity on that.
        item = Input(x.name, c.shape(node), float(scale.value), lo, hi)
        if c.inputs[x.name] is None:
            c.inputs[x.name] = item
        if c.inputs[x.name] == item:
            return x
    return quantized(c, node, Quant(lo, hi, 0, axis), x, scale)


def bipolar(c: Capture, node: Node) -> Value:
    scale, axis = scale_of(c, node)
    return quantized(c, node, Bipolar(axis), c.args(node)["x"], scale)


def scale_of(c: Capture, node: Node) -> tuple[Constant, int | None]:
    """Scale of a quantizer and its axis. One of activations is named after its use: scales may be
    shared."""
    a = c.args(node)
    scale, axis = vector(c, node, a["scale"], node.meta["val"].ndim)
    return (scale if isinstance(a["x"], Constant) else Constant("", scale.value)), axis


def quantized(c: Capture, node: Node, op: Quant | Bipolar, x, scale: Constant) -> Value:
    result = c.emit(node, op, x, scale)
    if not isinstance(x, Constant):
        return result
    a = c.args(node)
    with torch.no_grad():
        rest = [a["lo"], a["hi"]] if isinstance(op, Quant) else []
        value = node.target(x.value, a["scale"].value, *rest)  # pyright: ignore[reportCallIssue]
    return Value(result.name, value)


def present(*args: Constant | Value | None) -> tuple[Constant | Value, ...]:
    return tuple(arg for arg in args if arg is not None)
