"""What an ONNX value stands for while a graph is read.

A `Value` is an activation: a node of the source graph, and how its axes appear in ONNX. Transposes,
squeezes and many reshapes only change `axes`; the source graph moves data where an operator needs
it. A `Constant` is known now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coding", "Constant", "Grid", "Operand", "Value"]

FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class Grid:
    """Constants on a quantizer's grid: value = codes * scale, the scale broadcast to the codes."""

    codes: NDArray[np.int64]
    scale: NDArray[np.float64]

    @staticmethod
    def of(codes: np.ndarray, scale: np.ndarray) -> Grid:
        """Scales are made positive (the codes change sign); raises ValueError if one is 0."""
        codes, scale = np.asarray(codes, np.int64), np.asarray(scale, np.float64)
        if not np.isfinite(scale).all() or (scale == 0).any():
            raise ValueError("scales must be finite and not 0")
        if (scale < 0).any():
            codes = codes * np.sign(scale).astype(np.int64)
        return Grid(codes, np.broadcast_to(np.abs(scale), codes.shape))

    @property
    def values(self) -> NDArray[np.float64]:
        """codes * scale in float64: exact while the codes have at most 29 bits."""
        return self.codes * self.scale


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known now; `grid` if a quantizer made it."""

    value: np.ndarray
    grid: Grid | None = None

    @staticmethod
    def of_grid(grid: Grid) -> Constant:
        return Constant(grid.values, grid)

    def moved(self, function: Callable[[np.ndarray], np.ndarray]) -> Constant:
        """The same numbers with elements moved by `function`."""
        if self.grid is None:
            return Constant(function(self.value))
        grid = Grid(function(self.grid.codes), function(self.grid.scale))
        return Constant(function(self.value), grid)

    def times(self, factor: float) -> Constant:
        """Multiplied by a number, in float64."""
        if self.grid is not None and factor != 0:
            return Constant.of_grid(Grid.of(self.grid.codes, self.grid.scale * factor))
        return Constant(self.value.astype(np.float64) * factor)


@dataclass(frozen=True, eq=False)
class Coding:
    """ONNX sees real / scale + zero of the real value in the source graph.

    Both are scalars, or vectors along the ONNX axis `axis`.
    """

    scale: NDArray[np.float64]
    zero: NDArray[np.int64]
    axis: int | None = None

    @staticmethod
    def of(scale: float, zero: int = 0) -> Coding:
        return Coding(np.array(scale, np.float64), np.array(zero, np.int64))

    def same(self, other: Coding | None) -> bool:
        """True if both decode alike."""
        return other is not None and (
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero, other.zero)
        )


@dataclass(frozen=True, eq=False)
class Value:
    """An activation. ONNX axis i is axis `axes[i]` of the source value `name` (0: the batch);
    None is an axis of size 1 that the source does not have, and source axes of size 1 may be
    missing."""

    name: str
    axes: tuple[int | None, ...]
    dtype: np.dtype = FLOAT32
    coding: Coding | None = None

    @property
    def rank(self) -> int:
        return len(self.axes)

    def renamed(self, name: str) -> Value:
        """The value of another source node with the same axes and codes."""
        return replace(self, name=name)

    def plain(self, name: str, axes: tuple[int | None, ...] | None = None) -> Value:
        """A real number, with the same axes unless given."""
        return Value(name, self.axes if axes is None else axes)


Operand = Constant | Value | None
"""An input of a node: None where an optional one is left out."""
