"""How many thresholds of its channel each value reaches: exact, fast for few and many levels."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph.channels import join_rows
from hwc.compiler.graph.frozen import IntNd

FEW = 16
"""Up to so many levels one comparison per level is faster than a binary search."""

BLOCK = 1 << 15
"""Elements compared at once, so that all levels of a block run in the cache."""


def count_reached(x: IntNd, thresholds: IntNd, descending: NDArray[np.bool_]) -> IntNd:
    """Thresholds reached by each x[..., C]: t with x >= t, or x <= t in descending channels.

    thresholds is [C or 1, L], rows ascending; descending [C or 1]. Returns a new array.
    """
    flip = -descending.astype(np.int64)
    if descending.any():
        # x <= t is ~x >= ~t, and ~ reverses the order of all of int64 (a minus would overflow).
        thresholds = np.where(descending[:, None], ~thresholds[:, ::-1], thresholds)
    flat, levels, flip = join_rows(x, thresholds.T, flip)
    y = np.empty(flat.shape, np.int64)
    count = _compare if len(levels) <= FEW else _search
    narrow = _narrow(levels)
    step = max(1, BLOCK // flat.shape[1])
    for i in range(0, len(flat), step):
        part = flat[i : i + step]
        part = part ^ flip if descending.any() else part
        count(narrow(part), narrow(levels), y[i : i + step])
    return y.reshape(x.shape)


def _narrow(levels: IntNd) -> Callable[[IntNd], NDArray[Any]]:
    """A conversion to the narrowest type that keeps every comparison with these levels.

    Whatever is below the lowest level may count as just below it, whatever is above the highest as
    equal to it.
    """
    lowest, highest = int(levels.min(initial=0)), int(levels.max(initial=0))
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min < lowest and highest <= np.iinfo(dtype).max:
            return lambda x: np.clip(x, lowest - 1, highest).astype(dtype)
    return lambda x: x


def _compare(x: NDArray[Any], levels: NDArray[Any], y: IntNd) -> None:
    """Writes y[M, C] = number of levels[:, c] that x[M, C] is at least, level by level."""
    count = np.zeros(x.shape, np.int8)
    reached = np.empty(x.shape, np.bool_)
    for level in levels:
        np.greater_equal(x, level, out=reached)
        count += reached.view(np.int8)
    y[:] = count


def _search(x: NDArray[Any], levels: NDArray[Any], y: IntNd) -> None:
    """The same by binary search, column by column (at once if all share their levels)."""
    if levels.shape[1] == 1:
        y[:] = np.searchsorted(levels[:, 0], x, side="right")
        return
    for c, column in enumerate(levels.T):
        y[:, c] = np.searchsorted(column, x[:, c], side="right")
