"""Power-of-two weights: 0 and +-scale * 2**e, so that a product is a shift."""

import torch
from torch import Tensor

from hwc.compiler.graph.errors import HwcError
from hwc.models.quantize.quantizers import ceil_mantissa, quant
from hwc.models.quantize.weight import WeightQuantizer

__all__ = ["PowerOfTwoWeight", "nearest_power"]


def nearest_power(x: Tensor, levels: int, log: bool = False) -> Tensor:
    """The nearest of 0, +-1, +-2 ... +-2**(levels - 1) to each x.

    Nearest in value: halfway goes away from 0, so that 1.5 becomes 2 and 0.5 becomes 1. With `log`
    nearest in the logarithm, as in Lin et al. 2016 (arXiv 1510.03009): the border is sqrt(2) times
    the lower power, and 0 begins below 1 / sqrt(2).
    """
    size, border = x.abs(), 2**0.5 if log else 1.5
    power = (size >= border / 2 if log else size >= 0.5).to(x)
    for e in range(1, levels):
        power = power + (size >= border * 2 ** (e - 1)).to(x) * 2 ** (e - 1)
    return torch.where(x < 0, -power, power)


class PowerOfTwoWeight(WeightQuantizer):
    """Weights of `bits` bits: a sign and the number of one of 2**(bits - 1) - 1 powers of two, or
    of 0. The largest power covers the largest weight to 3/4. Straight-through gradient."""

    def __init__(self, bits: int = 4, per_channel: bool = False, log: bool = False):
        if not 2 <= bits <= 4:
            raise HwcError(f"PowerOfTwoWeight: bits must be 2..4, got {bits}")
        super().__init__(per_channel)
        self.bits, self.log = bits, log
        self.levels = 2 ** (bits - 1) - 1
        self.hi = 2 ** (self.levels - 1)

    def ideal_scale(self, weight: Tensor) -> Tensor:
        # A power of two as well: no product is left anywhere.
        return ceil_mantissa(self.largest(weight.abs()) / (1.5 * self.hi), 1)

    def quantize(self, weight: Tensor) -> Tensor:
        powers = nearest_power(weight.detach() / self.scale, self.levels, self.log) * self.scale
        # The value is the power; the gradient is the plain quantizer's.
        return quant(weight + (powers - weight).detach(), self.scale, -self.hi, self.hi)

    def bound(self) -> Tensor:
        return (self.hi + 0.5) * self.scale

    def extra_repr(self) -> str:
        return f"bits={self.bits}, per_channel={self.per_channel}, log={self.log}"
