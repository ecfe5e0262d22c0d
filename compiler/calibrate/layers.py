"""Linear operations in one form, so that the methods need not know which one they see.

The canonical form of a weight is (G, N, C, T): groups, output channels of a group, input channels
of a group, kernel taps. Linear is one group with one tap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.source import Conv, ConvTranspose, Linear, SourceOp
from hwc.compiler.source.windows import windows

__all__ = [
    "Floats",
    "canonical",
    "channel_axis",
    "columns",
    "input_channels",
    "is_linear",
    "per_output",
    "restore",
    "scale_inputs",
    "scale_outputs",
]

Floats = NDArray[np.float64]


def is_linear(op: SourceOp) -> bool:
    """True for operations with a weight: args (x, weight[, bias])."""
    return isinstance(op, (Linear, Conv, ConvTranspose))


def _groups(op: SourceOp) -> int:
    return op.groups if isinstance(op, (Conv, ConvTranspose)) else 1


def canonical(op: SourceOp, weight: np.ndarray) -> Floats:
    """The weight as float64 (G, N, C, T)."""
    w, g = np.asarray(weight, np.float64), _groups(op)
    if isinstance(op, ConvTranspose):  # (C, N / groups, *kernel)
        return w.reshape(g, w.shape[0] // g, w.shape[1], -1).swapaxes(1, 2)
    return w.reshape(g, w.shape[0] // g, w.shape[1], -1)


def restore(op: SourceOp, weight: Floats, shape: tuple[int, ...]) -> Floats:
    """The inverse of `canonical`."""
    if isinstance(op, ConvTranspose):
        weight = weight.swapaxes(1, 2)
    return np.ascontiguousarray(weight.reshape(shape))


def channel_axis(op: SourceOp) -> int | None:
    """The axis of a weight along which its output channels lie; None if they are split."""
    if isinstance(op, ConvTranspose):
        return 1 if op.groups == 1 else None
    return 0


def per_output(op: SourceOp, values: Floats) -> Floats:
    """(G, N) or flat values of all output channels, shaped against the canonical form."""
    return values.reshape(_groups(op), -1, 1, 1)


def scale_outputs(op: SourceOp, weight: np.ndarray, factors: Floats) -> Floats:
    """The weight with every output channel multiplied by its factor."""
    scaled = canonical(op, weight) * per_output(op, factors)
    return restore(op, scaled, weight.shape)


def input_channels(op: SourceOp, weight: np.ndarray) -> Floats:
    """Largest magnitude of the weights that read each input channel, (C of all groups,)."""
    return np.abs(canonical(op, weight)).max(axis=(1, 3)).ravel()


def scale_inputs(op: SourceOp, weight: np.ndarray, factors: Floats) -> Floats:
    """The weight with every input channel multiplied by its factor."""
    scaled = canonical(op, weight) * factors.reshape(_groups(op), 1, -1, 1)
    return restore(op, scaled, weight.shape)


def columns(op: SourceOp, x: np.ndarray, kernel: tuple[int, ...]) -> Floats:
    """What the weights of each group are multiplied with: (G, rows, C * T), rows being frames
    times positions; order as in the canonical form."""
    if isinstance(op, Linear):
        return x[None]
    assert isinstance(op, (Conv, ConvTranspose))
    if isinstance(op, Conv):
        taps = windows(x, kernel, op.stride, op.padding, op.dilation, 0)
    else:
        taps = _transposed(op, x, kernel)
    rows = np.moveaxis(taps, 1, -2)  # (batch, *positions, channels, taps)
    rows = rows.reshape(-1, op.groups, x.shape[1] // op.groups * taps.shape[-1])
    return rows.swapaxes(0, 1)


def _transposed(op: ConvTranspose, x: np.ndarray, kernel: tuple[int, ...]) -> np.ndarray:
    """Windows of a transposed convolution: those of a convolution over x with zeros between its
    elements, under the mirrored kernel."""
    rank = len(kernel)
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], op.stride, strict=True)]
    spread = np.zeros((*x.shape[:2], *sizes), x.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in op.stride))] = x
    pads: list[int] = []
    for i in range(rank):
        reach = op.dilation[i] * (kernel[i] - 1)
        pads += [reach - op.padding[2 * i], reach - op.padding[2 * i + 1] + op.extra[i]]
    crop = tuple(
        slice(max(0, -pads[2 * i]), sizes[i] - max(0, -pads[2 * i + 1])) for i in range(rank)
    )
    pads = [max(0, p) for p in pads]
    spread = spread[(slice(None), slice(None), *crop)]
    taps = windows(spread, kernel, (1,) * rank, tuple(pads), op.dilation, 0)
    return taps[..., ::-1]  # mirrored along every axis is reversed when flat
