"""What lowering knows of an activation: an integer code and the function still to be applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.graph import Type
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower.exact import Vector, collapse, show, vector

__all__ = ["LowerError", "Value"]

INFINITY = float("inf")


class LowerError(HwcError):
    """A source graph that cannot become integers exactly; says where, why and what would work."""


@dataclass(frozen=True, eq=False)
class Value:
    """An activation: real = clip(slope * code + offset, low, high), per channel, exactly.

    `node` is the graph value that holds the codes and `type` its type (channels last). The vectors
    have one entry, or one per index of the graph's last axis; `low` and `high` may be infinite.
    `order` is the pending permutation of a flattened map: element j of torch is element order[j] of
    the graph (None: the same). `weighted` is set while the codes are sums of weighted inputs that
    no quantizer has narrowed. `origin` is the source node, for messages.
    """

    node: str
    type: Type
    slope: Vector
    offset: Vector
    low: Vector
    high: Vector
    order: np.ndarray | None = None
    weighted: bool = False
    origin: str = ""

    @staticmethod
    def of(node: str, type: Type, slope: Any, offset: Any = 0, origin: str = "") -> Value:
        """A value without clips; slope and offset are anything `vector` takes."""
        slope, offset = collapse(vector(slope)), collapse(vector(offset))
        low, high = vector(-INFINITY), vector(INFINITY)
        return Value(node, type, slope, offset, low, high, origin=origin)

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.type.shape[-1]

    @property
    def clipped(self) -> bool:
        """True if some channel still has a finite bound."""
        return any(v != -INFINITY for v in self.low) or any(v != INFINITY for v in self.high)

    @property
    def uniform(self) -> bool:
        """True if all channels have one scale."""
        return len(self.slope) == 1

    def channel_vector(self, values: Vector) -> Vector:
        """A vector in torch's channel order, in the order of the graph's last axis."""
        if self.order is None or len(values) == 1:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    def affine(self, scale: Vector, shift: Vector) -> Value:
        """scale * value + shift, vectors in graph order. A zero scale leaves a constant."""
        zero = scale == 0
        # 0 * inf has no value, and a constant needs no bounds.
        up = scale * np.where(zero, vector(0), self.low) + shift
        down = scale * np.where(zero, vector(0), self.high) + shift
        low = np.where(zero, -INFINITY, np.where(scale > 0, up, down))
        high = np.where(zero, INFINITY, np.where(scale > 0, down, up))
        return replace(
            self,
            slope=collapse(scale * self.slope),
            offset=collapse(scale * self.offset + shift),
            low=collapse(low),
            high=collapse(high),
        )

    def clip(self, low: Vector, high: Vector) -> Value:
        """min(max(value, low), high)."""
        return replace(
            self,
            low=collapse(np.minimum(np.maximum(self.low, low), high)),
            high=collapse(np.minimum(np.maximum(self.high, low), high)),
        )

    def limits(self) -> tuple[Vector, Vector]:
        """Smallest and largest slope * code + offset of each channel, before the clips."""
        ends = self.slope * self.type.lo + self.offset, self.slope * self.type.hi + self.offset
        return np.minimum(*ends), np.maximum(*ends)

    def settled(self) -> Value:
        """The same value without the clips that no code reaches."""
        if not self.clipped:
            return self
        least, most = self.limits()
        low = np.where(self.low <= least, -INFINITY, self.low)
        high = np.where(self.high >= most, INFINITY, self.high)
        return replace(self, low=collapse(low), high=collapse(high))

    def zero_code(self) -> Fraction | None:
        """The code of real 0 if all channels share one (maybe not an integer), else None."""
        if any(s == 0 for s in self.slope):
            return None
        code = collapse(-self.offset / self.slope)
        return code[0] if len(code) == 1 else None

    def __str__(self) -> str:
        return f"'{self.origin}' ({self.type}, scale {show(self.slope)})"
