"""Rearrangements: passing, holding, and memories with places from loops, tables and a ROM."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import Type
from hwc.hw.units.gather.examples import depth_to_space, grid, moved, stretched, transposed
from hwc.hw.units.gather.unit import GatherFold, GatherUnit

__all__ = ["gathers"]


def gathers() -> Iterator[GatherUnit]:
    """Every kind of plan."""
    rng = np.random.default_rng(2)
    small, mid, big = (Type(s, 0, 15) for s in ((8, 8, 4), (16, 16, 8), (32, 32, 16)))
    row, spread = Type((400,), 0, 15), np.full((32, 32, 8), -1)
    spread[::2, ::2] = grid(mid)
    for op, kind, *fold in (
        (moved(grid(mid)[2:9, 3:8]), mid, 8, 8),
        (moved(grid(mid)[:, :, 2:4]), mid, 8, 2),
        (moved(grid(mid)[:, :, 2:4]), mid, 2, 2),
        (moved(grid(mid).repeat(2, 1)), mid, 8, 8),
        (moved(spread), mid, 8, 8),
        (moved(np.pad(spread, ((1, 0), (1, 0), (0, 0)), constant_values=-1)), mid, 8, 8),
        (stretched(mid, 2), mid, 8, 8),
        (stretched(mid, 2), mid, 8, 16),
        (stretched(big, 2), big, 16, 16),
        (depth_to_space(mid, 2), mid, 2, 2),
        (transposed(small, 1, 0, 2), small, 4, 4),
        (transposed(mid, 2, 0, 1), mid, 1, 1),
        (transposed(big, 1, 0, 2), big, 16, 16),
        (transposed(big, 1, 0, 2), big, 4, 4, 8192),
        (moved(grid(small)[::-1, ::-1]), small, 4, 4),
        (moved(rng.permutation(90)), Type((90,), 0, 15), 1, 1),
        (moved(rng.permutation(400)), row, 1, 1),
    ):
        yield GatherUnit(op, kind, GatherFold(*fold))
