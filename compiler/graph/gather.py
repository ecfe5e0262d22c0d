"""A static rearrangement of the elements of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwc.compiler.graph.frozen import IntArray, IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type, int_tuple


@dataclass(frozen=True, init=False)
class Gather(Op):
    """Element j of the output (row-major, channels last) is element index[j] of the input, or
    `fill` where index[j] is -1.

    `index` has one entry per element of `shape` and may come in that shape; elements may be
    repeated and left out, but not all. Transposing, nearest upsampling, depth to space, slices,
    channel shuffles, reversal and the zeros of a transposed convolution are all of this kind.
    Where -1 occurs the type's interval includes `fill`, and is bipolar only if fill is -1 or +1.
    """

    index: IntArray
    shape: tuple[int, ...]
    fill: int = 0

    def __init__(self, index: ArrayLike | IntArray, shape: tuple[int, ...], fill: int = 0) -> None:
        table = IntArray(index, "Gather: index")
        self._set(shape=int_tuple(shape), fill=self.to_int("fill", fill))
        if not self.shape or min(self.shape) < 1:
            raise self.error(f"shape needs at least one axis and sizes >= 1, got {self.shape}")
        size = math.prod(self.shape)
        if table.shape not in ((size,), self.shape):
            raise self.error(
                f"index must be ({size},) or {self.shape}, an entry per element of the output, "
                f"got shape {table.shape}"
            )
        self._set(index=IntArray(table.values.reshape(-1)))
        if self.index.values.min() < -1:
            raise self.error(f"index must be >= -1 (-1 is fill), got {self.index.values.min()}")
        if self.index.values.max() < 0:
            raise self.error("index must take at least one element of the input, got -1 only")

    @property
    def fills(self) -> bool:
        """Whether `fill` occurs."""
        return int(self.index.values.min()) < 0

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        most = int(self.index.values.max())
        if most >= x.size:
            raise self.error(
                f"index must be in [-1, {x.size - 1}] for the input {x.shape}, got {most}"
            )
        if not self.fills:
            return x.with_shape(self.shape)
        bipolar = x.bipolar and self.fill in (-1, 1)
        return Type(self.shape, min(x.lo, self.fill), max(x.hi, self.fill), bipolar)

    def reference(self, *arrays: IntNd) -> IntNd:
        index = self.index.values
        y = arrays[0].reshape(len(arrays[0]), -1)[:, index]  # -1: the last one, overwritten below
        if self.fills:
            y = np.where(index < 0, self.fill, y)
        return y.reshape(len(y), *self.shape)
