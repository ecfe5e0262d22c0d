"""N:M sparsity: at most n weights among each m neighbours along the inputs of an output."""

import torch
from torch import Tensor

from hwc.models.pruning.mask import PruningError

__all__ = ["keep_pattern"]


def keep_pattern(scores: Tensor, n: int, m: int) -> Tensor:
    """Bool mask of the n best of each m inputs; `scores` is (N, K) or (N, C, *kernel).

    Groups run along the channels of one kernel position, as the hardware reads them (channels
    last); of equals the first stays. Raises PruningError if m does not divide the channels.
    """
    if not 0 < n < m:
        raise PruningError(f"{n}:{m}: n must be 1..{m - 1}")
    if scores.shape[1] % m:
        raise PruningError(f"{n}:{m}: {m} does not divide the {scores.shape[1]} inputs of a weight")
    last = scores.movedim(1, -1)
    groups = last.reshape(-1, m)
    best = torch.sort(groups, dim=1, descending=True, stable=True).indices[:, :n]
    keep = torch.zeros(groups.shape, dtype=torch.bool).scatter_(1, best, True)
    return keep.reshape(last.shape).movedim(-1, 1)
