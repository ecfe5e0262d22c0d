"""Entropy-constrained scalar quantization (Chou, Lookabaugh, Gray 1989; for networks Choi et al.
2017, arXiv 1612.01543)."""

import torch
from torch import Tensor

from hwc.models.sharing.indirect import SharingError

__all__ = ["constrained", "entropy", "price"]


def entropy(indices: Tensor, k: int) -> float:
    """Bits a value of an ideal code for these indices in 0..k-1."""
    p = torch.bincount(indices.flatten(), minlength=k).double() / indices.numel()
    return float(-(p[p > 0] * p[p > 0].log2()).sum())


def price(p: Tensor) -> Tensor:
    """Bits of an ideal code word for probabilities; infinite for 0."""
    return torch.where(p > 0, -p.clamp(min=1e-300).log2(), torch.inf)


def constrained(
    values: Tensor,
    centroids: Tensor,
    rate: float,
    weights: Tensor | None = None,
    rounds: int = 100,
) -> tuple[Tensor, Tensor]:
    """(centroids, assignment) at a local minimum of sum of h * (v - c)**2 + rate * bits, with bits
    those of an ideal code. Values that are dear to code move to cheaper neighbours; a centroid that
    loses all its values is not used any more (it stays in place, for nothing).
    """
    if rate < 0:
        raise SharingError(f"rate must not be negative, got {rate}")
    x = values.double()
    h = torch.ones_like(x) if weights is None else weights.double()
    c = centroids.double().sort().values
    p = torch.full_like(c, 1 / len(c))
    z = torch.full(x.shape, -1)
    for _ in range(rounds):
        bits = price(p) if rate > 0 else torch.zeros_like(p)
        cost = h[:, None] * (x[:, None] - c).square() + rate * bits
        new = cost.argmin(1)
        if torch.equal(new, z):
            break
        z = new
        mass = torch.zeros_like(c).index_add_(0, z, h)
        sums = torch.zeros_like(c).index_add_(0, z, h * x)
        c = torch.where(mass > 0, sums / mass, c)
        p = torch.bincount(z, minlength=len(c)).double() / len(x)
    return c.to(values.dtype), z
