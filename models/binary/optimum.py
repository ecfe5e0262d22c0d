"""The best one-scale binary and ternary approximations, in closed form.

Both minimize sum of d * (w - a * b)**2 over the scale a and b in {-1, +1} or {-1, 0, +1}; d (not
negative) says how much each error counts. With d constant these are BWN (Rastegari et al. 2016,
arXiv 1603.05279) and the exact form of TWN (Li et al. 2016, arXiv 1605.04711); with d the square
root of Adam's second moment the proximal steps of loss-aware binarization and ternarization (Hou et
al. 2017, arXiv 1611.01600; Hou & Kwok 2018, arXiv 1802.08635).
"""

import torch
from torch import Tensor

__all__ = ["binary_scale", "ternary"]


def binary_scale(rows: Tensor, d: Tensor) -> Tensor:
    """sum(d * |w|) / sum(d) of every row (R, n), as (R, 1); b is the sign of w."""
    return (d * rows.abs()).sum(1, keepdim=True) / d.sum(1, keepdim=True)


def ternary(rows: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """(scale (R, 1), threshold (R, 1)) of every row (R, n): b is 0 where |w| < threshold.

    The best support is some number of the largest |w|: the one of greatest (sum d |w|)**2 / sum d
    over it; the scale is sum d |w| / sum d. Found by sorting; of equals the smallest support.
    """
    size, order = rows.abs().sort(dim=1, descending=True, stable=True)
    weight = d.gather(1, order).double()
    mass = weight.cumsum(1)
    load = (weight * size.double()).cumsum(1)
    gain = torch.where(mass > 0, load.square() / mass, torch.zeros_like(mass))
    # A support ends between different sizes: equal weights are kept or dropped together.
    last = torch.ones_like(gain, dtype=torch.bool)
    last[:, :-1] = size[:, :-1] > size[:, 1:]
    best = torch.where(last, gain, -torch.inf).argmax(1, keepdim=True)
    scale = load.gather(1, best) / mass.gather(1, best).clamp(min=torch.finfo(torch.float64).tiny)
    return scale.to(rows.dtype), size.gather(1, best)
