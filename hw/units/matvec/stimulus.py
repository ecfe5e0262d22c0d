"""Inputs that drive sums to the edges of the output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import MatMul, Quantizer, Type
from hwc.hw.unit import extremes
from hwc.hw.units.act import edges
from hwc.hw.units.matvec.fold import ProductOp

__all__ = ["aimed", "steer"]

Ints = NDArray[np.int64]


def aimed(
    op: ProductOp, kind: Type, act: Quantizer | None, rng: np.random.Generator, batch: int
) -> Ints:
    """``batch`` inputs of type ``kind``: every second one aims, at each pixel and group, at an edge
    of one output.

    A sum is aimed at a threshold (or where a requantization changes its code, or saturates) by
    pushing its inputs in random order towards it, each as far as it helps. Without activation the
    aim is its smallest or largest value.
    """
    x, total = extremes(kind, rng, batch), op.infer(kind)
    shape = op.weight.shape
    groups, outputs = (1, shape[0]) if isinstance(op, MatMul) else shape[:2]
    w = op.weight.dense().reshape(groups, outputs, -1)
    for i in range(0, batch, 2):
        rows = x[i].reshape(-1, groups, w.shape[-1])
        pick = rng.integers(0, outputs, rows.shape[:2])
        weights = w[np.arange(groups), pick]
        channel = np.arange(groups) * outputs + pick
        if act is None:
            target = np.where(rng.random(channel.shape) < 0.5, total.lo, total.hi)
        else:
            target = edges(act, total, channel, rng)
        x[i] = steer(rows, weights, target, kind, rng).reshape(kind.shape)
    return x


def steer(x: Ints, w: Ints, target: Ints, kind: Type, rng: np.random.Generator) -> Ints:
    """x[..., k] changed, within ``kind``, so that ``sum(w * x)`` comes as near to ``target`` as it
    can.
    """
    missing = target - (w * x).sum(-1)
    sign, left = np.sign(missing), np.abs(missing)
    out = x.copy()
    size = np.abs(w)
    for k in rng.permutation(x.shape[-1]):
        direction = np.sign(w[..., k]) * sign
        room = np.where(direction > 0, kind.hi - x[..., k], x[..., k] - kind.lo)
        move = np.minimum(room, left // np.maximum(size[..., k], 1))
        if kind.bipolar:
            move = np.where(move == 2, 2, 0)
        out[..., k] += direction * move
        left = left - move * size[..., k]
    return out
