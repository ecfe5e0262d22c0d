"""Indices of the largest values."""

from dataclasses import dataclass

import numpy as np

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type, int_tuple


@dataclass(frozen=True)
class ArgMax(Op):
    """Index of the largest element, ties to the lowest index: (C,) -> (1,)."""

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        if len(x.shape) != 1:
            raise self.error(f"the input must be (C,), got shape {x.shape}; use Reshape")
        return Type((1,), 0, x.size - 1)

    def reference(self, *arrays: IntNd) -> IntNd:
        return arrays[0].argmax(axis=-1)[:, None].astype(np.int64)


@dataclass(frozen=True)
class TopK(Op):
    """Indices of the k largest elements, descending by value, ties to the lowest: (C,) -> (k,)."""

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", int_tuple((self.k,))[0])
        if self.k < 1:
            raise self.error(f"k must be >= 1, got {self.k}")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        if len(x.shape) != 1:
            raise self.error(f"the input must be (C,), got shape {x.shape}; use Reshape")
        if self.k > x.size:
            raise self.error(f"k={self.k} must be at most the {x.size} elements of the input")
        return Type((self.k,), 0, x.size - 1)

    def reference(self, *arrays: IntNd) -> IntNd:
        # ~x reverses the order of all of int64; -x would overflow at its lowest value.
        order = np.argsort(~arrays[0], axis=-1, kind="stable")
        return order[:, : self.k].astype(np.int64)
