"""The rows of a sparse matrix as entries of processing elements, balanced when they are compiled.

EIE (Han et al., arXiv 1602.01528): a row is the list of its weights other than 0, each with the
number of zeros before it; rows are interleaved over the elements. EIE evens out with queues what
the data bring about; here all is known beforehand, so rows are given to elements by their length.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Weights
from hwc.compiler.graph.structured import GAP_BITS, entries

__all__ = ["Rows", "gaps_of", "rows_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Entries of each row; ``row`` rises, and ``place`` within a row.

    ``index_bits`` is the width of an entry's index: of the number of zeros before it (if
    ``relative``; a longer run takes entries of weight 0) or of its place.
    """

    count: int
    row: Ints
    index: Ints
    value: Ints
    index_bits: int
    relative: bool

    @cached_property
    def lengths(self) -> Ints:
        """Entries of each row, at least one."""
        return np.bincount(self.row, minlength=self.count)

    def assign(self, pes: int, outs: int) -> tuple[tuple[int, ...], ...]:
        """Rows of each element in rising order. Rows ``r`` with the same ``r % outs`` share
        ``pes // outs`` elements, the longest row going first to the one with the least so far.
        """
        each = pes // outs
        found: list[tuple[int, ...]] = []
        lengths = self.lengths.tolist()
        for lane in range(outs):
            mine: list[list[int]] = [[] for _ in range(each)]
            heap = [(0, k) for k in range(each)]
            rows = range(lane, self.count, outs)
            for r in sorted(rows, key=lambda r: -lengths[r]):
                load, k = heap[0]
                heapq.heapreplace(heap, (load + lengths[r], k))
                mine[k].append(r)
            found += [tuple(sorted(rows)) for rows in mine]
        return tuple(found)


Pair = tuple[int, int]


@lru_cache(maxsize=64)
def rows_of(weight: Weights, grid: Pair, tile: Pair, gap: int) -> Rows:
    """The rows of ``weight``, (..., rows, taps, channels) or (rows, channels), padded to a ``grid``
    of taps and channels whose places are counted tile by tile, row-major in and between tiles;
    ``gap`` bits of relative index, or 0 for the place itself. A row of zeros has an entry of 0.
    """
    matrix = _tiled(weight, grid, tile)
    row, place = np.nonzero(matrix)
    empty = np.flatnonzero(~matrix.any(axis=1))
    row, place = np.append(row, empty), np.append(place, np.zeros_like(empty))
    order = np.argsort(row, kind="stable")
    row, place = row[order], place[order]
    value = matrix[row, place]
    if not gap:
        bits = max(1, (matrix.shape[1] - 1).bit_length())
        return Rows(len(matrix), row, place, value, bits, False)
    run = _runs(row, place)
    copies = (run >> gap) + 1
    last = np.cumsum(copies) - 1
    index = np.full(copies.sum(), (1 << gap) - 1)
    index[last] = run & ((1 << gap) - 1)
    values = np.zeros_like(index)
    values[last] = value
    return Rows(len(matrix), np.repeat(row, copies), index, values, gap, True)


@lru_cache(maxsize=64)
def gaps_of(weight: Weights, grid: Pair, tile: Pair, value_bits: int) -> int:
    """Bits of the relative index that make the fewest stored bits, or 0 if places make fewer.

    An entry also has a bit that says whether it is the last of its row.
    """
    plain = rows_of(weight, grid, tile, 0)
    runs = _runs(plain.row, plain.index)
    bits = {g: entries(runs, g) * (value_bits + g + 1) for g in GAP_BITS if g < plain.index_bits}
    bits[0] = len(runs) * (value_bits + plain.index_bits + 1)
    return min(bits, key=lambda g: bits[g])


def _tiled(weight: Weights, grid: Pair, tile: Pair) -> Ints:
    """(rows, places)."""
    dense = weight.dense()
    matrix = dense[:, None] if dense.ndim == 2 else dense[0]
    rows, taps, channels = matrix.shape
    matrix = np.pad(matrix, ((0, 0), (0, grid[0] - taps), (0, grid[1] - channels)))
    matrix = matrix.reshape(rows, grid[0] // tile[0], tile[0], grid[1] // tile[1], tile[1])
    return matrix.swapaxes(2, 3).reshape(rows, -1)


def _runs(row: Ints, place: Ints) -> Ints:
    """Places before each entry since the one before it, or since the beginning of its row."""
    return place - np.where(np.diff(row, prepend=-1) > 0, -1, np.roll(place, 1)) - 1
