"""Steps that need no family of methods: uniform quantization, and training on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Method, Work
from hwc.models.pruning.mask import chain_of
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.quantizers import quant, round_mantissa
from hwc.models.quantize.weight import (
    SCALE_BITS,
    IntWeight,
    WeightQuantizer,
    quantize_weight,
)


@dataclass(frozen=True)
class FineTune(Method):
    """Train on with what is there: masks and quantizers stay."""

    epochs: int = 10
    lr: float = 1e-3

    def apply(self, work: Work) -> None:
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Uniform(Method):
    """Uniform symmetric integers of `bits` bits: after training (`epochs` 0) or while training."""

    bits: int = 8
    per_channel: bool = False
    epochs: int = 0
    lr: float = 5e-4

    strength: ClassVar = ("bits", 8, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.bits <= 8:
            raise CompressError(f"uniform: bits must be 2..8, got {self.bits}")

    def refuses(self, layer: nn.Module) -> str | None:
        return "is quantized already" if is_quantized(layer) else None

    def apply(self, work: Work) -> None:
        for layer in work.layers.values():
            quantize_weight(layer, IntWeight(self.bits, self.per_channel))
        work.train(self.epochs, self.lr)


class KeptLevels(WeightQuantizer):
    """What a mask left, as the integers -`hi`..`hi` without 0: zeros stay zeros, nothing else
    becomes one. The step is fitted to the nonzero weights alone."""

    def __init__(self, hi: int):
        super().__init__()
        self.hi = hi

    def ideal_scale(self, weight: Tensor) -> Tensor:
        kept = weight[weight != 0].abs()
        if kept.numel() == 0:
            return torch.ones(())
        # The mean is the best one-level step; for more levels the largest weight is the last one,
        # less a share that clipping is worth.
        # torch.quantile takes 16 million values at most.
        reach = kept.mean() if self.hi == 1 else np.quantile(kept.detach().numpy(), 0.98) / self.hi
        step = torch.as_tensor(reach).to(weight)
        return round_mantissa(step, SCALE_BITS)

    def quantize(self, weight: Tensor) -> Tensor:
        least = torch.copysign(torch.maximum(weight.abs(), self.scale), weight)
        pushed = torch.where(weight == 0, weight, least)
        return quant(weight + (pushed - weight).detach(), self.scale, -self.hi, self.hi)

    def bound(self) -> Tensor:
        return (self.hi + 0.5) * self.scale


@dataclass(frozen=True)
class Levels(Method):
    """Few integer levels for the weights that pruning left: `hi` 1 is ternary with the zeros where
    the mask is. Trains on."""

    hi: int = 1
    epochs: int = 20
    lr: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.hi <= 127:
            raise CompressError(f"levels: hi must be 1..127, got {self.hi}")

    def refuses(self, layer: nn.Module) -> str | None:
        return "is quantized already" if is_quantized(layer) else None

    def apply(self, work: Work) -> None:
        for layer in work.layers.values():
            quantize_weight(layer, KeptLevels(self.hi))
        work.train(self.epochs, self.lr)


def is_quantized(layer: nn.Module) -> bool:
    """Does the weight end in a quantizer that trains with it?"""
    last = next(reversed(chain_of(layer)), None)
    return isinstance(last, WeightQuantizer) and not isinstance(last, FixedWeight)
