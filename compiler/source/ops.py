"""Operations of the float source graph: what a front end may hand to lowering.

Semantics are torch's: channels first, a batch axis 0 in front of every activation. Shapes are
written without the batch axis, axes are counted with it (the channels of an activation are axis 1).
An op's arguments are first its activations, then its constants (tensors, or quantizers applied to
tensors); constants have no batch axis.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, get_args

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source.rounding import Rounding

__all__ = [
    "Affine",
    "BatchNorm",
    "Bipolar",
    "HardTanh",
    "Linear",
    "Quant",
    "Relu",
    "Shape",
    "SourceError",
    "SourceOp",
]

Shape = tuple[int, ...]


class SourceError(HwcError):
    """A source graph that breaks a rule: says which node, which rule and what would work."""


@dataclass(frozen=True)
class SourceOp(ABC):
    """One operation. `infer` checks the shapes of all arguments and returns the result's shape."""

    activations: ClassVar[int | None] = 1  # how many leading arguments; None: two or more
    constants: ClassVar[tuple[str, ...]] = ()  # names of the constants that must follow
    optional: ClassVar[tuple[str, ...]] = ()  # ... and of those that may

    @abstractmethod
    def infer(self, *shapes: Shape) -> Shape:
        """Shape of the result without the batch axis; raises SourceError."""

    def check(self, ok: bool, message: str) -> None:
        """Raise SourceError naming the op unless ok."""
        if not ok:
            raise SourceError(f"{type(self).__name__}: {message}")

    def check_vector(self, what: str, shape: Shape, channels: int) -> None:
        """A per-channel constant is a scalar or one value a channel."""
        self.check(
            shape in ((), (1,), (channels,)),
            f"{what} has shape {shape}; it must be () or ({channels},), one value per channel",
        )


@dataclass(frozen=True)
class Linear(SourceOp):
    """x (K,), weight (N, K)[, bias (N,)] -> (N,)."""

    constants: ClassVar[tuple[str, ...]] = ("weight",)
    optional: ClassVar[tuple[str, ...]] = ("bias",)

    def infer(self, *shapes: Shape) -> Shape:
        x, weight, *bias = shapes
        self.check(len(x) == 1, f"takes a flat (K,) activation, not {x}: put a Flatten before it")
        self.check(
            len(weight) == 2 and weight[1] == x[0],
            f"weight {weight} must be (N, {x[0]}) for an input of {x[0]} features",
        )
        for shape in bias:
            self.check(shape == weight[:1], f"bias {shape} must be ({weight[0]},)")
        return weight[:1]


@dataclass(frozen=True)
class Affine(SourceOp):
    """y = scale * x + shift with scalars or one value per index of `axis` (1: the channels)."""

    constants: ClassVar[tuple[str, ...]] = ("scale", "shift")
    axis: int = 1

    def __post_init__(self) -> None:
        self.check(self.axis == 1, f"axis {self.axis} is not supported; only 1, the channels")

    def infer(self, *shapes: Shape) -> Shape:
        x, scale, shift = shapes
        self.check(len(x) >= 1, "needs a channel axis")
        self.check_vector("scale", scale, x[0])
        self.check_vector("shift", shift, x[0])
        return x


@dataclass(frozen=True)
class BatchNorm(SourceOp):
    """Inference batch-norm over channels: y = slope * x + (beta - mean * slope) with
    slope = gamma / sqrt(var + eps), both computed once in float64. All four constants are (C,)."""

    constants: ClassVar[tuple[str, ...]] = ("gamma", "beta", "mean", "var")
    eps: float = 1e-5

    def __post_init__(self) -> None:
        self.check(math.isfinite(self.eps) and self.eps >= 0, f"eps {self.eps} must be >= 0")

    def infer(self, *shapes: Shape) -> Shape:
        x = shapes[0]
        self.check(len(x) >= 1, "needs a channel axis")
        for what, shape in zip(self.constants, shapes[1:], strict=True):
            self.check(shape == x[:1], f"{what} {shape} must be ({x[0]},)")
        return x


@dataclass(frozen=True)
class Relu(SourceOp):
    """max(x, 0)."""

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True)
class HardTanh(SourceOp):
    """min(max(x, lo), hi)."""

    lo: float = -1.0
    hi: float = 1.0

    def __post_init__(self) -> None:
        ok = not (math.isnan(self.lo) or math.isnan(self.hi)) and self.lo <= self.hi
        self.check(ok, f"lo {self.lo} must not exceed hi {self.hi}")

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True)
class Quant(SourceOp):
    """code = clip(round(x / scale) + zero, lo, hi); the value is (code - zero) * scale.

    `scale` is a positive scalar, or one value per index of `axis` (counted in torch's shape: 1 is
    the channels of an activation, 0 the output channels of a weight). Applied to a tensor it
    defines the integer codes of a weight. lo=-1, hi=1 is ternary. `rounding` is one of
    `hwc.compiler.source.rounding`; with `joint` the zero is inside it: round(x / scale + zero).
    """

    constants: ClassVar[tuple[str, ...]] = ("scale",)
    lo: int = -128
    hi: int = 127
    zero: int = 0
    axis: int | None = None
    rounding: str = "half_even"
    joint: bool = False

    def __post_init__(self) -> None:
        self.check(self.lo < self.hi, f"lo {self.lo} must be below hi {self.hi}")
        self.check(
            self.rounding in get_args(Rounding),
            f"rounding {self.rounding!r} must be one of {', '.join(get_args(Rounding))}",
        )

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True)
class Bipolar(SourceOp):
    """+scale if x >= 0 else -scale (x = 0 is +1). `scale` and `axis` as in Quant."""

    constants: ClassVar[tuple[str, ...]] = ("scale",)
    axis: int | None = None

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]
