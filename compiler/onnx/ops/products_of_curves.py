"""The product of an activation with a function of itself: silu, hard swish, mish, gelu."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Affine, Function, HardTanh, SourceNode, SourceOp

__all__ = ["product"]

CLOSE = 1e-5
"""How far constants written as float32 (1/6, sqrt(2)) may lie from the real ones."""


@dataclass(frozen=True)
class _Gate:
    """g(x) as a chain of curves and (scale, shift) pairs, and the curve with x * g(x) = m * c."""

    chain: tuple[SourceOp | tuple[float, float], ...]
    curve: str
    factor: float = 1.0


GATES = (
    _Gate((Function("sigmoid"),), "silu"),
    _Gate((Function("hard_sigmoid", 1 / 6, 0.5),), "hard_swish"),
    _Gate(((1.0, 3.0), HardTanh(0.0, 6.0)), "hard_swish", 6.0),
    _Gate(((1.0, 3.0), HardTanh(0.0, 6.0), (1 / 6, 0.0)), "hard_swish"),
    _Gate((Function("softplus"), Function("tanh")), "mish"),
    _Gate(((math.sqrt(0.5), 0.0), Function("erf"), (1.0, 1.0)), "gelu", 2.0),
    _Gate(((math.sqrt(0.5), 0.0), Function("erf"), (1.0, 1.0), (0.5, 0.0)), "gelu"),
)


def product(walk: Walk, a: Value, b: Value) -> Value | None:
    """a * b as a curve where one is a known function of the other."""
    for x, gated in ((a, b), (b, a)):
        for gate in GATES:
            if x.axes == gated.axes and _matches(walk, gate, x.name, gated.name):
                y = x.renamed(walk.emit(Function(gate.curve), x.name))
                return walk.affine(y, gate.factor, 0.0)
    return _halved(walk, a, b) or _halved(walk, b, a)


def _halved(walk: Walk, x: Value, gated: Value) -> Value | None:
    """(m * x) * g(x), as in gelu written 0.5 * x * (1 + erf(x / sqrt(2)))."""
    made = walk.nodes.get(x.name)
    scale = None if made is None else _scale_of(walk, made)
    if made is None or scale is None:
        return None
    for gate in GATES:
        if x.axes == gated.axes and _matches(walk, gate, made.args[0], gated.name):
            y = x.renamed(walk.emit(Function(gate.curve), made.args[0]))
            return walk.affine(y, gate.factor * scale, 0.0)
    return None


def _scale_of(walk: Walk, made: SourceNode) -> float | None:
    """m if the node is m * x."""
    if not isinstance(made.op, Affine) or walk.tensors[made.args[1]].size != 1:
        return None
    return (
        None if walk.tensors[made.args[2]].any() else float(walk.tensors[made.args[1]].ravel()[0])
    )


def _matches(walk: Walk, gate: _Gate, x: str, gated: str) -> bool:
    """True if walking back along the gate's chain from `gated` ends at x."""
    name = gated
    for step in reversed(gate.chain):
        made = walk.nodes.get(name)
        if made is None or not _is_step(walk, made, step):
            return False
        name = made.args[0]
    return name == x


def _is_step(walk: Walk, made: SourceNode, step: SourceOp | tuple[float, float]) -> bool:
    if isinstance(step, tuple):
        if not isinstance(made.op, Affine):
            return False
        constants = [walk.tensors[a] for a in made.args[1:]]
        return all(
            bool((np.abs(c - s) <= CLOSE * abs(s)).all())
            for c, s in zip(constants, step, strict=True)
        )
    if isinstance(made.op, Function) and isinstance(step, Function):
        near = abs(made.op.alpha - step.alpha) + abs(made.op.beta - step.beta) <= CLOSE
        return made.op.curve == step.curve and (near or step.curve != "hard_sigmoid")
    return made.op == step
