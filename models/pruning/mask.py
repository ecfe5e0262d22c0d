"""Masks: which weights of a layer are there.

A pruned layer has a `Mask` as the first parametrization of its weight; quantizers come behind it.
The latent keeps its values where the mask is False, so that pruning can be undone while training.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.compiler.graph.errors import HwcError

__all__ = [
    "Mask",
    "PruningError",
    "chain_of",
    "density",
    "latent_of",
    "mask_of",
    "quantized",
    "set_mask",
]


class PruningError(HwcError):
    """A layer that cannot be pruned as asked."""


class Mask(nn.Module):
    """`w * keep`: zeros where `keep` (bool, of the weight's shape) is False. The latent gets the
    gradient of the masked weight, so nothing where it is masked."""

    keep: Tensor

    def __init__(self, keep: Tensor):
        super().__init__()
        self.register_buffer("keep", keep.bool())

    def forward(self, weight: Tensor) -> Tensor:
        # Not a product: 0 * -x would be -0, and 0 * inf no number.
        return torch.where(self.keep, weight, torch.zeros_like(weight))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Registration leaves the latent as it is."""
        return weight

    def extra_repr(self) -> str:
        return f"{int(self.keep.sum())} of {self.keep.numel()}"


def chain_of(layer: nn.Module) -> tuple[nn.Module, ...]:
    """The parametrizations of a layer's weight, in the order in which they are applied."""
    if not parametrize.is_parametrized(layer, "weight"):
        return ()
    return tuple(layer.parametrizations["weight"])  # pyright: ignore


def mask_of(layer: nn.Module) -> Mask | None:
    """The mask of a layer's weight, if it has one."""
    first = next(iter(chain_of(layer)), None)
    return first if isinstance(first, Mask) else None


def quantized(layer: nn.Module) -> bool:
    """Is there anything but a mask on the layer's weight?"""
    return len(chain_of(layer)) > (mask_of(layer) is not None)


def latent_of(layer: nn.Module) -> nn.Parameter:
    """The parameter that trains: the weight itself, or the latent behind its parametrizations."""
    if parametrize.is_parametrized(layer, "weight"):
        return layer.parametrizations["weight"].original  # pyright: ignore
    return layer.weight  # pyright: ignore[reportReturnType]


def set_mask(layer: nn.Module, keep: Tensor) -> None:
    """Keep only these weights (bool, of the weight's shape), instead of those before.

    Raises PruningError if the weight is quantized already: a mask comes before a quantizer.
    """
    if keep.shape != latent_of(layer).shape:
        raise PruningError(
            f"mask of {tuple(keep.shape)} for a weight of {tuple(latent_of(layer).shape)}"
        )
    mask = mask_of(layer)
    if mask is not None:
        mask.keep = keep.bool()
        return
    if chain_of(layer):
        raise PruningError(
            f"the weight of {type(layer).__name__} is quantized already; prune first, then quantize"
        )
    parametrize.register_parametrization(layer, "weight", Mask(keep))


def density(layer: nn.Module) -> float:
    """Share of the weights that are not masked."""
    mask = mask_of(layer)
    return 1.0 if mask is None else float(mask.keep.float().mean())
