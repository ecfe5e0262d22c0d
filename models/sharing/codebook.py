"""Scalar codebooks: every weight is one of k values (Gong et al. 2014, arXiv 1412.6115; Han et al.
2016, arXiv 1510.00149)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hwc.models.pruning.mask import latent_of
from hwc.models.sharing.entropy import constrained
from hwc.models.sharing.indirect import Indirect, SharingError, replace_weight, zeros_of
from hwc.models.sharing.kmeans import lloyd, spread_evenly
from hwc.models.sharing.mixture import Mixture

__all__ = ["Codebook", "share", "share_bins", "share_by_mixture", "share_constrained"]

Find = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""(weights that are left, their importance) -> (values, which of them each weight has; 0 for the
number behind the last)"""


class Codebook(Indirect):
    """`values[indices]`, and 0 where the index is `len(values)`.

    The gradient of a value is the sum of those of the weights that share it. Pruned weights stay 0
    and belong to none.
    """

    indices: Tensor

    def __init__(self, values: Tensor, indices: Tensor, bits: int = 8):
        super().__init__(values, bits)
        self.values = nn.Parameter(values.clone())
        self.register_buffer("indices", indices)

    def dense(self) -> Tensor:
        return torch.cat([self.values, self.values.new_zeros(1)])[self.indices]


def share(layer: nn.Module, k: int, weights: Tensor | None = None, bits: int = 8) -> Codebook:
    """Let the layer's weights (those that are not pruned) share k values, found by k-means from an
    even start. `weights`, of the weight's shape, are how much each one's error counts."""

    def found(kept: Tensor, importance: Tensor | None) -> tuple[Tensor, Tensor]:
        return lloyd(kept, spread_evenly(kept, k), importance)

    return _shared(layer, k, weights, bits, found)


def share_constrained(
    layer: nn.Module, k: int, rate: float, weights: Tensor | None = None, bits: int = 8
) -> Codebook:
    """The same with entropy-constrained quantization: `rate`, in units of the mean weighted square
    of the layer's weights, is what a bit costs. Of k values some may stay without a weight."""

    def found(kept: Tensor, importance: Tensor | None) -> tuple[Tensor, Tensor]:
        h = torch.ones_like(kept) if importance is None else importance
        unit = float((h * kept.square()).mean())
        values, z = constrained(kept, spread_evenly(kept, k), rate * unit, h)
        used, indices = torch.unique(z, return_inverse=True)
        return values[used], indices

    return _shared(layer, k, weights, bits, found)


def share_bins(
    layer: nn.Module, width: float, weights: Tensor | None = None, bits: int = 8
) -> Codebook:
    """Let the layer's weights share the mean, weighted by `weights`, of their bin of `width`: bin j
    holds what rounds to j * width (half to even), and bin 0 stays 0. For codes of variable length
    this is near the best (Choi et al. 2017)."""
    if not width > 0:
        raise SharingError(f"the width of a bin must be above 0, got {width}")

    def found(kept: Tensor, importance: Tensor | None) -> tuple[Tensor, Tensor]:
        x = kept.double()
        h = torch.ones_like(x) if importance is None else importance.double()
        bins = torch.round(x / width)
        rest = bins != 0
        if not rest.any():
            raise SharingError(
                f"{type(layer).__name__}: bins of {width:.3g} take all weights for 0; use less"
            )
        used, z = torch.unique(bins[rest], return_inverse=True)
        mass = torch.zeros_like(used).index_add_(0, z, h[rest])
        values = torch.zeros_like(used).index_add_(0, z, (h * x)[rest]) / mass
        places = torch.full(kept.shape, len(used))
        places[rest] = z
        return values.to(kept.dtype), places

    return _shared(layer, 1, weights, bits, found)


def share_by_mixture(layer: nn.Module, mixture: Mixture, bits: int = 8) -> Codebook:
    """Let each of the layer's weights be the mean of the component of a mixture that is most
    responsible for it, 0 for the zero component. Pruned weights stay 0."""
    weight = layer.weight.detach()  # pyright: ignore
    part = mixture.assigned(weight)
    part[zeros_of(layer)] = 0
    used, index = torch.unique(part, return_inverse=True)
    values = mixture.means.detach()[used[used > 0] - 1]
    if len(values) == 0:
        raise SharingError(
            f"{type(layer).__name__}: the mixture takes every weight for 0; use less tau or zero"
        )
    offset = int(used[0] == 0)
    places = torch.where(part > 0, index - offset, len(values))
    made = Codebook(values, places, bits)
    replace_weight(layer, made)
    return made


def _shared(layer: nn.Module, k: int, weights: Tensor | None, bits: int, found: Find) -> Codebook:
    """The layer with a codebook of at most k values that `found` chooses, if it has more."""
    pruned, weight = zeros_of(layer), layer.weight.detach()  # pyright: ignore
    kept = weight[~pruned]
    if kept.numel() == 0:
        raise SharingError(f"{type(layer).__name__}: all weights are pruned")
    few = torch.unique(kept)
    if len(few) <= k:
        values, indices = few, torch.searchsorted(few, kept)
    else:
        values, indices = found(kept, None if weights is None else weights[~pruned])
    places = torch.full(latent_of(layer).shape, len(values))
    places[~pruned] = indices
    made = Codebook(values, places, bits)
    replace_weight(layer, made)
    return made
