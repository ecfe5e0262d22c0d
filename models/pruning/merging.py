"""Data-free merging of neurons (Srinivas & Babu 2015, arXiv 1507.06149).

Two units with the same incoming weights and bias give the same; one can go if the other takes
over its outgoing weights, and nothing changes. In general j of the pair (i, j) of the least
`<a_j**2> * |w_i - w_j|**2` goes, a being outgoing and w incoming weights with the bias.
"""

import torch
from torch import Tensor

__all__ = ["merged"]


def merged(incoming: Tensor, outgoing: Tensor, count: int) -> tuple[Tensor, Tensor, list[float]]:
    """Merge `count` pairs of units, one after the other.

    incoming (units, K), outgoing (outputs, units). Returns which units are left (bool), the
    outgoing weights (columns of those that went mean nothing), and each merge's saliency.
    """
    w, a = incoming.double(), outgoing.double().clone()
    left = torch.ones(len(w), dtype=torch.bool)
    distance = torch.cdist(w, w, compute_mode="donot_use_mm_for_euclid_dist").square()
    distance.fill_diagonal_(torch.inf)
    steps = []
    for _ in range(count):
        cost = distance * a.square().mean(0)  # [i, j]: j goes into i
        cost[~left] = torch.inf
        cost[:, ~left] = torch.inf
        place = int(cost.argmin())
        i, j = divmod(place, len(w))
        steps.append(float(cost[i, j]))
        a[:, i] += a[:, j]
        left[j] = False
    return left, a.to(outgoing.dtype), steps
