"""Operations that move integers without changing them."""

import math
from dataclasses import dataclass

import numpy as np

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type, int_tuple


@dataclass(frozen=True)
class Concat(Op):
    """Joins n >= 1 inputs along the last axis; the other axes agree. Bipolar if all inputs are."""

    def infer(self, *types: Type) -> Type:
        if not types:
            raise self.error("takes at least 1 input, got 0")
        if len({x.shape[:-1] for x in types}) > 1:
            raise self.error(
                f"inputs must agree in all axes but the last, got {[x.shape for x in types]}"
            )
        shape = (*types[0].shape[:-1], sum(x.shape[-1] for x in types))
        lo, hi = min(x.lo for x in types), max(x.hi for x in types)
        return Type(shape, lo, hi, all(x.bipolar for x in types))

    def reference(self, *arrays: IntNd) -> IntNd:
        return np.concatenate(arrays, axis=-1)


@dataclass(frozen=True)
class Reshape(Op):
    """The same integers, in row-major order, in another shape (flatten: `Reshape((size,))`)."""

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", int_tuple(self.shape))
        if not self.shape or min(self.shape) < 1:
            raise self.error(f"sizes must be >= 1, got {self.shape}; -1 is not inferred")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        size = math.prod(self.shape)
        if size != x.size:
            raise self.error(f"{self.shape} has {size} elements, the input {x.shape} has {x.size}")
        return x.with_shape(self.shape)

    def reference(self, *arrays: IntNd) -> IntNd:
        return arrays[0].reshape(len(arrays[0]), *self.shape)
