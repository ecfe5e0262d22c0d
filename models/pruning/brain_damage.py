"""Optimal Brain Damage (LeCun, Denker, Solla 1990) and Optimal Brain Surgeon (Hassibi & Stork 1993)
on a whole network: a weight counts for what the loss would rise by without it, to second order."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwc.models.pruning.mask import PruningError

__all__ = ["MOST_WEIGHTS", "inverse_hessian", "jacobian", "operate_all", "saliency"]

MOST_WEIGHTS = 8192
"""Of a network for the full inverse Hessian: 512 MB in float64."""


def saliency(weight: Tensor, curvature: Tensor) -> Tensor:
    """h * w**2 / 2 of each weight: the rise of the loss if the others stay (OBD)."""
    return curvature * weight.square() / 2


def inverse_hessian(jacobian: Tensor, damping: float) -> Tensor:
    """(n, n), float64: the inverse of `damping * I + J^T J / P` for rows J (P, n) of derivatives of
    outputs, by one rank-one update a row (the recursion of the paper)."""
    if not damping > 0:
        raise PruningError(f"damping must be above 0, got {damping}")
    rows, count = jacobian.double(), len(jacobian)
    inverse = torch.eye(rows.shape[1], dtype=torch.float64) / damping
    for row in rows:
        moved = inverse @ row
        inverse -= torch.outer(moved, moved) / (count + row @ moved)
    return inverse


def operate_all(weight: Tensor, inverse: Tensor, count: int) -> Tensor:
    """The weights (n,) with `count` fewer nonzeros: one by one that of the least
    `w**2 / (2 [H^-1]_qq)` goes and all others move to make up for it. Zeros stay zeros."""
    w, h = weight.double().clone(), inverse.double().clone()
    gone = torch.zeros(len(w), dtype=torch.bool)

    def leave(q: int) -> None:
        w.sub_(h[:, q] * (w[q] / h[q, q]))
        column = h[:, q].clone()
        h.sub_(torch.outer(column, column) / column[q])
        gone[q] = True
        w[gone] = 0

    for q in torch.nonzero(w == 0).flatten().tolist():
        leave(q)
    if count > int((~gone).sum()):
        raise PruningError(f"{count} of {int((~gone).sum())} weights cannot go")
    for _ in range(count):
        cost = w.square() / (2 * h.diagonal())
        cost[gone] = torch.inf
        leave(int(cost.argmin()))
    return w.to(weight.dtype)


def jacobian(model: nn.Module, parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    """(images * outputs, n): derivatives of every logit of every image by all parameters."""
    rows = []
    for image in images:
        logits = model(image[None])[0]
        for logit in logits:
            grads = torch.autograd.grad(logit, list(parameters), retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(rows)
