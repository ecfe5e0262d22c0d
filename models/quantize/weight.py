"""Weight quantizers: parametrizations for plain `nn.Linear` and `nn.Conv*`.

quantize_weight(layer, IntWeight(bits=4))

is `torch.nn.utils.parametrize.register_parametrization(layer, "weight", IntWeight(bits=4))`:
`layer.weight` becomes quantized, the float latent stays in
`layer.parametrizations.weight.original`, any optimizer trains it straight through. The scale
follows the latent in training mode and is frozen in evaluation mode. Scales have a 4-bit mantissa,
`(8..15) * 2**e`, so that they fold into what follows without rounding.
"""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.compiler.graph.errors import HwcError
from hwc.models.quantize.quantizers import bipolar, ceil_mantissa, quant, round_mantissa

M = TypeVar("M", bound=nn.Module)

SCALE_BITS = 4
SMALLEST_SCALE = 2.0**-24  # of an all-zero weight; any positive number would do

# Step, in standard deviations, of the uniform quantizer with 2**bits - 1 levels (one at zero) of
# least mean squared error on a Gaussian: what J. Max tabulates in "Quantizing for minimum
# distortion" (1960), here for odd numbers of levels.
GAUSSIAN_STEP = {2: 1.2240, 3: 0.6508, 4: 0.3534, 5: 0.1932}


class WeightQuantizer(nn.Module):
    """What weight quantizers share: a frozen-or-following `scale`, per tensor or along axis 0.

    Subclasses give `ideal_scale` and `quantize`, and `bound`: latents are kept within `bound() *
    [-1, 1]` by `clip_weights`, the range in which the quantizer passes gradients.
    """

    scale: Tensor

    def __init__(self, per_channel: bool = False):
        super().__init__()
        self.per_channel = per_channel
        self.register_buffer("scale", torch.ones(()))

    def ideal_scale(self, weight: Tensor) -> Tensor:
        """The scale for `weight` before snapping is applied, shaped by `reduce`."""
        raise NotImplementedError

    def quantize(self, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def bound(self) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def observe(self, weight: Tensor) -> None:
        """Set `scale` from the latent weight (a new tensor: an earlier use may still want its own
        to go backward)."""
        self.scale = self.ideal_scale(weight).clamp(min=SMALLEST_SCALE).to(self.scale)

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the tensor, or per output channel with the axes kept."""
        return x.mean(dim=self._axes(x), keepdim=True) if self.per_channel else x.mean()

    def largest(self, x: Tensor) -> Tensor:
        """Maximum over the tensor, or per output channel with the axes kept."""
        return x.amax(dim=self._axes(x), keepdim=True) if self.per_channel else x.amax()

    def _axes(self, x: Tensor) -> tuple[int, ...]:
        return tuple(range(1, x.ndim))

    def forward(self, weight: Tensor) -> Tensor:
        if self.training:
            self.observe(weight)
        return self.quantize(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Called on registration and when the weight is set: fit the scale, keep the latent."""
        self.observe(weight.detach())
        return weight


class IntWeight(WeightQuantizer):
    """Signed integers of 2..8 bits in the symmetric range `[-(2**(bits-1) - 1), 2**(bits-1) - 1]`.

    Up to 5 bits the scale is the best one for Gaussian weights (never more than needed for the
    largest weight); from 6 bits on it covers the largest weight.
    """

    def __init__(self, bits: int, per_channel: bool = False):
        if not 2 <= bits <= 8:
            raise HwcError(f"IntWeight: bits must be 2..8, got {bits}; for 1 bit use BinaryWeight")
        super().__init__(per_channel)
        self.bits = bits
        self.hi = 2 ** (bits - 1) - 1

    def ideal_scale(self, weight: Tensor) -> Tensor:
        cover = ceil_mantissa(self.largest(weight.abs()) / self.hi, SCALE_BITS)
        if self.bits not in GAUSSIAN_STEP:
            return cover
        rms = self.mean(weight.square()).sqrt()
        return torch.minimum(cover, round_mantissa(GAUSSIAN_STEP[self.bits] * rms, SCALE_BITS))

    def quantize(self, weight: Tensor) -> Tensor:
        return quant(weight, self.scale, -self.hi, self.hi)

    def bound(self) -> Tensor:
        return (self.hi + 0.5) * self.scale

    def extra_repr(self) -> str:
        return f"bits={self.bits}, per_channel={self.per_channel}"


class TernaryWeight(WeightQuantizer):
    """`-scale, 0, +scale` with `scale = 1.4 * mean|w|`, so the threshold `scale / 2` is the `0.7 *
    mean|w|` of Ternary Weight Networks (Li et al. 2016)."""

    def ideal_scale(self, weight: Tensor) -> Tensor:
        return round_mantissa(1.4 * self.mean(weight.abs()), SCALE_BITS)

    def quantize(self, weight: Tensor) -> Tensor:
        return quant(weight, self.scale, -1, 1)

    def bound(self) -> Tensor:
        return 1.5 * self.scale

    def extra_repr(self) -> str:
        return f"per_channel={self.per_channel}"


class BinaryWeight(WeightQuantizer):
    """`+scale` where `w >= 0`, else `-scale` (BinaryConnect), with `scale` fixed or, if None,
    `mean|w|` (BWN).

    Latents live in [-1, 1]; without the clip they drift and stop flipping.
    """

    def __init__(self, scale: float | None = None, per_channel: bool = False):
        super().__init__(per_channel)
        if scale is not None and not scale > 0:
            raise HwcError(f"BinaryWeight: scale must be positive, got {scale}")
        self.fixed = scale

    def ideal_scale(self, weight: Tensor) -> Tensor:
        mean = self.mean(weight.abs())
        ideal = mean if self.fixed is None else torch.full_like(mean, self.fixed)
        return round_mantissa(ideal, SCALE_BITS)

    def quantize(self, weight: Tensor) -> Tensor:
        return bipolar(weight, self.scale)

    def bound(self) -> Tensor:
        return torch.ones_like(self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.fixed}, per_channel={self.per_channel}"


def quantize_weight(layer: M, quantizer: WeightQuantizer, name: str = "weight") -> M:
    """Register `quantizer` on the parameter `name` of `layer` and return the layer."""
    if not isinstance(getattr(layer, name, None), Tensor):
        raise HwcError(f"quantize_weight: {type(layer).__name__} has no parameter {name!r}")
    weight = getattr(layer, name).detach().clone()
    parametrize.register_parametrization(layer, name, quantizer)
    # Behind a mask registration has shown it quantized values only, of a scale of its own.
    quantizer.observe(weight)
    return layer


def weight_quantizers(model: nn.Module) -> Iterator[tuple[nn.Parameter, WeightQuantizer]]:
    """Every (latent parameter, quantizer) of the model."""
    for module in model.modules():
        if isinstance(module, parametrize.ParametrizationList):
            found = [part for part in module if isinstance(part, WeightQuantizer)]
            latent = getattr(module, "original", None)
            if found and isinstance(latent, nn.Parameter):
                yield latent, found[-1]  # behind a mask, if there is one


@torch.no_grad()
def clip_weights(model: nn.Module) -> None:
    """Clip all latent weights to the range in which their quantizer passes gradients; call after
    optimizer.step()."""
    for latent, quantizer in weight_quantizers(model):
        bound = quantizer.bound()
        latent.copy_(torch.clamp(latent, -bound, bound))
