"""Sums, and products and quotients with constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.element import FLOATS
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.products_of_curves import product
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Add, Function, HardTanh, Multiply, Relu, SourceOp, Upsample

__all__ = [
    "add", "bounded", "clip", "divide", "extreme", "joined", "mean", "multiply", "negate", "plus",
    "real", "subtract", "total",
]  # fmt: skip

INTEGERS = "division of integers truncates and is not supported; cast to a float first"


def real(walk: Walk, node: Node, index: int = 0) -> Value:
    """Input `index` as a real number; refuses integers that wrap around."""
    x = node.activation(index)
    if x.dtype.name not in (*FLOATS, "int32", "int64"):
        node.fail(
            f"arithmetic on {x.dtype.name} wraps around and is not supported; "
            "cast or dequantize to a float first"
        )
    return walk.decoded(x)


def add(walk: Walk, node: Node) -> Value:
    """Two operands; one may be a constant that broadcasts to the other."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and isinstance(b, Value):
        return plus(walk, node, real(walk, node, 0), real(walk, node, 1))
    index, other = (0, 1) if isinstance(a, Value) else (1, 0)
    shift = node.array(other, "the other operand").astype(np.float64)
    return walk.affine(real(walk, node, index), 1.0, shift)


def subtract(walk: Walk, node: Node) -> Value:
    """Two operands; one may be a constant that broadcasts to the other."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(b, Constant):
        return walk.affine(real(walk, node), 1.0, -b.value.astype(np.float64))
    negative = walk.affine(real(walk, node, 1), -1.0, 0.0)
    if isinstance(a, Constant):
        return walk.affine(negative, 1.0, a.value.astype(np.float64))
    return plus(walk, node, real(walk, node), negative)


def plus(walk: Walk, node: Node, a: Value, b: Value) -> Value:
    """a + b; positions of size 1 may broadcast."""
    return joined(walk, node, a, b, Add())


def joined(walk: Walk, node: Node, a: Value, b: Value, op: SourceOp) -> Value:
    """op(a, b), element by element; positions of size 1 may broadcast."""
    rank = max(a.rank, b.rank)
    a, b = (replace(v, axes=(None,) * (rank - v.rank) + v.axes) for v in (a, b))
    if walk.shape(a) != walk.shape(b):
        a, b = _spread(walk, node, a, b), _spread(walk, node, b, a)
    if a.axes != b.axes or walk.shapes[a.name] != walk.shapes[b.name]:
        if (0 in a.axes) != (0 in b.axes) and walk.batch.size != 1:
            walk.mixes("one operand has no batch axis")
        inner = [x for x in range(rank) if a.axes[x] != 0 and b.axes[x] != 0]
        kept = [x for x in inner if a.axes[x]]
        order = sorted(kept, key=lambda x: a.axes[x] or 0)
        order += [x for x in inner if x not in order and walk.shape(a)[x] > 1]
        a, b = walk.arranged(a, order), walk.arranged(b, order)
    return replace(a, name=walk.emit(op, a.name, b.name), coding=None)


def _spread(walk: Walk, node: Node, x: Value, to: Value) -> Value:
    """x repeated along positions in which it has size 1 and `to` has more."""
    have, want = walk.shape(x), walk.shape(to)
    short = [a for a in range(x.rank) if have[a] != want[a] and have[a] == 1]
    if not short:
        return x
    if any(walk.is_batch(to, a) for a in short):
        walk.mixes("an operand is the same for all samples")
    inner = [a for a in walk.inner(to) if a not in short]
    order = [*inner[:1], *[a for a in walk.inner(to) if a not in inner[:1]]]
    y = walk.arranged(x, order)
    if not inner or len(order) > 3:
        node.fail(f"cannot broadcast an activation {have} to {want}; only along positions")
    factors = tuple(want[a] if a in short else 1 for a in order[1:])
    return y.renamed(walk.emit(lambda: Upsample(factors), y.name))


def multiply(walk: Walk, node: Node) -> Value:
    """Two operands; one may be a constant that broadcasts to the other. x*sigmoid(x) and its kind
    (silu, hard swish, mish, gelu) are one table."""
    a, b = node.operand(0), node.operand(1)
    if isinstance(a, Value) and isinstance(b, Value):
        known = product(walk, walk.decoded(a), walk.decoded(b))
        if known is not None:
            return known
        return joined(walk, node, real(walk, node, 0), real(walk, node, 1), Multiply())
    index, other = (0, 1) if isinstance(a, Value) else (1, 0)
    factor = node.array(other, "the other operand").astype(np.float64)
    return _times(walk, node, index, factor)


def _times(walk: Walk, node: Node, index: int, factor: np.ndarray) -> Value:
    x = node.activation(index)
    if x.dtype.kind == "f" and x.coding is not None and x.coding.axis is None:
        # Codes as floats, times a scale: one multiplication, exact if it undoes the quantizer's.
        scale, zero = x.coding.scale, x.coding.zero
        return replace(walk.affine(x, factor / scale, zero * factor), coding=None)
    return walk.affine(real(walk, node, index), factor, 0.0)


def divide(walk: Walk, node: Node) -> Value:
    """By a constant that broadcasts to the activation (its reciprocal is taken in float64), or a
    constant by an activation: its reciprocal is a table in hardware. Of floats only."""
    if isinstance(node.operand(0), Constant) and isinstance(node.operand(1), Value):
        node.check(node.activation(1).dtype.kind == "f", INTEGERS)
        x = real(walk, node, 1)
        y = x.renamed(walk.emit(Function("reciprocal"), x.name))
        return walk.affine(y, node.array(0, "the dividend").astype(np.float64), 0.0)
    factor = node.array(1, "the divisor").astype(np.float64)
    node.check(bool((factor != 0).all()), "the divisor holds 0")
    if node.activation().dtype.kind != "f":
        node.fail(INTEGERS)
    return _times(walk, node, 0, 1 / factor)


def negate(walk: Walk, node: Node) -> Value:
    """Any activation."""
    return walk.affine(real(walk, node), -1.0, 0.0)


def total(walk: Walk, node: Node) -> Value:
    """The sum of the operands, element by element; constants broadcast."""
    constants = [o.value for o in node.operands if isinstance(o, Constant)]
    values = [i for i, o in enumerate(node.operands) if isinstance(o, Value)]
    out = real(walk, node, values[0])
    for i in values[1:]:
        out = plus(walk, node, out, real(walk, node, i))
    for value in constants:
        out = walk.affine(out, 1.0, value.astype(np.float64))
    return out


def mean(walk: Walk, node: Node) -> Value:
    """The mean of the operands, element by element; broadcasting as in Add."""
    return walk.affine(total(walk, node), 1 / len(node.operands), 0.0)


def clip(walk: Walk, node: Node) -> Value:
    """Bounds by attributes or constant scalar inputs; min > max gives max, as ONNX says."""
    if node.opset < 11:
        lo, hi = node.float("min", -np.inf), node.float("max", np.inf)
    else:
        lo, hi = node.scalar(1, "min", -np.inf), node.scalar(2, "max", np.inf)
    return bounded(walk, walk.decoded(node.activation()), lo, max(lo, hi) if lo <= hi else hi)


def bounded(walk: Walk, x: Value, lo: float, hi: float) -> Value:
    """min(max(x, lo), hi)."""
    lo = min(lo, hi)
    if (lo, hi) == (-np.inf, np.inf):
        return x
    op = Relu() if (lo, hi) == (0, np.inf) else HardTanh(lo, hi)
    return x.renamed(walk.emit(op, x.name))


def extreme(walk: Walk, node: Node) -> Value:
    """Of activations and constants that broadcast; written with sums and ReLUs."""
    sign = 1.0 if node.type == "Max" else -1.0
    values = [walk.decoded(o) for o in node.operands if isinstance(o, Value)]
    constants = [o.value.astype(np.float64) for o in node.operands if isinstance(o, Constant)]
    if len(values) == 1 and all(c.size == 1 for c in constants):
        bound = max([float(c.reshape(())) * sign for c in constants], default=-np.inf) * sign
        lo, hi = (bound, np.inf) if sign > 0 else (-np.inf, bound)
        x = values[0]
        rank = max([x.rank, *(c.ndim for c in constants)])
        return bounded(walk, replace(x, axes=(None,) * (rank - x.rank) + x.axes), lo, hi)
    out = walk.affine(values[0], sign, 0.0)
    for value in values[1:]:  # max(a, b) = a + relu(b - a)
        rest = plus(walk, node, walk.affine(value, sign, 0.0), walk.affine(out, -1.0, 0.0))
        out = plus(walk, node, out, rest.renamed(walk.emit(Relu(), rest.name)))
    for value in constants:
        rest = walk.affine(out, 1.0, -sign * value)
        out = walk.affine(rest.renamed(walk.emit(Relu(), rest.name)), 1.0, sign * value)
    return walk.affine(out, sign, 0.0)
