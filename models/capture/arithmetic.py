"""Capture of what works element by element."""

import math
from collections.abc import Callable

from torch.fx import Node

from hwc.compiler.source import Add, Affine, Function, HardTanh, Multiply, Relu, SourceOp, Upsample
from hwc.models.capture.constants import number, vector
from hwc.models.capture.walk import Capture, Constant, Value

GATES: dict[SourceOp, str] = {
    Function("sigmoid"): "silu",
    Function("hard_sigmoid", 1 / 6, 0.5): "hard_swish",
}
"""What x times this function of x is."""


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
        for one, gate in ((x, y), (y, x)):
            made = next((n for n in c.nodes if n.name == gate.name), None)
            if made is not None and made.args == (one.name,) and made.op in GATES:
                return c.emit(node, Function(GATES[made.op]), one)
        return c.emit(node, Multiply(), stretched(c, node, x), stretched(c, node, y))
    x, y = (x, y) if isinstance(x, Value) else (y, x)
    return affine(c, node, x, y, 0.0)


def stretched(c: Capture, node: Node, x: Value) -> Value:
    """x repeated along positions in which it has size 1 and the result has more."""
    have, want = c.shapes[x.name], c.shape(node)
    if have == want or len(have) != len(want) or have[0] != want[0]:
        return x
    if any(h not in (1, w) for h, w in zip(have, want, strict=True)):
        return x
    factors = tuple(w // h for h, w in zip(have[1:], want[1:], strict=True))
    return c.emit(node, Upsample(factors), x)


def divide(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if isinstance(a["other"], Value):
        if isinstance(a["self"], Value):
            c.fail(node, "the quotient of two activations is not supported; one must be constant")
        return affine(c, node, c.emit(node, Function("reciprocal"), a["other"]), a["self"], 0.0)
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


def maximum(c: Capture, node: Node) -> Value:
    return clip(c, node, lambda limit: HardTanh(limit, math.inf))


def minimum(c: Capture, node: Node) -> Value:
    return clip(c, node, lambda limit: HardTanh(-math.inf, limit))


def clip(c: Capture, node: Node, op: Callable[[float], HardTanh]) -> Value:
    """An activation against one constant."""
    a = c.args(node)
    x, limit = a["self"], a["other"]
    x, limit = (x, limit) if isinstance(x, Value) and x.constant is None else (limit, x)
    if isinstance(limit, Value) or number(limit).numel() != 1:
        c.fail(node, "only a maximum or minimum with one constant is supported")
    return c.emit(node, op(float(number(limit))), x)
