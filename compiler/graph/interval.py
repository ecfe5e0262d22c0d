"""Tight intervals of sums: what a value can be, given the actual weights and the input interval."""

import numpy as np

from hwc.compiler.graph.exact import norm, row_sums
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import INT64_MAX, Type


def accumulator_interval(w: IntNd, lo: int, hi: int) -> tuple[list[int], list[int]]:
    """Smallest and largest sum_k w[..., k] * x[k] of every row for x[k] in [lo, hi]; both occur.

    Rows are the leading axes of `w`, flattened in row-major order. Python ints: never overflows.
    """
    positive, negative = (np.asarray(part).astype(object).ravel() for part in row_sums(w))
    return (positive * lo + negative * hi).tolist(), (positive * hi + negative * lo).tolist()


def accumulator_type(op: Op, shape: tuple[int, ...], w: IntNd, x: Type) -> Type:
    """Type of w[N, K] times a vector of type `x`: the interval that holds every output.

    GraphError that names `op` if some order of summation could leave int64.
    """
    limit = norm(w) * max(-x.lo, x.hi)
    if limit > INT64_MAX:
        raise op.error(
            f"sum|w| * max|x| must fit in int64 (at most {INT64_MAX}), got {limit} for inputs in "
            f"[{x.lo}, {x.hi}]; use narrower weights or inputs"
        )
    lows, highs = accumulator_interval(w, x.lo, x.hi)
    return Type(shape, min(lows), max(highs))
