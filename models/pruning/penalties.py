"""Terms of a loss that make weights, or whole units, small while a network trains.

A unit is an output of a layer: the row w_i of its weight (its filter in a convolution).
"""

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["exponential", "group_lasso", "hyperbolic", "l1", "l2"]


def l1(weights: Iterable[Tensor]) -> Tensor:
    """Sum of |w|."""
    return _sum(w.abs().sum() for w in weights)


def l2(weights: Iterable[Tensor]) -> Tensor:
    """Sum of w**2."""
    return _sum(w.square().sum() for w in weights)


def group_lasso(weights: Iterable[Tensor], axis: int = 0) -> Tensor:
    """Sum over units (axis 0) or inputs (axis 1) of the Euclidean norm of their weights, times the
    square root of how many they are (Wen et al. 2016, arXiv 1608.03665)."""
    terms = []
    for w in weights:
        groups = w.movedim(axis, 0).flatten(1)
        # The norm has no gradient at 0; the smallest positive number gives it 0 there.
        norms = (groups.square().sum(1) + torch.finfo(w.dtype).tiny).sqrt()
        terms.append(norms.sum() * groups.shape[1] ** 0.5)
    return _sum(terms)


def hyperbolic(weights: Iterable[Tensor], rate: float) -> Tensor:
    """Biased weight decay (Hanson & Pratt 1989): sum over units of r / (1 + r) with r = rate *
    sum|w_i|. Its pull, rate / (1 + r)**2 on each weight, is strongest on small units."""
    return _sum((r / (1 + r)).sum() for r in _loads(weights, rate))


def exponential(weights: Iterable[Tensor], rate: float) -> Tensor:
    """The other biased weight decay: sum over units of 1 - exp(-r), r = rate * sum|w_i|."""
    return _sum((-torch.expm1(-r)).sum() for r in _loads(weights, rate))


def _loads(weights: Iterable[Tensor], rate: float) -> Iterable[Tensor]:
    return (rate * w.abs().flatten(1).sum(1) for w in weights)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
