"""Shapes of a product of one group, for units that look at all inputs of an output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import MatMul, Quantizer, Type, Weights
from hwc.hw.layout import Layout
from hwc.hw.units.matvec.fold import ProductOp, sum_type

__all__ = ["OPTIONS", "Flat", "matrix"]

Ints = NDArray[np.int64]

OPTIONS = {
    "memory": ("bram", "lutrom"),
    "style": ("auto", "lut", "dsp"),
    "act_style": ("auto", "lut", "dsp"),
}
"""What folds of these units choose from."""


@lru_cache(maxsize=64)
def matrix(weight: Weights) -> Ints:
    """The weights as (N, T, C), of a product of one group."""
    dense = weight.dense()
    return dense[:, None] if dense.ndim == 2 else dense[0]


@dataclass(frozen=True)
class Flat:
    """``x`` is (..., 1, T, C) or (..., C), the weights are (1, N, T, C) or (N, C)."""

    op: ProductOp
    x: Type
    act: Quantizer | None

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """``(N, T, C)``: outputs, taps, channels."""
        s = self.op.weight.shape
        return (s[0], 1, s[1]) if isinstance(self.op, MatMul) else (s[1], s[2], s[3])

    @property
    def grouped(self) -> bool:
        """Whether there are several groups, which these units do not take."""
        return not isinstance(self.op, MatMul) and self.op.weight.shape[0] > 1

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """Axes of x before the vectors."""
        return self.x.shape[: -1 if isinstance(self.op, MatMul) else -3]

    @property
    def pixels(self) -> int:
        """Vectors of a frame."""
        return math.prod(self.leading)

    @cached_property
    def sum(self) -> Type:
        """Type of the finished sums."""
        return sum_type(self.op, self.x)

    @cached_property
    def y(self) -> Type:
        """Type of the output."""
        return self.sum if self.act is None else self.act.infer(self.sum)

    def taken(self, lanes: int) -> Layout:
        """Layout of an input that comes by so many channels of a tap."""
        vector = (lanes,) if isinstance(self.op, MatMul) else (1, 1, lanes)
        return Layout(self.x, ((1,) * len(self.leading) + vector))

    def given(self, outs: int) -> Layout:
        """Layout of an output of so many channels at a time."""
        return Layout(self.y, (*(1,) * len(self.leading), outs))

    def of(self, unit: str) -> str:
        """How an error names the product."""
        return f"{unit} {'x'.join(map(str, self.shape))} (outputs, taps, channels)"
