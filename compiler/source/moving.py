"""Source operations that move elements, and the transposed convolution, which inserts zeros.

Shapes are torch's without the batch axis; axes are counted with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from hwc.compiler.source.ops import Shape, SourceOp

__all__ = ["ConvTranspose", "Pad", "Slice", "Transpose", "Upsample"]


@dataclass(frozen=True)
class Pad(SourceOp):
    """`value` around the positions; per side, outer axis first, as the padding of Conv."""

    padding: tuple[int, ...] = (0, 0, 0, 0)
    value: float = 0.0

    def __post_init__(self) -> None:
        self.check(math.isfinite(self.value), f"value {self.value} must be finite")

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(
            len(self.padding) == 2 * (len(x) - 1) and all(p >= 0 for p in self.padding),
            f"padding {self.padding} must be two integers >= 0 for each spatial axis of {x}",
        )
        sides = zip(x[1:], self.padding[::2], self.padding[1::2], strict=True)
        return (x[0], *(n + before + after for n, before, after in sides))


@dataclass(frozen=True)
class Slice(SourceOp):
    """x[start:stop:step] along `axis` (1: the channels), 0 <= start < stop <= size, step >= 1."""

    axis: int = 1
    start: int = 0
    stop: int = 1
    step: int = 1

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(
            1 <= self.axis <= len(x), f"axis {self.axis} must be in 1..{len(x)} (0: the batch)"
        )
        size = x[self.axis - 1]
        self.check(
            0 <= self.start < self.stop <= size and self.step >= 1,
            f"[{self.start}:{self.stop}:{self.step}] must lie in an axis of {size}, step >= 1",
        )
        return (*x[: self.axis - 1], len(range(self.start, self.stop, self.step)), *x[self.axis :])


@dataclass(frozen=True)
class Transpose(SourceOp):
    """Axis i + 1 of the result is axis perm[i] of x; the batch axis stays (perm holds 1..rank)."""

    perm: tuple[int, ...] = (1,)

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(
            sorted(self.perm) == list(range(1, len(x) + 1)),
            f"perm {self.perm} must be a permutation of 1..{len(x)}",
        )
        return tuple(x[axis - 1] for axis in self.perm)


@dataclass(frozen=True)
class Upsample(SourceOp):
    """Every position `factors` times along each spatial axis (nearest neighbour)."""

    factors: tuple[int, ...] = (2, 2)

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(
            len(self.factors) == len(x) - 1 >= 1 and all(f >= 1 for f in self.factors),
            f"factors {self.factors} must be one integer >= 1 for each spatial axis of {x}",
        )
        return (x[0], *(n * f for n, f in zip(x[1:], self.factors, strict=True)))


@dataclass(frozen=True)
class ConvTranspose(SourceOp):
    """torch's ConvTranspose1d/2d: weight (C, N/groups, *kernel)[, bias (N,)].

    Size of the result: (n - 1) * stride - before - after + dilation * (kernel - 1) + extra + 1;
    `padding` is per side as in Conv, `extra` is torch's output_padding.
    """

    constants: ClassVar[tuple[str, ...]] = ("weight",)
    optional: ClassVar[tuple[str, ...]] = ("bias",)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    extra: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    def infer(self, *shapes: Shape) -> Shape:
        x, weight, *bias = shapes
        rank = len(x) - 1
        self.check(rank in (1, 2), f"takes (C, L) or (C, H, W), not {x}")
        self.check(
            len(weight) == rank + 2 and weight[0] == x[0] and x[0] % max(self.groups, 1) == 0,
            f"weight {weight} must be ({x[0]}, N/groups, *kernel) with {rank} kernel axes",
        )
        self.check(
            self.groups >= 1 and len(self.padding) == 2 * rank and min(self.padding) >= 0,
            f"groups {self.groups} >= 1 and padding {self.padding} of {2 * rank} integers >= 0",
        )
        for what, values, least in (
            ("stride", self.stride, 1),
            ("dilation", self.dilation, 1),
            ("extra", self.extra, 0),
        ):
            self.check(
                len(values) == rank and min(values) >= least,
                f"{what} {values} must be {rank} integers >= {least}",
            )
        out = weight[1] * self.groups
        for shape in bias:
            self.check(shape == (out,), f"bias {shape} must be ({out},)")
        return (out, *(self._size(i, x[1 + i], weight[2 + i]) for i in range(rank)))

    def _size(self, axis: int, size: int, kernel: int) -> int:
        before, after = self.padding[2 * axis : 2 * axis + 2]
        reach = self.dilation[axis] * (kernel - 1)
        out = (size - 1) * self.stride[axis] - before - after + reach + self.extra[axis] + 1
        self.check(out >= 1, f"padding {self.padding} leaves nothing of spatial axis {axis}")
        return out
