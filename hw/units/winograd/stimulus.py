"""Windows that drive the sums of Winograd products to the edges of the output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwc.hw.unit import extremes
from hwc.hw.units.act import edges
from hwc.hw.units.matvec.stimulus import steer
from hwc.hw.units.winograd.plan import WinogradPlan

__all__ = ["aimed"]

Ints = NDArray[np.int64]


def aimed(plan: WinogradPlan, rng: np.random.Generator, batch: int) -> Ints:
    """``batch`` inputs: every second one aims, in each window, at an edge of one of its sums.

    As for a plain product (see :func:`steer`), by those places of the window that the sum sees.
    """
    x = extremes(plan.x, rng, batch)
    op, n = plan.op, plan.op.n
    w = op.weight.dense()
    for b in range(0, batch, 2):
        rows = x[b].reshape(-1, n * n * plan.channels)
        channel = rng.integers(0, plan.outputs, len(rows))
        weights = np.zeros((len(rows), n, n, plan.channels), np.int64)
        for row, k in enumerate(channel):
            i, j = rng.integers(0, op.m, 2)
            weights[row, i : i + op.r, j : j + op.r] = w[k]
        if plan.act is None:
            target = np.where(rng.random(len(rows)) < 0.5, plan.sum.lo, plan.sum.hi)
        else:
            target = edges(plan.act, plan.sum, channel, rng)
        flat = weights.reshape(rows.shape)
        x[b] = steer(rows, flat, target, plan.x, rng).reshape(plan.x.shape)
    return x
