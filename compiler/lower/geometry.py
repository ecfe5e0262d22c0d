"""Torch's layout in terms of the graph's: one spatial axis as two, and channels first as last."""

from __future__ import annotations

import numpy as np

from hwc.compiler.source import Shape

__all__ = ["channels_last", "plane", "sides", "torch_order"]


def plane(values: Shape) -> tuple[int, int]:
    """A parameter per spatial axis, as of a map of one row if there is only one axis."""
    first, second = values if len(values) == 2 else (1, *values)
    return first, second


def sides(padding: Shape) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a padding for one or two spatial axes."""
    top, bottom, left, right = padding if len(padding) == 4 else (0, 0, *padding)
    return top, bottom, left, right


def channels_last(shape: Shape) -> Shape:
    """(C, *positions) -> (*positions, C)."""
    return (*shape[1:], shape[0])


def torch_order(shape: Shape) -> np.ndarray:
    """For a torch shape (C, *positions): the torch element at each flat place of the graph."""
    places = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    return np.moveaxis(places, 0, -1).ravel()
