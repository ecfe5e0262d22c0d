"""HashedNets (Chen et al. 2015, arXiv 1504.04788): a hash decides which weights are one.

The hash is that of the number of the weight, so nothing has to be stored but the shared values.
"""

import torch
from torch import Tensor, nn

from hwc.models.hashing import shared_places
from hwc.models.pruning.mask import latent_of
from hwc.models.sharing.indirect import Indirect, SharingError, replace_weight

__all__ = ["Hashed", "share_by_hash"]


class Hashed(Indirect):
    """Weight number i (row-major) is one of the values, with a sign; `hashing.shared_places` says
    which."""

    places: Tensor
    signs: Tensor

    def __init__(self, values: Tensor, shape: torch.Size, seed: int, bits: int = 8):
        super().__init__(values, bits)
        self.values, self.shape, self.seed = nn.Parameter(values.clone()), shape, seed
        places, signs = map(torch.from_numpy, shared_places(shape.numel(), len(values), seed))
        self.register_buffer("places", places.reshape(shape))
        self.register_buffer("signs", signs.reshape(shape).to(values.dtype))

    def dense(self) -> Tensor:
        return self.values[self.places] * self.signs


def share_by_hash(layer: nn.Module, ratio: float, seed: int, bits: int = 8) -> Hashed:
    """Let the layer's weights share one value for every `ratio` of them; each value starts as the
    least-squares one, the mean of its weights with their signs."""
    weight = layer.weight.detach()  # pyright: ignore
    k = round(weight.numel() / ratio)
    if not ratio >= 1 or k < 1:
        raise SharingError(f"ratio must be 1..{weight.numel()}, got {ratio}")
    made = Hashed(weight.new_ones(k), latent_of(layer).shape, seed, bits)
    flat, places = (weight * made.signs).flatten(), made.places.flatten()
    counts = torch.bincount(places, minlength=k).clamp(min=1)
    values = torch.zeros(k, dtype=weight.dtype).index_add_(0, places, flat) / counts
    # Averages are small: as large as the weights were, so that signals keep their size.
    values = values * (flat.square().mean() / values.square().mean().clamp(min=1e-20)).sqrt()
    made = Hashed(values, latent_of(layer).shape, seed, bits)
    replace_weight(layer, made)
    return made
