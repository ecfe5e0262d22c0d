"""k-means of scalars, of weighted scalars and of vectors (Lloyd's iteration)."""

import torch
from torch import Tensor

from hwc.models.sharing.indirect import SharingError

__all__ = ["assign", "lloyd", "spread_evenly", "vector_kmeans"]


def spread_evenly(values: Tensor, k: int) -> Tensor:
    """k centroids at equal distances from the least to the largest value: Deep Compression's start
    (arXiv 1510.00149), which keeps the rare large weights."""
    if k < 1:
        raise SharingError(f"a codebook needs at least one value, got {k}")
    low, high = values.min(), values.max()
    if k == 1:
        return ((low + high) / 2).reshape(1)
    return low + (high - low) * torch.arange(k, dtype=values.dtype) / (k - 1)


def assign(values: Tensor, centroids: Tensor) -> Tensor:
    """Number of the nearest centroid of each value; halfway the lower one. `centroids` rise."""
    middles = (centroids[1:] + centroids[:-1]) / 2
    return torch.bucketize(values.contiguous(), middles)


def lloyd(
    values: Tensor, centroids: Tensor, weights: Tensor | None = None, rounds: int = 200
) -> tuple[Tensor, Tensor]:
    """(centroids, assignment) of the values (n,) at a local minimum of sum of w * (v - c)**2.

    `weights` (n,), not negative, are for example second derivatives of the loss (Choi et al. 2017,
    arXiv 1612.01543). A centroid without values, or without weight, goes to where the error is
    greatest, if there is one.
    """
    x, w = (
        values.double(),
        torch.ones_like(values).double() if weights is None else weights.double(),
    )
    if w.shape != x.shape or bool((w < 0).any()):
        raise SharingError("k-means: weights must be as many as the values, and not negative")
    c = centroids.double().sort().values
    for _ in range(rounds):
        z = assign(x, c)
        mass = torch.zeros_like(c).index_add_(0, z, w)
        sums = torch.zeros_like(c).index_add_(0, z, w * x)
        new = torch.where(mass > 0, sums / mass, c)
        error = w * (x - new[z]).square()
        if bool((mass == 0).any()) and float(error.max()) > 0:
            new[mass.argmin()] = x[error.argmax()]
        new = new.sort().values
        if torch.equal(new, c):
            break
        c = new
    return c.to(values.dtype), assign(x, c)


def vector_kmeans(
    rows: Tensor, k: int, generator: torch.Generator, rounds: int = 50
) -> tuple[Tensor, Tensor]:
    """(centroids (k, d), assignment (n,)) of rows (n, d), started by k-means++ (Arthur &
    Vassilvitskii 2007); an empty cluster takes the row that is farthest from its centroid."""
    if not 1 <= k <= len(rows):
        raise SharingError(f"{k} centroids for {len(rows)} vectors: 1..{len(rows)} are possible")
    first = int(torch.randint(len(rows), (), generator=generator))
    centroids = rows[first : first + 1].clone()
    for _ in range(k - 1):
        far = torch.cdist(rows, centroids).square().amin(1)
        if not far.max() > 0:
            centroids = torch.cat([centroids, rows[:1]])
            continue
        pick = int(torch.multinomial(far / far.sum(), 1, generator=generator))
        centroids = torch.cat([centroids, rows[pick : pick + 1]])
    z = torch.full((len(rows),), -1)
    for _ in range(rounds):
        distance = torch.cdist(rows, centroids)
        new = distance.argmin(1)
        if torch.equal(new, z):
            break
        z = new
        counts = torch.bincount(z, minlength=k)
        sums = torch.zeros_like(centroids).index_add_(0, z, rows)
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centroids)
        for empty in torch.nonzero(counts == 0).flatten().tolist():
            centroids[empty] = rows[distance.gather(1, z[:, None]).argmax()]
    return centroids, z
