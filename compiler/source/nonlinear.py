"""Source operations that bend: leaky ReLUs, tabulated functions, thresholds and softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from hwc.compiler.source.ops import Shape, SourceOp

__all__ = ["Curve", "Function", "PRelu", "Softmax", "Threshold"]

Curve = Literal[
    "abs",
    "elu",
    "erf",
    "exp",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "log",
    "mish",
    "pow",
    "reciprocal",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
]
"""Functions of one number that lowering tabulates; `hwc.compiler.source.curves` defines them."""

NOT_MONOTONE = {"gelu", "gelu_tanh", "hard_swish", "mish", "reciprocal", "silu", "abs"}
"""Curves that are not monotone."""


@dataclass(frozen=True)
class PRelu(SourceOp):
    """x where x >= 0, else slope * x; slope is a scalar or one value a channel (leaky: a scalar).

    Slopes of any sign; a negative one makes the function not monotone.
    """

    constants: ClassVar[tuple[str, ...]] = ("slope",)

    def infer(self, *shapes: Shape) -> Shape:
        x, slope = shapes
        self.check_vector("slope", slope, x[0])
        return x


@dataclass(frozen=True)
class Function(SourceOp):
    """A curve applied to each element.

    `alpha` and `beta` parametrize elu (alpha), hard_sigmoid (clip(alpha * x + beta, 0, 1)), pow
    (x ** alpha), selu (alpha, beta: its gamma); the other curves ignore them. At 0 log is -inf,
    reciprocal and negative powers are +inf.
    """

    curve: str = "sigmoid"
    alpha: float = 1.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        self.check(
            self.curve in get_args(Curve),
            f"no curve {self.curve!r}; known are {', '.join(get_args(Curve))}",
        )
        ok = math.isfinite(self.alpha) and math.isfinite(self.beta)
        self.check(ok, f"alpha {self.alpha} and beta {self.beta} must be finite")

    @property
    def monotone(self) -> bool:
        """True if a larger x never gives a smaller result."""
        if self.curve in NOT_MONOTONE:
            return False
        if self.curve == "pow":
            return self.alpha >= 0 and (self.alpha % 2 == 1 or self.alpha % 1 != 0)
        return self.curve not in ("elu", "selu", "hard_sigmoid") or (
            self.alpha >= 0 and (self.curve != "selu" or self.beta >= 0)
        )

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True)
class Softmax(SourceOp):
    """exp(x) / sum of exp(x) over the channels (axis 1).

    Between two quantizers it is one of integers: `hwc.compiler.source.shares` says which.
    """

    def infer(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True)
class Threshold(SourceOp):
    """y = lo + step * (how many of the channel's thresholds t have x >= t).

    `thresholds` is (C or 1, L); each row ascends. lo=-1, step=2, L=1 is a bipolar activation.
    """

    constants: ClassVar[tuple[str, ...]] = ("thresholds",)
    lo: int = 0
    step: int = 1

    def __post_init__(self) -> None:
        self.check(self.step >= 1, f"step {self.step} must be >= 1")

    def infer(self, *shapes: Shape) -> Shape:
        x, thresholds = shapes
        self.check(
            len(thresholds) == 2 and thresholds[0] in (1, x[0]) and thresholds[1] >= 1,
            f"thresholds {thresholds} must be (1 or {x[0]}, L >= 1)",
        )
        return x
