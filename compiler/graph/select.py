"""Indices of the largest values."""

from dataclasses import dataclass

import numpy as np

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type, int_tuple


@dataclass(frozen=True)
class ArgMax(Op):
    """Index of the largest of each position, ties to the lowest index: (..., C) -> (..., 1)."""

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        return Type((*x.shape[:-1], 1), 0, x.shape[-1] - 1)

    def reference(self, *arrays: IntNd) -> IntNd:
        return arrays[0].argmax(axis=-1)[..., None].astype(np.int64)


@dataclass(frozen=True)
class TopK(Op):
    """Indices of the k largest of each position, descending by value, ties to the lowest:
    (..., C) -> (..., k)."""

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", int_tuple((self.k,))[0])
        if self.k < 1:
            raise self.error(f"k must be >= 1, got {self.k}")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        channels = x.shape[-1]
        if self.k > channels:
            raise self.error(f"k={self.k} must be at most the {channels} channels of the input")
        return Type((*x.shape[:-1], self.k), 0, channels - 1)

    def reference(self, *arrays: IntNd) -> IntNd:
        # ~x reverses the order of all of int64; -x would overflow at its lowest value.
        order = np.argsort(~arrays[0], axis=-1, kind="stable")
        return order[..., : self.k].astype(np.int64)
