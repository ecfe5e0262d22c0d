"""Activations behind products of random weights, for the examples that conformance builds."""

from __future__ import annotations

import numpy as np

from hwc.compiler.graph import MultiThreshold, Op, Requant, Type

__all__ = ["requant", "thresholds"]


def thresholds(
    rng: np.random.Generator, op: Op, x: Type, levels: int, mixed: bool = False
) -> MultiThreshold:
    """Thresholds over the middle half of the sums, all rising or ``mixed``; one level gives
    signs."""
    t = op.infer(x)
    quarter = (t.hi - t.lo) // 4
    table = rng.integers(t.lo + quarter, t.hi - quarter + 1, (t.shape[-1], levels))
    down = tuple(bool(b) for b in rng.integers(0, 2, t.shape[-1])) if mixed else (False,)
    lo, step = (-1, 2) if levels == 1 else (0, 1)
    return MultiThreshold(np.sort(table, axis=1), down, lo, step)


def requant(rng: np.random.Generator, op: Op, x: Type, bits: int = 8) -> Requant:
    """Signed codes from the middle half of the sums."""
    t, shift = op.infer(x), 16
    slope = (1 << bits + shift + 1) // (t.hi - t.lo)
    m = rng.integers(slope // 2, slope, t.shape[-1])
    return Requant(m, rng.integers(-(1 << 18), 1 << 18, t.shape[-1]), shift, -127, 127)
