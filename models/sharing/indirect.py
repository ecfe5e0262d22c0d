"""What methods of sharing have in common: a weight that is computed from fewer parameters."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.compiler.graph.errors import HwcError
from hwc.models.pruning.mask import latent_of, mask_of, quantized
from hwc.models.quantize.quantizers import ceil_mantissa, quant
from hwc.models.quantize.weight import SCALE_BITS, SMALLEST_SCALE, WeightQuantizer

__all__ = ["Indirect", "SharingError", "replace_weight", "zeros_of"]

ROOM = 1.25
"""The grid reaches this much farther than the values at the start, so that they can move."""


class SharingError(HwcError):
    """Sharing that cannot be done as asked."""


class Indirect(WeightQuantizer):
    """A parametrization that gives `dense()`, a function of its own parameters, rounded to `bits`
    bits. The latent that it was registered on plays no part and gets no gradient.

    Values that are equal stay equal integers, and 0 stays 0. The scale is fixed when it is made.
    """

    def __init__(self, reach: Tensor, bits: int = 8):
        super().__init__()
        if not 2 <= bits <= 8:
            raise SharingError(f"bits of shared values must be 2..8, got {bits}")
        self.bits, self.hi = bits, 2 ** (bits - 1) - 1
        scale = ceil_mantissa(ROOM * reach.detach().abs().max() / self.hi, SCALE_BITS)
        self.scale = scale.clamp(min=SMALLEST_SCALE)

    def dense(self) -> Tensor:
        """The weight in the layer's shape, before rounding."""
        raise NotImplementedError

    def observe(self, weight: Tensor) -> None:
        """Nothing: the scale does not follow the latent."""

    def quantize(self, weight: Tensor) -> Tensor:
        """Whatever the latent is: the rounded shared weight."""
        return quant(self.dense().to(weight.dtype), self.scale.to(weight), -self.hi, self.hi)

    def bound(self) -> Tensor:
        return torch.full_like(self.scale, torch.inf)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def replace_weight(layer: nn.Module, indirect: Indirect) -> None:
    """Let `indirect` give the layer's weight from now on. A mask goes: its zeros are to be in what
    takes its place."""
    weight = layer.weight.detach().clone()  # pyright: ignore
    if quantized(layer):
        raise SharingError(
            f"the weight of {type(layer).__name__} is quantized already; share it before that"
        )
    if mask_of(layer) is not None:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    with torch.no_grad():
        latent_of(layer).copy_(weight)
    parametrize.register_parametrization(layer, "weight", indirect)
    latent_of(layer).requires_grad_(False)


def zeros_of(layer: nn.Module) -> Tensor:
    """Which weights are pruned (bool, of the weight's shape)."""
    mask = mask_of(layer)
    shape = latent_of(layer).shape
    return torch.zeros(shape, dtype=torch.bool) if mask is None else ~mask.keep
