"""Rearrangements that the conformance suite builds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwc.compiler.graph import Gather, Type

__all__ = ["depth_to_space", "examples", "grid", "moved", "stretched", "transposed"]

Example = tuple[Gather, Type, tuple[int, ...]]


def grid(x: Type) -> np.ndarray:
    """The number of each element, in the shape of x."""
    return np.arange(x.size).reshape(x.shape)


def moved(index: np.ndarray, fill: int = 0) -> Gather:
    """The op whose output has the shape of ``index``."""
    return Gather(index, index.shape, fill)


def transposed(x: Type, *axes: int) -> Gather:
    """Axes in another order."""
    return moved(grid(x).transpose(axes))


def stretched(x: Type, factor: int) -> Gather:
    """Nearest upsampling of a map."""
    return moved(grid(x).repeat(factor, 0).repeat(factor, 1))


def depth_to_space(x: Type, factor: int) -> Gather:
    """(H, W, f*f*C) to (f*H, f*W, C)."""
    h, w, c = x.shape
    cut = grid(x).reshape(h, w, factor, factor, c // factor**2)
    return moved(cut.transpose(0, 2, 1, 3, 4).reshape(h * factor, w * factor, -1))


def _spread(x: Type, factor: int, before: int, fill: int) -> Gather:
    """Fill between the pixels and around them, as transposed convolutions have it."""
    h, w, c = x.shape
    index = np.full((h * factor + before, w * factor + before, c), -1)
    index[before::factor, before::factor] = grid(x)
    return moved(index, fill)


def examples() -> Iterator[Example]:
    """Op, type of x, (taken, given[, depth])."""
    u3, s3 = Type((3, 4, 6), 0, 7), Type((3, 4, 6), -4, 3)
    pm, flat = Type((4, 3, 4), -1, 1, bipolar=True), Type((30,), 0, 9)
    rng = np.random.default_rng(5)
    # pass
    yield moved(grid(u3)[:, :, 2:6]), u3, (2, 2)
    yield moved(grid(u3)[:, :, [5, 0, 0, 3]]), u3, (6, 4)
    yield moved(grid(s3)[1:, ::2]), s3, (6, 6)
    yield moved(grid(flat)[7:23]), flat, (1, 1)
    # hold
    yield moved(np.pad(grid(pm), ((0, 0), (0, 0), (0, 3)), constant_values=-1)), pm, (4, 7)
    yield moved(grid(u3).repeat(3, 1)), u3, (3, 3)
    yield _spread(s3, 2, 0, -9), s3, (3, 3)
    yield _spread(pm, 2, 0, 1), pm, (4, 4)
    # store, as loops
    yield stretched(u3, 2), u3, (6, 6)
    yield stretched(u3, 2), u3, (6, 12, 16)
    yield transposed(s3, 1, 0, 2), s3, (6, 6)
    yield transposed(s3, 1, 0, 2), s3, (6, 6, 12)
    yield transposed(u3, 2, 0, 1), u3, (1, 1)
    yield transposed(u3, 2, 0, 1), u3, (1, 1, 128)
    yield depth_to_space(pm, 2), pm, (1, 1)
    yield depth_to_space(pm, 2), pm, (2, 2, 8)
    yield moved(grid(u3)[::-1, ::-1]), u3, (3, 3)
    yield _spread(u3, 2, 1, 9), u3, (6, 6)
    yield moved(grid(flat)[::-1][:11]), flat, (1, 1)
    yield moved(grid(u3)[:2, 2::-1, 4:]), u3, (2, 2, 16)
    # store, with tables or a ROM of places
    yield moved(rng.permutation(30)), flat, (1, 1)
    long = Type((15, 10), 0, 7)
    yield moved(rng.permutation(150)), long, (1, 1)
    yield moved(rng.permutation(150)), long, (1, 1, 150)
    yield moved(grid(s3).reshape(12, 6)[rng.integers(0, 12, 33)]), s3, (6, 6)
    yield moved(np.where(rng.random(99) < 0.3, -1, rng.integers(0, 30, 99)), -3), flat, (1, 1)
    yield moved(np.where(rng.random(35) < 0.3, -1, rng.integers(0, 30, 35)), -3), flat, (1, 1, 30)
