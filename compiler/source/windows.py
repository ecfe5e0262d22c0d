"""Evaluation of convolutions and pools, in torch's layout and any dtype."""

from __future__ import annotations

import numpy as np

from hwc.compiler.source import moving, spatial
from hwc.compiler.source.ops import Shape

__all__ = [
    "add_bias",
    "along",
    "average_pool",
    "conv",
    "conv_transpose",
    "max_pool",
    "window_counts",
]

Array = np.ndarray


def along(vector: Array, rank: int, axis: int) -> Array:
    """A scalar or per-channel vector, shaped to broadcast along `axis` of a rank-`rank` array."""
    shape = [1] * rank
    shape[axis] = vector.size
    return vector.reshape(shape)


def add_bias(x: Array, bias: list[Array]) -> Array:
    """x plus one value per channel, if there is a bias."""
    return x + along(bias[0], x.ndim, 1) if bias else x


def windows(
    x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, fill: float
) -> Array:
    """Windows of (batch, C, *size), padded with `fill`: (batch, C, *positions, taps)."""
    rank = len(kernel)
    pads = [(0, 0), (0, 0)] + [(padding[2 * i], padding[2 * i + 1]) for i in range(rank)]
    padded = np.pad(x, pads, constant_values=fill)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    axes = tuple(range(2, 2 + rank))
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
    step = tuple(slice(None, None, s) for s in stride)
    skip = tuple(slice(None, None, d) for d in dilation)
    view = view[(slice(None), slice(None), *step, *skip)]
    return view.reshape(*view.shape[: 2 + rank], -1)


def conv(op: spatial.Conv, x: Array, weight: Array, bias: list[Array]) -> Array:
    out, groups = len(weight), op.groups
    taps = windows(x, weight.shape[2:], op.stride, op.padding, op.dilation, 0)
    positions = taps.shape[2:-1]
    parts = []
    for w, xs in zip(np.split(weight, groups), np.split(taps, groups, axis=1), strict=True):
        # (batch, C, P, T) -> (batch, P, C * T) @ (C * T, N)
        columns = np.moveaxis(xs.reshape(*xs.shape[:2], -1, xs.shape[-1]), 1, 2)
        columns = columns.reshape(*columns.shape[:2], -1)
        parts.append(columns @ w.reshape(out // groups, -1).T)
    y = np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)
    return add_bias(y.reshape(len(x), out, *positions), bias)


def average_pool(op: spatial.AvgPool, x: Array) -> Array:
    """Mean over the windows of x, over the places that count."""
    ones = (1,) * len(op.kernel)
    total = windows(x, op.kernel, op.stride, op.sides, ones, 0).sum(axis=-1)
    return total / window_counts(op, x.shape[2:])


def window_counts(op: spatial.AvgPool, size: Shape) -> Array:
    """How many places each window divides by: (1, 1, *positions)."""
    rank, ones = len(op.kernel), (1,) * len(op.kernel)
    pads = [(op.counted[2 * i], op.counted[2 * i + 1]) for i in range(rank)]
    counted = np.pad(np.ones(size, np.int64), pads, constant_values=1)
    rest = tuple(s - c for s, c in zip(op.sides, op.counted, strict=True))
    return windows(counted[None, None], op.kernel, op.stride, rest, ones, 0).sum(axis=-1)


def max_pool(op: spatial.MaxPool, x: Array) -> Array:
    """Maximum over the windows of x."""
    return windows(x, op.kernel, op.stride, op.padding, op.dilation, -np.inf).max(axis=-1)


def conv_transpose(op: moving.ConvTranspose, x: Array, weight: Array, bias: list[Array]) -> Array:
    """Every input element adds its weighted kernel to the result: the definition, by scatter."""
    groups, kernel = op.groups, weight.shape[2:]
    out = weight.shape[1] * groups
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    rank = len(kernel)
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(x.shape[3:], op.stride, op.dilation, kernel, op.extra, strict=True)
    ]
    y = np.zeros((len(x), groups, out // groups, *full), dtype=x.dtype)
    for tap in np.ndindex(*kernel):
        part = np.einsum("bgc...,gcn->bgn...", x, weight[(..., *tap)])
        places = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, op.dilation, x.shape[3:], op.stride, strict=True)
        )
        y[(slice(None),) * 3 + places] += part
    crop = tuple(slice(op.padding[2 * i], full[i] - op.padding[2 * i + 1]) for i in range(rank))
    y = y[(slice(None),) * 3 + crop]
    return add_bias(y.reshape(len(x), out, *y.shape[3:]), bias)
