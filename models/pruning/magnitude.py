"""The plainest saliency: a weight counts for its size (Han et al. 2015, arXiv 1506.02626)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hwc.models.pruning.mask import PruningError

__all__ = ["keep_best", "keep_best_of_all"]


def keep_best(scores: Tensor, density: float) -> Tensor:
    """Bool mask, of the shape of `scores`, of the round(density * n) largest; of equals the first
    in row-major order."""
    if not 0 <= density <= 1:
        raise PruningError(f"density must be a share 0..1, got {density}")
    flat = scores.reshape(-1)
    keep = torch.zeros(flat.numel(), dtype=torch.bool)
    keep[torch.sort(flat, descending=True, stable=True).indices[: round(density * len(flat))]] = 1
    return keep.reshape(scores.shape)


def keep_best_of_all(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """The same over several tensors at once: one threshold for all, so that each keeps a share of
    its own."""
    flat = torch.cat([s.reshape(-1) for s in scores.values()])
    parts = keep_best(flat, density).split([s.numel() for s in scores.values()])
    return {k: p.reshape(s.shape) for (k, s), p in zip(scores.items(), parts, strict=True)}
