"""Integer products that are exact by proof, and fast where the proof allows floating point.

A float sum of integer products is exact, in any order and with fused multiply-adds, as long as no
partial sum can exceed 2**24 (float32) or 2**53 (float64). Every partial sum of row n is at most
sum_k |w[n, k]| * max|x|, so that bound alone picks the arithmetic.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.types import INT64_MAX


def magnitude(x: IntNd) -> int:
    """max |x| as a Python int (so that -2**63 has one); 0 for an empty array."""
    if not x.size:
        return 0
    most = int(x.view(np.uint64).max())  # one pass if no value is negative, as in most networks
    return most if most <= INT64_MAX else max(-int(x.min()), int(x.max()))


def row_sums(w: IntNd) -> tuple[NDArray[Any], NDArray[Any]]:
    """Exact sums over the last axis of the positive and of the negative weights (each per row).

    int64, or Python ints in an object array where int64 might overflow.
    """
    safe = magnitude(w) * w.shape[-1] <= INT64_MAX
    values = w if safe else w.astype(object)
    positive = np.where(w > 0, values, 0).sum(axis=-1)
    return positive, values.sum(axis=-1) - positive


def norm(w: IntNd) -> int:
    """max over rows of sum_k |w[..., k]|: times max|x| it bounds every partial sum of a product."""
    positive, negative = row_sums(w)
    return int((positive - negative).max())


def work_dtype(limit: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    """The fastest dtype whose sums are exact up to `limit`; GraphError beyond int64."""
    if limit < 2**24:
        return np.float32
    if limit < 2**53:
        return np.float64
    if limit <= INT64_MAX:
        return np.int64
    raise GraphError(
        f"matmul: sum|w| * max|x| must fit in int64 (at most {INT64_MAX}), got {limit}; "
        "use narrower weights or inputs"
    )


def matmul(x: IntNd, w: IntNd, w_norm: int | None = None) -> IntNd:
    """x[..., K] times w[N, K] transposed -> [..., N], exact. w_norm is norm(w), if known."""
    dtype = work_dtype((norm(w) if w_norm is None else w_norm) * magnitude(x))
    flat = x.reshape(-1, x.shape[-1])
    y = flat.astype(dtype) @ w.astype(dtype).T
    return y.astype(np.int64).reshape(*x.shape[:-1], w.shape[0])


def grouped_matmul(x: IntNd, w: IntNd, w_norm: int | None = None) -> IntNd:
    """x[M, G, K] times w[G, N, K] transposed -> [M, G, N], exact. w_norm is norm(w), if known."""
    dtype = work_dtype((norm(w) if w_norm is None else w_norm) * magnitude(x))
    y = x.transpose(1, 0, 2).astype(dtype) @ w.transpose(0, 2, 1).astype(dtype)
    return y.transpose(1, 0, 2).astype(np.int64)
