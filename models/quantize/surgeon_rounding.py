"""Rounding that the other weights of a row make up for, as a step of a recipe."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Method, Work
from hwc.models.compress.steps import is_quantized
from hwc.models.pruning.mask import latent_of
from hwc.models.pruning.surgeon import hessian, no_rows, quantize_rows, some_rows
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.weight import IntWeight, quantize_weight

__all__ = ["SurgeonRounding"]


@dataclass(frozen=True)
class SurgeonRounding(Method):
    """The brain surgeon as a quantizer (Frantar & Alistarh 2022, arXiv 2208.11580), without
    training: layer by layer, each with the inputs that those before it give, weights are rounded to
    `bits` bits one after the other, and those that are left of the row make up for the error. Zeros
    of a mask stay zeros. The grid is that of `uniform`, one a layer, and keeps its scale until a
    later step takes the layer over."""

    bits: int = 4

    strength: ClassVar = ("bits", 8, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.bits <= 8:
            raise CompressError(f"obs_rounding: bits must be 2..8, got {self.bits}")

    def refuses(self, layer: nn.Module) -> str | None:
        return "is quantized already" if is_quantized(layer) else no_rows(layer)

    @torch.no_grad()
    def apply(self, work: Work) -> None:
        for name, layer in work.layers.items():
            latent, grid = latent_of(layer), IntWeight(self.bits)
            assert isinstance(layer.weight, Tensor)
            weight = layer.weight.detach().clone()
            grid.observe(weight)
            bends = hessian(some_rows(layer, work.inputs_of(name)))
            rounded = quantize_rows(weight.flatten(1), bends, grid.quantize)
            latent.copy_(rounded.reshape(latent.shape))
            quantize_weight(layer, FixedWeight((-grid.hi, grid.hi), grid.scale))
