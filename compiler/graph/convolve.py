"""Exact convolutions on BLAS.

With few output channels N, im2col is bound by its own copies and BLAS by its thin products. So one
product computes a block of neighbouring output columns: its window is that much wider, and its
weight matrix holds the kernel once per column, shifted (a Toeplitz matrix, zeros elsewhere).
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from hwc.compiler.graph import exact
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.window import Window

CHUNK = 1 << 18
"""Elements of im2col held at once: bounds memory and still amortizes the calls."""

LANES = 128
"""Columns of a product worth having: with fewer, BLAS is slower than the zeros are dear."""


def convolve(x: IntNd, w: IntNd, window: Window, w_norm: int) -> IntNd:
    """x[B, H, W, C] with w[N, Kh, Kw, C/groups] over `window` -> [B, OH, OW, N], exact int64.

    Output n takes the channels of group n // (N/groups); `window.fill` must be 0 and
    `w_norm` the largest sum|w| of an output.
    """
    kernel = w.astype(exact.work_dtype(w_norm * exact.magnitude(x)))
    y = np.empty((len(x), *window.positions(*x.shape[1:3]), len(w)), np.int64)
    if window.groups == 1:
        _one_group(x, kernel, window, y)
        return y
    step = max(1, CHUNK // (y.shape[1] * y.shape[2] * x.shape[3] * window.taps))
    for i in range(0, len(x), step):
        y[i : i + step] = _many_groups(x[i : i + step], kernel, window)
    return y


def _one_group(x: IntNd, w: NDArray[Any], window: Window, y: IntNd) -> None:
    """Writes y; a row of a window and its channels are contiguous, so copies are long."""
    batch, height, width, channels = x.shape
    rows, columns, outputs = y.shape[1:]
    (sh, sw), dh, kh = window.stride, window.dilation[0], window.kernel[0]
    top, bottom, left, right = window.padding
    blocks = -(-columns // max(1, LANES // outputs))
    block = -(-columns // blocks)  # even blocks: few columns past the end
    reach = (blocks * block - 1) * sw + window.spans[1]
    matrix = _toeplitz(w, window, block)
    step = min(batch, max(1, CHUNK // (rows * blocks * len(matrix))))
    size = (step, height + top + bottom, max(reach, left + width + right), channels)
    padded = np.zeros(size, w.dtype)
    image, row, column, item = padded.strides
    wide = as_strided(
        padded,
        (step, rows, blocks, kh, len(matrix) // kh),
        (image, row * sh, column * sw * block, row * dh, item),
    )
    cols = np.empty(wide.shape, w.dtype)
    z = np.empty((step, rows * blocks, block * outputs), w.dtype)
    for i in range(0, batch, step):
        part = slice(0, min(step, batch - i))
        padded[part, top : top + height, left : left + width] = x[i : i + step]
        cols[part] = wide[part]
        lines = z[part].reshape(-1, block * outputs)
        np.matmul(cols[part].reshape(-1, len(matrix)), matrix, out=lines)
        y[i : i + step] = lines.reshape(-1, rows, blocks * block, outputs)[:, :, :columns]


def _toeplitz(w: NDArray[Any], window: Window, block: int) -> NDArray[Any]:
    """[Kh * width of the wide window * C, block * N]: the kernel, once per output column."""
    outputs, kh, _, channels = w.shape
    stride, dilation, span = window.stride[1], window.dilation[1], window.spans[1]
    matrix = np.zeros((kh, (block - 1) * stride + span, channels, block, outputs), w.dtype)
    for i in range(block):
        places = slice(i * stride, i * stride + span, dilation)
        matrix[:, places, :, i] = w.transpose(1, 2, 3, 0)
    return matrix.reshape(-1, block * outputs)


def _many_groups(x: IntNd, w: NDArray[Any], window: Window) -> NDArray[Any]:
    """The result as floats; the batch goes innermost, since a group's channels are few."""
    groups, channels = window.groups, w.shape[3]
    last = np.ascontiguousarray(x.transpose(3, 1, 2, 0), dtype=w.dtype)
    view = window.patches(last)
    _, rows, columns, batch, kh, kw = view.shape
    view = view.reshape(groups, channels, rows, columns, batch, kh, kw)
    cols = view.transpose(0, 5, 6, 1, 2, 3, 4).reshape(groups, kh * kw * channels, -1)
    z = w.reshape(groups, -1, cols.shape[1]) @ cols
    return z.reshape(-1, rows, columns, batch).transpose(3, 1, 2, 0)
