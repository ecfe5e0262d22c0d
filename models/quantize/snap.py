"""Snapping: batch-norm becomes a slope of 13 mantissa bits and an intercept on a grid of 2**-20.

The snapped model *is* the network that is built: its constants are dyadic, so its forward pass in
float64 is exact, and the integers must equal it. Activation scales (powers of two), weight scales
(4-bit mantissas) and slopes multiply to `M / 2**s` with `M` of at most 17 bits, one DSP input.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from hwc.compiler.graph.errors import HwcError
from hwc.models.places import places_of
from hwc.models.quantize.quantizers import round_mantissa
from hwc.models.quantize.weight import weight_quantizers

SLOPE_BITS = 13
INTERCEPT_GRID = 2.0**-20


class Affine(nn.Module):
    """`y = scale * x + shift`, one constant per channel (axis 1)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        if scale.ndim != 1 or scale.shape != shift.shape:
            raise HwcError(
                "Affine: scale and shift must be (C,), "
                f"got {tuple(scale.shape)} and {tuple(shift.shape)}"
            )
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1,) + (1,) * (x.ndim - 2)
        return torch.addcmul(self.shift.view(shape), x, self.scale.view(shape))

    def extra_repr(self) -> str:
        return f"{self.scale.numel()}"


def snap(model: nn.Module) -> nn.Module:
    """A snapped copy of `model` in evaluation mode, on the CPU; the model itself is left alone.

    Batch-norms become `Affine` modules, and the latents of quantized weights become the quantized
    values (which the quantizers map to themselves). Biases and everything else stay as they are.
    """
    snapped = copy.deepcopy(model).cpu().eval()
    for parameter in snapped.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        for latent, quantizer in weight_quantizers(snapped):
            latent.copy_(quantizer.quantize(latent))
    return _replace(snapped, "")


def _replace(module: nn.Module, path: str) -> nn.Module:
    """`module` with every batch-norm inside replaced."""
    if isinstance(module, _BatchNorm):
        return _affine(module, path)
    if isinstance(module, parametrize.ParametrizationList):
        return module
    for name, child in places_of(module):
        setattr(module, name, _replace(child, f"{path}.{name}" if path else name))
    return module


def _affine(norm: _BatchNorm, path: str) -> Affine:
    """Slope and intercept once in float64, snapped, then in the dtype of the model, which holds
    them exactly."""
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise HwcError(
            f"{path}: batch-norm without running statistics cannot be built; "
            "use track_running_stats=True"
        )
    gamma = norm.weight.double() if norm.affine else torch.ones_like(mean.double())
    slope = round_mantissa(gamma / (var.double() + norm.eps).sqrt(), SLOPE_BITS)
    shift = -mean.double() * slope
    if norm.affine:
        shift = shift + norm.bias.double()
    shift = torch.round(shift / INTERCEPT_GRID) * INTERCEPT_GRID
    return Affine(slope.to(mean.dtype), shift.to(mean.dtype))
