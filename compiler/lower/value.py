"""What lowering knows of an activation: an integer code and the function still to be applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.graph import Type
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower.exact import Vector, collapse, show, vector
from hwc.compiler.lower.steps import Clip, Leak, Line, Step, mapped

__all__ = ["LowerError", "Second", "Value"]

INFINITY = float("inf")


class LowerError(HwcError):
    """A source graph that cannot become integers exactly; says where, why and what would work."""


@dataclass(frozen=True, eq=False)
class Second:
    """The other line of a leaky ReLU: the larger (where not: the smaller) of both lines counts.

    Both lines of a channel rise, or both fall. Vectors as in `Value`; `largest` holds bools.
    """

    slope: Vector
    offset: Vector
    largest: Vector

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """Its per-channel numbers."""
        return (self.slope, self.offset, self.largest)


@dataclass(frozen=True, eq=False)
class Value:
    """An activation: real = clip(slope * code + offset, low, high), per channel, exactly.

    With a `second` line, that is the larger or smaller of both lines before the clip. `steps` are
    functions still to be applied after all that.

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
    second: Second | None = None
    steps: tuple[Step, ...] = ()

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
    def rows(self) -> int:
        """Entries of its longest vector: 1 if the channels share everything."""
        vectors = [self.slope, self.offset, self.low, self.high]
        for part in (self.second, *self.steps):
            vectors += part.vectors if part is not None else ()
        return max(map(len, vectors))

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

    @property
    def linear(self) -> bool:
        """True if real = slope * code + offset and a clip: no second line, no steps."""
        return self.second is None and not self.steps

    def mapped(self, change: Callable[[Vector], Vector]) -> Value:
        """The value with `change` applied to every per-channel vector."""
        new: dict[str, Any] = {
            name: collapse(change(getattr(self, name)))
            for name in ("slope", "offset", "low", "high")
        }
        if self.second is not None:
            new["second"] = Second(*(collapse(change(v)) for v in self.second.vectors))
        return replace(self, steps=tuple(mapped(s, change) for s in self.steps), **new)

    def then(self, step: Step) -> Value:
        """The value after one more step."""
        return replace(self, steps=(*self.steps, step))

    def affine(self, scale: Vector, shift: Vector) -> Value:
        """scale * value + shift, vectors in graph order. A zero scale leaves a constant."""
        if self.steps:
            return self.then(Line(scale, shift))
        zero = scale == 0
        # 0 * inf has no value, and a constant needs no bounds.
        up = scale * np.where(zero, vector(0), self.low) + shift
        down = scale * np.where(zero, vector(0), self.high) + shift
        low = np.where(zero, -INFINITY, np.where(scale > 0, up, down))
        high = np.where(zero, INFINITY, np.where(scale > 0, down, up))
        second = self.second
        if second is not None:
            second = Second(
                collapse(scale * second.slope),
                collapse(scale * second.offset + shift),
                collapse(np.where(scale < 0, ~second.largest.astype(bool), second.largest)),
            )
        return replace(
            self,
            second=second,
            slope=collapse(scale * self.slope),
            offset=collapse(scale * self.offset + shift),
            low=collapse(low),
            high=collapse(high),
        )

    def leak(self, slope: Vector) -> Value:
        """value where value >= 0, else slope * value; slope in graph order."""
        if any(s < 0 for s in slope) or not self.linear or self.settled().clipped:
            return self.then(Leak(slope))
        bent = self.affine(slope, vector(0))
        largest = np.array([s <= 1 for s in slope], dtype=object)
        return replace(self, second=Second(bent.slope, bent.offset, collapse(largest)))

    def clip(self, low: Vector, high: Vector) -> Value:
        """min(max(value, low), high)."""
        if self.steps:
            return self.then(Clip(low, high))
        return replace(
            self,
            low=collapse(np.minimum(np.maximum(self.low, low), high)),
            high=collapse(np.minimum(np.maximum(self.high, low), high)),
        )

    def limits(self) -> tuple[Vector, Vector]:
        """Smallest and largest slope * code + offset of each channel, before the clips."""
        ends = self.at(self.type.lo), self.at(self.type.hi)
        return np.minimum(*ends), np.maximum(*ends)

    def at(self, code: int) -> Vector:
        """The real value of each channel at a code, before the clips and steps."""
        first = self.slope * code + self.offset
        if self.second is None:
            return first
        other = self.second.slope * code + self.second.offset
        largest = self.second.largest.astype(bool)
        return np.where(largest, np.maximum(first, other), np.minimum(first, other))

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
