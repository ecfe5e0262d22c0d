"""Weights whose grid is given, not fitted."""

import torch
from torch import Tensor

from hwc.models.quantize.quantizers import bipolar, quant
from hwc.models.quantize.weight import WeightQuantizer

__all__ = ["FixedWeight"]


class FixedWeight(WeightQuantizer):
    """A weight that came in quantized, to integers within `limits` or (None) to one of two values:
    its scale never moves. Layers that a step treats lose it."""

    def __init__(self, limits: tuple[int, int] | None, scale: Tensor):
        super().__init__()
        self.limits = limits
        self.scale = scale

    def observe(self, weight: Tensor) -> None:
        """Nothing: the scale is given."""

    def quantize(self, weight: Tensor) -> Tensor:
        if self.limits is None:
            return bipolar(weight, self.scale)
        return quant(weight, self.scale, *self.limits)

    def bound(self) -> Tensor:
        if self.limits is None:
            return torch.ones_like(self.scale)
        return (max(map(abs, self.limits)) + 0.5) * self.scale
