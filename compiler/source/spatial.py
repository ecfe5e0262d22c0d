"""Source operations that see positions: convolution, pooling, and those that move elements.

Shapes are torch's without the batch axis: (C, L) and (C, H, W). Padding is given per side, outer
axis first: (left, right) in one dimension, (top, bottom, left, right) in two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from hwc.compiler.source.ops import Shape, SourceOp

__all__ = [
    "Add",
    "ArgMax",
    "AvgPool",
    "Concat",
    "Conv",
    "Flatten",
    "GlobalAvgPool",
    "MaxPool",
    "Multiply",
    "Reshape",
    "TopK",
]


def window_output(
    op: SourceOp, size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> Shape:
    """Positions of a sliding window along each spatial axis; checks every parameter."""
    rank = len(size)
    op.check(rank in (1, 2), f"takes (C, L) or (C, H, W), not {rank} spatial axes")
    for what, values, count in (
        ("kernel", kernel, rank),
        ("stride", stride, rank),
        ("dilation", dilation, rank),
        ("padding", padding, 2 * rank),
    ):
        least = 0 if what == "padding" else 1
        op.check(
            len(values) == count and all(v >= least for v in values),
            f"{what} {values} must be {count} integers >= {least} for {rank} spatial axes",
        )
    out = []
    for i, n in enumerate(size):
        reach = dilation[i] * (kernel[i] - 1) + 1
        padded = n + padding[2 * i] + padding[2 * i + 1]
        op.check(
            padded >= reach, f"kernel {kernel} does not fit size {size} with padding {padding}"
        )
        out.append((padded - reach) // stride[i] + 1)
    return tuple(out)


def check_not_empty(
    op: SourceOp,
    size: Shape,
    out: Shape,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
) -> None:
    """Refuse windows that see nothing but padding: they have no maximum and no mean."""
    for i, (n, count) in enumerate(zip(size, out, strict=True)):
        taps = [dilation[i] * k - padding[2 * i] for k in range(kernel[i])]
        empty = [p for p in range(count) if not any(0 <= t + p * stride[i] < n for t in taps)]
        op.check(
            not empty,
            f"windows {empty[:3]} of spatial axis {i} hold only padding; reduce padding {padding}",
        )


@dataclass(frozen=True)
class Conv(SourceOp):
    """Convolve (C, L) or (C, H, W) padded with 0: weight (N, C/groups, *kernel)[, bias (N,)]."""

    constants: ClassVar[tuple[str, ...]] = ("weight",)
    optional: ClassVar[tuple[str, ...]] = ("bias",)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    def infer(self, *shapes: Shape) -> Shape:
        x, weight, *bias = shapes
        self.check(len(x) in (2, 3), f"takes (C, L) or (C, H, W), not {x}")
        self.check(
            len(weight) == len(x) + 1,
            f"weight {weight} must be (N, C/groups, *kernel) with {len(x) - 1} kernel axes",
        )
        g = self.groups
        self.check(
            g >= 1 and x[0] % g == 0 and weight[0] % g == 0,
            f"groups {g} must divide {x[0]} input and {weight[0]} output channels",
        )
        self.check(
            weight[1] * g == x[0],
            f"weight {weight} must have {x[0]}/{g} = {x[0] // g} input channels",
        )
        for shape in bias:
            self.check(shape == weight[:1], f"bias {shape} must be ({weight[0]},)")
        out = window_output(self, x[1:], weight[2:], self.stride, self.padding, self.dilation)
        return (weight[0], *out)


@dataclass(frozen=True)
class MaxPool(SourceOp):
    """Maximum over windows; padding never wins. Ceil mode is extra padding at the far side."""

    kernel: tuple[int, ...] = (2, 2)
    stride: tuple[int, ...] = (2, 2)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, ...] = (1, 1)

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        out = window_output(self, x[1:], self.kernel, self.stride, self.padding, self.dilation)
        check_not_empty(self, x[1:], out, self.kernel, self.stride, self.padding, self.dilation)
        return (x[0], *out)


@dataclass(frozen=True)
class AvgPool(SourceOp):
    """Mean over windows. With count_include_pad padding counts as zeros, else it is not counted.

    `extra` places at the far side of each spatial axis are never counted: those of ceil mode.
    """

    kernel: tuple[int, ...] = (2, 2)
    stride: tuple[int, ...] = (2, 2)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    count_include_pad: bool = True
    extra: tuple[int, ...] = ()

    @property
    def sides(self) -> tuple[int, ...]:
        """All padding, counted or not."""
        padding = list(self.padding)
        for i, places in enumerate(self.extra):
            padding[2 * i + 1] += places
        return tuple(padding)

    @property
    def counted(self) -> tuple[int, ...]:
        """The padding that counts as zeros."""
        return self.padding if self.count_include_pad else (0,) * len(self.padding)

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        ones = (1,) * len(self.kernel)
        self.check(
            len(self.extra) in (0, len(self.kernel)) and all(e >= 0 for e in self.extra),
            f"extra {self.extra} must be one integer >= 0 for each spatial axis",
        )
        out = window_output(self, x[1:], self.kernel, self.stride, self.sides, ones)
        if self.counted != self.sides:
            size, rest = [], list(self.sides)
            for i, n in enumerate(x[1:]):
                before, after = self.counted[2 * i : 2 * i + 2]
                size.append(n + before + after)
                rest[2 * i] -= before
                rest[2 * i + 1] -= after
            check_not_empty(self, tuple(size), out, self.kernel, self.stride, tuple(rest), ones)
        return (x[0], *out)


@dataclass(frozen=True)
class GlobalAvgPool(SourceOp):
    """Mean over all positions: (C, ...) -> (C,). Keep torch's (C, 1, 1) by a Reshape."""

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(len(x) >= 2, f"takes (C, L) or (C, H, W), not {x}")
        return x[:1]


@dataclass(frozen=True)
class Add(SourceOp):
    """Sum of two or more activations of one shape."""

    activations: ClassVar[int | None] = None

    def infer(self, *shapes: Shape) -> Shape:
        self.check(len(set(shapes)) == 1, f"takes equal shapes, not {', '.join(map(str, shapes))}")
        return shapes[0]


@dataclass(frozen=True)
class Multiply(SourceOp):
    """Product of two activations of one shape, element by element."""

    activations: ClassVar[int | None] = 2

    def infer(self, *shapes: Shape) -> Shape:
        self.check(len(set(shapes)) == 1, f"takes equal shapes, not {', '.join(map(str, shapes))}")
        return shapes[0]


@dataclass(frozen=True)
class Concat(SourceOp):
    """Concatenation along the channels (axis 1)."""

    activations: ClassVar[int | None] = None
    axis: int = 1

    def __post_init__(self) -> None:
        self.check(self.axis == 1, f"axis {self.axis} is not supported; only 1, the channels")

    def infer(self, *shapes: Shape) -> Shape:
        rest = {shape[1:] for shape in shapes}
        self.check(
            len(rest) == 1 and all(shapes),
            f"takes shapes equal but for the channels, not {', '.join(map(str, shapes))}",
        )
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])


@dataclass(frozen=True)
class Flatten(SourceOp):
    """(C, ...) -> (C * ...,), channels outermost."""

    def infer(self, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)


@dataclass(frozen=True)
class Reshape(SourceOp):
    """Row-major reshape to `shape` (without the batch axis)."""

    shape: tuple[int, ...] = ()

    def infer(self, *shapes: Shape) -> Shape:
        size = math.prod(shapes[0])
        self.check(
            len(self.shape) >= 1
            and all(n >= 1 for n in self.shape)
            and math.prod(self.shape) == size,
            f"{shapes[0]} has {size} elements; shape {self.shape} must have as many",
        )
        return self.shape


@dataclass(frozen=True)
class ArgMax(SourceOp):
    """Index of the largest of (C, ...) at each position as (1, ...); ties to the lowest index."""

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        return (1, *x[1:])


@dataclass(frozen=True)
class TopK(SourceOp):
    """Indices of the k largest of (C, ...) at each position, largest first; ties to the lowest
    index."""

    k: int = 5

    def infer(self, *shapes: Shape) -> Shape:
        (x,) = shapes
        self.check(1 <= self.k <= x[0], f"k {self.k} must be in 1..{x[0]}")
        return (self.k, *x[1:])
