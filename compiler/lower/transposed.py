"""A transposed convolution is a convolution of its input with zeros in between."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from hwc.compiler.lower.builder import Builder
from hwc.compiler.lower.constants import Codes
from hwc.compiler.lower.moves import code_of, move
from hwc.compiler.lower.value import Value
from hwc.compiler.source import Conv, ConvTranspose, Shape, SourceNode

__all__ = ["as_convolution"]


def as_convolution(
    build: Builder, node: SourceNode, x: Value, weight: Codes, shape: Shape
) -> tuple[Conv, Value, Codes]:
    """The convolution, its input and its weights; `shape` is torch's shape of x.

    Zeros go between the elements, the kernel is turned round, and the padding p becomes
    dilation * (kernel - 1) - p; where that is negative, elements are cut off.
    """
    op = node.op
    assert isinstance(op, ConvTranspose)
    kernel, rank = weight.values.shape[2:], len(shape) - 1
    elements = _spread(shape, op.stride)
    padding: list[int] = []
    for i in range(rank):
        reach = op.dilation[i] * (kernel[i] - 1)
        before, after = (reach - p for p in op.padding[2 * i : 2 * i + 2])
        after += op.extra[i]
        size = elements.shape[1 + i]
        keep = slice(max(0, -before), size - max(0, -after))
        elements = elements[(slice(None),) * (1 + i) + (keep,)]
        padding += max(0, before), max(0, after)
    if elements.shape != shape or (elements < 0).any():
        fill = code_of(x, Fraction(0)) if (elements < 0).any() else None
        x = move(build, node.name, x, shape, elements, fill)
    conv = Conv((1,) * rank, tuple(padding), op.dilation, op.groups)
    return conv, x, _turned(weight, op.groups)


def _spread(shape: Shape, stride: Shape) -> np.ndarray:
    """Numbers of the elements with stride - 1 times -1 between them along each spatial axis."""
    sizes = [(n - 1) * s + 1 for n, s in zip(shape[1:], stride, strict=True)]
    out = np.full((shape[0], *sizes), -1, np.int64)
    places = (slice(None), *(slice(None, None, s) for s in stride))
    out[places] = np.arange(int(np.prod(shape))).reshape(shape)
    return out


def _turned(weight: Codes, groups: int) -> Codes:
    """Weights (C, N / groups, *kernel) as (N, C / groups, *kernel), kernels turned round."""
    values = weight.values
    c, n, *kernel = values.shape
    values = values.reshape(groups, c // groups, n, *kernel).swapaxes(1, 2)
    values = values.reshape(groups * n, c // groups, *kernel)
    values = np.flip(values, axis=tuple(range(2, values.ndim)))
    scale, axis = weight.scale, weight.axis
    if len(scale) > 1 and axis == 1:
        scale, axis = np.tile(scale, groups), 0
    elif len(scale) > 1 and axis == 0:
        axis = 1  # one scale per input channel: refused by the caller, who names the weight
    return Codes(values, scale, axis)
