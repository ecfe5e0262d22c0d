"""Vectors with zeros of all kinds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwc.hw.units.matvec.stimulus import aimed
from hwc.hw.units.skip.plan import SkipPlan

__all__ = ["KINDS", "holed"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KINDS = 7
"""Of vectors in :func:`holed`."""


def holed(plan: SkipPlan, rng: np.random.Generator, batch: int) -> Ints:
    """``batch`` inputs, every third as :func:`aimed` has it; in the others each vector is one of:
    zeros; one element alone, the first, the last or any; a run of elements; elements here and
    there; dense.
    """
    x = aimed(plan.op, plan.x, plan.act, rng, batch)
    size = plan.shape[2] * plan.shape[3]
    vectors = x.reshape(batch, plan.pixels, size)
    for frame in range(batch):
        if frame % 3:
            for pixel in range(plan.pixels):
                vector = vectors[frame, pixel]
                keep = _pattern(rng, (frame + pixel) % KINDS, size)
                vector[keep & (vector == 0)] = plan.x.hi or plan.x.lo
                vector[~keep] = 0
    return vectors.reshape(x.shape)


def _pattern(rng: np.random.Generator, kind: int, size: int) -> Bools:
    """Which elements are not 0."""
    at = np.arange(size)
    match kind:
        case 0:
            return at < 0
        case 1:
            return at == 0
        case 2:
            return at == size - 1
        case 3:
            return at == rng.integers(size)
        case 4:
            begin, end = sorted(rng.integers(0, size + 1, 2))
            return (begin <= at) & (at < end)
        case 5:
            return rng.random(size) < rng.choice([0.1, 0.3, 0.6])
        case _:
            return at >= 0
