"""Capture of what works element by element."""

import math

from torch.fx import Node

from hwc.compiler.source import Add, Affine, HardTanh, Relu
from hwc.models.capture.constants import number, vector
from hwc.models.capture.walk import Capture, Constant, Value


def relu(c: Capture, node: Node) -> Value:
    return c.emit(node, Relu(), c.args(node)["self"])


def hard_tanh(c: Capture, node: Node) -> Value:
    a = c.args(node)
    return c.emit(node, HardTanh(float(a["min_val"]), float(a["max_val"])), a["self"])


def relu6(c: Capture, node: Node) -> Value:
    return c.emit(node, HardTanh(0.0, 6.0), c.args(node)["self"])


def clamp(c: Capture, node: Node) -> Value:
    a = c.args(node)
    lo = -math.inf if a.get("min") is None else a["min"]
    hi = math.inf if a.get("max") is None else a["max"]
    if (lo, hi) == (0, math.inf):
        return c.emit(node, Relu(), a["self"])
    return c.emit(node, HardTanh(float(lo), float(hi)), a["self"])


def add(c: Capture, node: Node) -> Value:
    a = c.args(node)
    x, y = a["self"], a["other"]
    if a.get("alpha", 1) != 1:
        c.fail(node, f"alpha={a['alpha']} is not supported; scale the quantizer in front instead")
    if isinstance(x, Value) and isinstance(y, Value):
        return c.emit(node, Add(), x, y)
    x, y = (x, y) if isinstance(x, Value) else (y, x)
    return affine(c, node, x, 1.0, y)


def subtract(c: Capture, node: Node) -> Value:
    a = c.args(node)
    x, y = a["self"], a["other"]
    if a.get("alpha", 1) != 1:
        c.fail(node, f"alpha={a['alpha']} is not supported; scale the quantizer in front instead")
    if not isinstance(y, Value):
        return affine(c, node, x, 1.0, Constant("", number(y).neg()))
    negative = affine(c, node, y, -1.0, 0.0)
    if not isinstance(x, Value):
        return affine(c, node, negative, 1.0, x)
    return c.emit(node, Add(), x, negative)


def reverse_subtract(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if a.get("alpha", 1) != 1:
        c.fail(node, f"alpha={a['alpha']} is not supported; scale the quantizer in front instead")
    return affine(c, node, a["self"], -1.0, a["other"])


def multiply(c: Capture, node: Node) -> Value:
    a = c.args(node)
    x, y = a["self"], a["other"]
    if isinstance(x, Value) and isinstance(y, Value):
        c.fail(node, "the product of two activations is not supported; one factor must be constant")
    x, y = (x, y) if isinstance(x, Value) else (y, x)
    return affine(c, node, x, y, 0.0)


def divide(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if isinstance(a["other"], Value):
        c.fail(node, "division by an activation is not supported; the divisor must be constant")
    return affine(c, node, a["self"], Constant("", number(a["other"]).double().reciprocal()), 0.0)


def negate(c: Capture, node: Node) -> Value:
    return affine(c, node, c.args(node)["self"], -1.0, 0.0)


def addcmul(c: Capture, node: Node) -> Value:
    a = c.args(node)
    x, y = a["tensor1"], a["tensor2"]
    x, y = (x, y) if isinstance(x, Value) else (y, x)
    if isinstance(a["self"], Value) or isinstance(y, Value) or a["value"] != 1:
        c.fail(node, "only constant + activation * constant is supported")
    return affine(c, node, x, y, a["self"])


def affine(c: Capture, node: Node, x: Value, scale, shift) -> Value:
    """`x * scale + shift` with numbers or constants of one value, or one per channel."""
    flat = []
    for value in (scale, shift):
        constant, axis = vector(c, node, value, node.meta["val"].ndim)
        if axis not in (None, 1):
            c.fail(
                node,
                f"constant varies along axis {axis}; use a scalar or one value per channel, axis 1",
            )
        flat.append(constant)
    return c.emit(node, Affine(), x, *flat)
