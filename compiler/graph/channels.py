"""Per-channel constants against whole rows: long inner loops where channels alone are few."""

import numpy as np

from hwc.compiler.graph.frozen import IntNd


def join_rows(x: IntNd, *tables: IntNd) -> tuple[IntNd, ...]:
    """x[..., W, C] as [M, W*C] and each table[..., C or 1] repeated to match its last axis.

    NumPy loops over the last axis in C; with a few channels its overhead is most of the time.
    A table of 1 stays as it is. x[B, C] gives [B, C].
    """
    channels = x.shape[-1]
    width = x.shape[-2] if x.ndim > 2 else 1
    joined = (t if t.shape[-1] == 1 else np.tile(t, width) for t in tables)
    return x.reshape(-1, width * channels), *joined
