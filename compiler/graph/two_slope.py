"""Requantization with two multipliers: what a quantized leaky ReLU is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwc.compiler.graph.elementwise import MultiThreshold, Requant, check_channels
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type


@dataclass(frozen=True)
class TwoSlope(Op):
    """y = the larger of two requantizations of x; the smaller in channels not `largest`.

    Both have the same [lo, hi], which is the type. `largest` has one entry or one per channel
    (last axis).
    """

    first: Requant
    second: Requant
    largest: tuple[bool, ...] = (True,)

    def __post_init__(self) -> None:
        self._set(largest=tuple(bool(flag) for flag in self.largest))
        a, b = self.first, self.second
        if (a.lo, a.hi) != (b.lo, b.hi):
            raise self.error(
                f"both must clip to one interval, got [{a.lo}, {a.hi}] and [{b.lo}, {b.hi}]"
            )

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        check_channels(self, "largest", len(self.largest), x)
        self.second.infer(x)
        return self.first.infer(x)

    def reference(self, *arrays: IntNd) -> IntNd:
        a, b = (op.reference(*arrays) for op in (self.first, self.second))
        return np.where(np.array(self.largest), np.maximum(a, b), np.minimum(a, b))


Quantizer = MultiThreshold | Requant | TwoSlope
"""What turns accumulators into codes, each in its own way."""
