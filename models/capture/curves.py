"""Capture of activation functions that bend."""

import torch
from torch.fx import Node

from hwc.compiler.source import Function, PRelu, Quant, Softmax
from hwc.models.capture.arithmetic import affine
from hwc.models.capture.walk import Capture, Constant, Value

CURVES = (
    "abs", "erf", "exp", "log", "mish", "reciprocal", "sigmoid", "silu", "sqrt", "tanh",
)  # fmt: skip
"""ATen operators that are a `Function` of the same name without options."""


def curve(c: Capture, node: Node) -> Value:
    name = str(node.target).split(".")[1].rstrip("_")
    return c.emit(node, Function(name), c.args(node)["self"])


def power(c: Capture, node: Node) -> Value:
    """x ** exponent, a number."""
    a = c.args(node)
    return c.emit(node, Function("pow", float(a["exponent"])), a["self"])


def inverse_root(c: Capture, node: Node) -> Value:
    return c.emit(node, Function("pow", -0.5), c.args(node)["self"])


def square(c: Capture, node: Node) -> Value:
    return c.emit(node, Function("pow", 2.0), c.args(node)["self"])


def sign(c: Capture, node: Node) -> Value:
    """-1, 0 or +1: integers from here on."""
    one = Constant("", torch.ones((), dtype=torch.float64))
    return c.emit(node, Quant(-1, 1, rounding="from_zero"), c.args(node)["self"], one)


def gelu(c: Capture, node: Node) -> Value:
    a = c.args(node)
    return c.emit(node, Function("gelu_tanh" if a["approximate"] == "tanh" else "gelu"), a["self"])


def hard_sigmoid(c: Capture, node: Node) -> Value:
    return c.emit(node, Function("hard_sigmoid", 1 / 6, 0.5), c.args(node)["self"])


def hard_swish(c: Capture, node: Node) -> Value:
    return c.emit(node, Function("hard_swish"), c.args(node)["self"])


def elu(c: Capture, node: Node) -> Value:
    """scale * (max(x, 0) + alpha * (exp(input_scale * min(x, 0)) - 1)): ELU and CELU."""
    a = c.args(node)
    alpha, scale, inner = (float(a[name]) for name in ("alpha", "scale", "input_scale"))
    if inner == 1:
        return scaled(c, node, c.emit(node, Function("elu", alpha), a["self"]), scale)
    if not inner > 0:
        c.fail(node, f"input_scale={inner} is not supported; it must be positive")
    x = affine(c, node, a["self"], inner, 0.0)
    return scaled(c, node, c.emit(node, Function("elu", alpha * inner), x), scale / inner)


def celu(c: Capture, node: Node) -> Value:
    """alpha * elu(x / alpha)."""
    a = c.args(node)
    alpha = float(a["alpha"])
    if not alpha > 0:
        c.fail(node, f"alpha={alpha} is not supported; it must be positive")
    x = scaled(c, node, a["self"], 1 / alpha)
    return scaled(c, node, c.emit(node, Function("elu"), x), alpha)


def selu(c: Capture, node: Node) -> Value:
    alpha, gamma = 1.6732632423543772, 1.0507009873554805
    return c.emit(node, Function("selu", alpha, gamma), c.args(node)["self"])


def softplus(c: Capture, node: Node) -> Value:
    """log(1 + exp(beta * x)) / beta. Beyond the threshold torch gives x, which differs by less than
    exp(-threshold)."""
    a = c.args(node)
    beta = float(a["beta"])
    if not beta > 0 or a["threshold"] < 20:
        c.fail(node, f"beta={beta} must be positive and threshold={a['threshold']} at least 20")
    x = scaled(c, node, a["self"], beta)
    return scaled(c, node, c.emit(node, Function("softplus"), x), 1 / beta)


def leaky(c: Capture, node: Node) -> Value:
    a = c.args(node)
    slope = torch.tensor(float(a["negative_slope"]), dtype=torch.float64)
    return c.emit(node, PRelu(), a["self"], Constant("", slope))


def parametric(c: Capture, node: Node) -> Value:
    a = c.args(node)
    slope = a["weight"]
    if not isinstance(slope, Constant):
        c.fail(node, "the slope must be a parameter or a constant")
    value = slope.value.reshape(()) if slope.value.numel() == 1 else slope.value
    return c.emit(node, PRelu(), a["self"], Constant(slope.name, value))


def softmax(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if a["dim"] % node.meta["val"].ndim != 1:
        c.fail(node, f"dim={a['dim']} is not supported; only the channels, dim=1")
    return c.emit(node, Softmax(), a["self"])


def scaled(c: Capture, node: Node, x: Value, factor: float) -> Value:
    return x if factor == 1 else affine(c, node, x, factor, 0.0)
