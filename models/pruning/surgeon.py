"""Optimal Brain Surgeon, layer by layer (Hassibi & Stork 1993; Dong et al. 2017; Frantar & Alistarh
2022).

For a linear layer the squared error of the outputs over given inputs is quadratic, and every row
has the same Hessian H = 2 X X^T. Removing weight q of a row costs w_q**2 / (2 [H^-1]_qq) if all
others of the row move by -w_q / [H^-1]_qq * H^-1 e_q, the best that they can do. Instead of to zero
a weight can be moved to a grid: then w_q is replaced by the distance to it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwc.models.pruning.mask import PruningError

__all__ = [
    "hessian",
    "no_rows",
    "quantize_rows",
    "remove",
    "rows_of",
    "some_rows",
    "surgeon",
    "without_idle",
]

ROWS = 20_000
"""About as many samples are enough to fit a layer's response to."""
DAMPING = 1e-2
"""Added to the diagonal, times its mean: inputs that are always 0 must not make H singular."""


def no_rows(layer: nn.Module) -> str | None:
    """Why outputs of `layer` are no products with common rows, or None."""
    if isinstance(layer, nn.Linear):
        return None
    if not isinstance(layer, nn.Conv1d | nn.Conv2d) or layer.groups != 1:
        return "with groups has no common Hessian"
    if isinstance(layer.padding, str):
        return f"has padding={layer.padding!r}, where numbers of pixels are needed"
    return None


def rows_of(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What enters one output of `layer`, (samples, K) with K in the order of `weight.flatten(1)`:
    the inputs of a Linear, or the patches of a Conv1d or Conv2d of one group."""
    if isinstance(layer, nn.Linear):
        return inputs.reshape(-1, inputs.shape[-1])
    if reason := no_rows(layer):
        raise PruningError(f"{type(layer).__name__} {reason}; leave it out")
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    assert not isinstance(layer.padding, str)
    flat = isinstance(layer, nn.Conv1d)
    x = inputs.unsqueeze(2) if flat else inputs
    sizes = [
        (a, *v) if flat else v
        for a, v in (
            (1, layer.kernel_size), (1, layer.dilation), (0, layer.padding), (1, layer.stride),
        )
    ]  # fmt: skip
    patches = F.unfold(x, *sizes)
    return patches.transpose(1, 2).reshape(-1, patches.shape[1])


def some_rows(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Evenly chosen ones of `rows_of`, fewer than twice `ROWS`: to fit a layer's response to."""
    rows = rows_of(layer, inputs)
    return rows[:: max(len(rows) // ROWS, 1)]


def hessian(inputs: Tensor, damping: float = DAMPING) -> Tensor:
    """2 X X^T / samples in float64, damped; `inputs` is (samples, K)."""
    x = inputs.double()
    h = 2 * x.T @ x / len(x)
    mean = h.diagonal().mean()
    h.diagonal().add_(damping * mean if mean > 0 else 1.0)
    return h


def without_idle(weight: Tensor, inputs: Tensor) -> Tensor:
    """The weight (N, K) with 0 for inputs that are 0 in every sample (samples, K): they are free,
    but the damping of H hides it."""
    return torch.where((inputs != 0).any(0), weight, torch.zeros_like(weight))


def remove(row: Tensor, inverse: Tensor, q: int, error: Tensor) -> None:
    """In place: weight q of a row (K,) moves by -error, the others make up for it, and H^-1 (K, K)
    loses q."""
    column = inverse[:, q].clone()
    pivot = column[q].clone()
    row.sub_(column, alpha=float(error / pivot))
    inverse.addr_(column, column, alpha=float(-1 / pivot))
    inverse[q, :] = 0
    inverse[:, q] = 0


def surgeon(weight: Tensor, h: Tensor, density: float) -> Tensor:
    """The weight (N, K) with K - round(density * K) weights of every row 0: those that are 0
    already, then one after the other always the cheapest, the rest adjusted."""
    if not 0 < density <= 1:
        raise PruningError(f"density must be above 0 and at most 1, got {density}")
    k = weight.shape[1]

    def gone(row: Tensor, inverse: Tensor, alive: Tensor) -> Tensor:
        for _ in range(int(alive.sum()) - round(density * k)):
            cost = torch.where(alive, row.square() / inverse.diagonal(), torch.inf)
            q = int(cost.argmin())
            remove(row, inverse, q, row[q].clone())
            alive[q] = False
        return torch.where(alive, row, 0.0)

    return _by_rows(weight, h, gone)


def quantize_rows(weight: Tensor, h: Tensor, nearest: Callable[[Tensor], Tensor]) -> Tensor:
    """The weight (N, K) on the grid of `nearest` (elementwise), in order of falling diagonal of H,
    every rounding error made up for by the weights that are still free. Zeros stay zeros."""
    used = (weight.detach() != 0).any(0)
    order = h.diagonal()[used].argsort(descending=True, stable=True)

    def rounded(row: Tensor, inverse: Tensor, alive: Tensor) -> Tensor:
        final = torch.zeros_like(row)
        for q in order[alive[order]].tolist():
            final[q] = nearest(row[q])
            remove(row, inverse, q, row[q] - final[q])
        return final

    return _by_rows(weight, h, rounded)


def _by_rows(weight: Tensor, h: Tensor, work: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """`work(row, H^-1, which are not 0)` in float64 for one row at a time, H^-1 rid of the row's
    zeros, of the inputs that any row uses: a matrix that stays in the cache is worth more than many
    rows at once."""
    if weight.ndim != 2 or h.shape != (weight.shape[1],) * 2:
        raise PruningError(f"weight of {tuple(weight.shape)} with a Hessian of {tuple(h.shape)}")
    used = (weight.detach() != 0).any(0)
    inverse = torch.linalg.inv(h[used][:, used])
    out = torch.zeros(weight.shape, dtype=torch.float64)
    for i, row in enumerate(weight.detach()[:, used].double()):
        row, own, alive = row.clone(), inverse.clone(), row != 0
        for q in torch.nonzero(~alive).flatten().tolist():
            remove(row, own, q, row[q].clone())
        out[i, used] = work(row, own, alive)
    return out.to(weight.dtype)
