"""Rows whose pieces repeat: a matrix as a codebook of pieces for each block of inputs, and codes.

Product quantization (Jegou, Douze, Schmid, PAMI 2011; of weights: Gong et al., arXiv 1412.6115)
leaves such matrices, and so do weights of few values: two ternary ones side by side are one of nine
pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Weights
from hwc.hw.units.flat import matrix

__all__ = ["MOST", "Pieces", "entries_of", "pieces_of"]

Ints = NDArray[np.int64]

MOST = 64
"""Most pieces of a block: words of a table in LUTs."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """``book[tap, block, code]`` is a piece of some weights, those past the end 0;
    ``codes[n, tap, block]`` says which one output n has. ``count``: most pieces of a block."""

    book: Ints
    codes: Ints

    @property
    def count(self) -> int:
        """Pieces of a block; a block that has fewer is filled up with zeros."""
        return self.book.shape[2]


@lru_cache(maxsize=64)
def pieces_of(weight: Weights, size: int) -> Pieces | None:
    """The rows of a product of one group in pieces of ``size`` neighbouring channels of a tap; None
    if some block has more than :data:`MOST`."""
    dense = matrix(weight)
    rows, taps, channels = dense.shape
    dense = np.pad(dense, ((0, 0), (0, 0), (0, -channels % size)))
    blocks = dense.reshape(rows, -1, size)
    # Most weights have too many pieces in any block, and are done with here.
    if len(np.unique(blocks[:, 0], axis=0)) > MOST:
        return None
    keys = _keys(blocks)
    codes = np.zeros(keys.shape, np.int64)
    found: list[Ints] = []
    for k in range(keys.shape[1]):
        _, first, codes[:, k] = np.unique(keys[:, k], return_index=True, return_inverse=True)
        if len(first) > MOST:
            return None
        found.append(blocks[first, k])
    book = np.zeros((len(found), max(map(len, found)), size), np.int64)
    for k, pieces in enumerate(found):
        book[k, : len(pieces)] = pieces
    shape = taps, len(found) // taps
    return Pieces(book.reshape(*shape, *book.shape[1:]), codes.reshape(rows, *shape))


@lru_cache(maxsize=256)
def entries_of(weight: Weights, size: int, lo: int, hi: int) -> tuple[int, int]:
    """Least and greatest product of a piece and inputs from ``lo`` to ``hi``, or 0."""
    found = pieces_of(weight, size)
    assert found is not None
    ends = np.stack([found.book * lo, found.book * hi])
    least, most = ends.min(0).sum(-1).min(), ends.max(0).sum(-1).max()
    return min(int(least), 0), max(int(most), 0)


def _keys(blocks: Ints) -> Ints:
    """(rows, blocks, size) as numbers that are equal exactly where the pieces are."""
    values, at = np.unique(blocks, return_inverse=True)
    at = at.reshape(blocks.shape)
    keys, count = np.zeros(blocks.shape[:2], np.int64), 1
    for k in range(blocks.shape[2]):
        if count * len(values) >= 1 << 62:
            found, keys = np.unique(keys, return_inverse=True)
            keys, count = keys.reshape(blocks.shape[:2]), len(found)
        keys, count = keys * len(values) + at[:, :, k], count * len(values)
    return keys
