"""Activation functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.reshaping import reshaped
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Function, PRelu, Quant, Relu, Softmax

__all__ = [
    "celu", "curve", "gelu", "leaky", "parametric", "power", "relu", "sign", "softmax",
    "softmax_of", "swish",
]  # fmt: skip

CURVES = {
    "Abs": ("abs", None, None),
    "Elu": ("elu", 1.0, None),
    "Erf": ("erf", None, None),
    "Exp": ("exp", None, None),
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "HardSwish": ("hard_swish", None, None),
    "Log": ("log", None, None),
    "Mish": ("mish", None, None),
    "Reciprocal": ("reciprocal", None, None),
    "Selu": ("selu", 1.67326319217681884765625, 1.05070102214813232421875),
    "Sigmoid": ("sigmoid", None, None),
    "Softplus": ("softplus", None, None),
    "Softsign": ("softsign", None, None),
    "Sqrt": ("sqrt", None, None),
    "Tanh": ("tanh", None, None),
}
"""Operator -> (curve, default of alpha, default of beta)."""


def curve(walk: Walk, node: Node) -> Value:
    """One number in, one out: a table in hardware."""
    kind, alpha, beta = CURVES[node.type]
    a = 1.0 if alpha is None else node.float("alpha", alpha)
    b = 0.0 if beta is None else node.float("gamma" if kind == "selu" else "beta", beta)
    x = real(walk, node)
    return x.renamed(walk.emit(lambda: Function(kind, a, b), x.name))


def power(walk: Walk, node: Node) -> Value:
    """A constant exponent, one number: a table in hardware."""
    exponent = node.array(1, "the exponent").astype(np.float64)
    node.check(exponent.size == 1, f"the exponent has {exponent.size} elements, not 1")
    node.check(bool(np.isfinite(exponent).all()), "the exponent is not finite")
    x = real(walk, node)
    x = replace(x, axes=(None,) * (exponent.ndim - x.rank) + x.axes)
    if node.activation().dtype.kind != "f":
        node.fail("powers of integers wrap around and are not supported; cast to a float first")
    return x.renamed(walk.emit(lambda: Function("pow", float(exponent.item())), x.name))


def sign(walk: Walk, node: Node) -> Value:
    """-1, 0 or +1: integers from here on."""
    x = real(walk, node)
    one = walk.tensor(np.ones(()), "one")
    return x.renamed(walk.emit(Quant(-1, 1, rounding="from_zero"), x.name, one))


def relu(walk: Walk, node: Node) -> Value:
    """max(x, 0)."""
    x = real(walk, node)
    return x.renamed(walk.emit(Relu(), x.name))


def gelu(walk: Walk, node: Node) -> Value:
    """Both approximations: none and tanh."""
    kind = node.string("approximate", "none")
    node.check(kind in ("none", "tanh"), f"approximate {kind!r} must be none or tanh")
    x = real(walk, node)
    op = Function("gelu" if kind == "none" else "gelu_tanh")
    return x.renamed(walk.emit(op, x.name))


def swish(walk: Walk, node: Node) -> Value:
    """x * sigmoid(alpha * x)."""
    alpha = node.float("alpha", 1.0)
    node.check(alpha != 0, "alpha must not be 0")
    x = walk.affine(real(walk, node), alpha, 0.0)
    return walk.affine(x.renamed(walk.emit(Function("silu"), x.name)), 1 / alpha, 0.0)


def celu(walk: Walk, node: Node) -> Value:
    """alpha * elu(x / alpha)."""
    alpha = node.float("alpha", 1.0)
    node.check(alpha > 0, f"alpha {alpha} must be positive")
    x = walk.affine(real(walk, node), 1 / alpha, 0.0)
    return walk.affine(x.renamed(walk.emit(Function("elu"), x.name)), alpha, 0.0)


def leaky(walk: Walk, node: Node) -> Value:
    """x where x >= 0, else alpha * x."""
    slope = np.array(node.float("alpha", 0.01))
    return walk.per_channel(real(walk, node), [slope], lambda axis: PRelu())


def parametric(walk: Walk, node: Node) -> Value:
    """The slope is a constant that broadcasts to the activation."""
    slope = node.array(1, "slope")
    return walk.per_channel(real(walk, node), [slope], lambda axis: PRelu())


def softmax(walk: Walk, node: Node) -> Value:
    """Along one axis; before operator set 13 over all axes from `axis` on."""
    return softmax_of(walk, node, real(walk, node), node.opset)


def softmax_of(walk: Walk, node: Node, x: Value, opset: int) -> Value:
    """The softmax of real values as it is in an operator set."""
    axis = node.axis("axis", -1 if opset >= 13 else 1, x.rank)
    shape = walk.shape(x)
    several = opset < 13 and any(n != 1 for n in shape[axis + 1 :])
    if several:
        x = reshaped(walk, x, (*shape[:axis], int(np.prod(shape[axis:]))))
    if walk.is_batch(x, axis):
        walk.mixes("softmax along the batch")
    y = walk.channels(x, axis)
    y = replace(y, name=walk.emit(Softmax(), y.name))
    return reshaped(walk, y, shape) if several else y
