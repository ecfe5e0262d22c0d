"""What a pending value still goes through after its lines: curves, leaks, lines and clips.

A step is a function of one number, per channel, evaluated exactly (curves to 60 digits) for tables
and thresholds, and in floats for what the host reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from hwc.compiler.lower.exact import Vector, collapse
from hwc.compiler.source import Function
from hwc.compiler.source.curves import curve, curve_exact, softmax

__all__ = ["Bend", "Clip", "Leak", "Line", "Normalize", "Step", "mapped"]

STRICT = {"erf", "exp", "log", "sigmoid", "softplus", "softsign", "sqrt", "tanh"}
"""Curves under which the order of two numbers never changes."""


@dataclass(frozen=True, eq=False)
class Step(ABC):
    """One function; its vectors have one entry, or one per index of the graph's last axis."""

    @abstractmethod
    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        """The value at x in one channel; an infinity stays one."""

    @abstractmethod
    def floats(self, x: np.ndarray) -> np.ndarray:
        """The same in float64; channels are the last axis."""

    @property
    @abstractmethod
    def direction(self) -> int:
        """1: never decreases, -1: never increases, 0: neither (or not the same in all channels)."""

    @property
    def strict(self) -> bool:
        """True if a larger x always gives a larger value, the same function in all channels."""
        return False

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """Its per-channel numbers."""
        return ()

    def with_vectors(self, vectors: tuple[Vector, ...]) -> Step:
        """The same step with other numbers."""
        return type(self)(*vectors) if vectors else self

    @property
    def shared(self) -> bool:
        """True if it is the same function in all channels."""
        return all(len(v) == 1 for v in self.vectors)


def _at(vector: Vector, channel: int) -> Any:
    return vector[channel if len(vector) > 1 else 0]


def _floats(vector: Vector) -> np.ndarray:
    return np.array([float(v) for v in vector])


@lru_cache(maxsize=1 << 16)
def _curve(op: Function, x: Fraction) -> Fraction | float:
    return curve_exact(op, x)


@dataclass(frozen=True, eq=False)
class Bend(Step):
    """A curve."""

    op: Function

    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        return _curve(self.op, x)

    def floats(self, x: np.ndarray) -> np.ndarray:
        return curve(self.op, x)

    @property
    def direction(self) -> int:
        return int(self.op.monotone)

    @property
    def strict(self) -> bool:
        return self.op.curve in STRICT


@dataclass(frozen=True, eq=False)
class Leak(Step):
    """x >= 0: x, else slope * x."""

    slope: Vector

    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        return x if x >= 0 else _at(self.slope, channel) * x

    def floats(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, x, x * _floats(self.slope))

    @property
    def direction(self) -> int:
        return int(all(s >= 0 for s in self.slope))

    @property
    def strict(self) -> bool:
        return self.shared and self.slope[0] > 0

    @property
    def vectors(self) -> tuple[Vector, ...]:
        return (self.slope,)


@dataclass(frozen=True, eq=False)
class Line(Step):
    """scale * x + shift."""

    scale: Vector
    shift: Vector

    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        return _at(self.scale, channel) * x + _at(self.shift, channel)

    def floats(self, x: np.ndarray) -> np.ndarray:
        return x * _floats(self.scale) + _floats(self.shift)

    @property
    def direction(self) -> int:
        if all(s >= 0 for s in self.scale):
            return 1
        return -int(all(s <= 0 for s in self.scale))

    @property
    def strict(self) -> bool:
        return self.shared and self.scale[0] > 0

    @property
    def vectors(self) -> tuple[Vector, ...]:
        return (self.scale, self.shift)


@dataclass(frozen=True, eq=False)
class Clip(Step):
    """min(max(x, low), high)."""

    low: Vector
    high: Vector

    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        return min(max(x, _at(self.low, channel)), _at(self.high, channel))

    def floats(self, x: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(x, _floats(self.low)), _floats(self.high))

    @property
    def direction(self) -> int:
        return 1

    @property
    def vectors(self) -> tuple[Vector, ...]:
        return (self.low, self.high)


@dataclass(frozen=True, eq=False)
class Normalize(Step):
    """Softmax: exp(x) over the sum along the channels. The host computes it; order is kept."""

    def exact(self, x: Fraction, channel: int) -> Fraction | float:
        raise NotImplementedError("softmax is no function of one number")

    def floats(self, x: np.ndarray) -> np.ndarray:
        return softmax(x, axis=-1)

    @property
    def direction(self) -> int:
        return 0

    @property
    def strict(self) -> bool:
        return True


def mapped(step: Step, change: Callable[[Vector], Vector]) -> Step:
    """The step with `change` applied to its vectors."""
    return step.with_vectors(tuple(collapse(change(v)) for v in step.vectors))
