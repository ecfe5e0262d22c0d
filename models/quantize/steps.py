"""16-bit training as a step of a recipe."""

from dataclasses import dataclass

import torch
from torch import nn

from hwc.models.compress.method import Method, Work
from hwc.models.pruning.mask import chain_of
from hwc.models.quantize.fixed_signals import fixed_signals
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.stochastic import Fixed, FixedSGD
from hwc.models.quantize.weight import quantize_weight

__all__ = ["FixedPoint"]


@dataclass(frozen=True)
class FixedPoint(Method):
    """Training in fixed point of `bits` bits: weights and updates with `fraction` bits behind the
    point, what layers put out with `activation_fraction`, errors with `error_fraction`. Stochastic
    rounding, or with `stochastic = false` to nearest, under which training stalls. The weights stay
    integers of `bits` bits until a later step takes them over.
    """

    bits: int = 16
    fraction: int = 14
    activation_fraction: int = 10
    error_fraction: int = 14
    stochastic: bool = True
    epochs: int = 20
    lr: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for fraction in (self.fraction, self.activation_fraction, self.error_fraction):
            Fixed(self.bits - fraction, fraction)

    def refuses(self, layer: nn.Module) -> str | None:
        return "has a mask or a quantizer already" if chain_of(layer) else None

    def apply(self, work: Work) -> None:
        weights, activations, errors = (
            Fixed(self.bits - fraction, fraction)
            for fraction in (self.fraction, self.activation_fraction, self.error_fraction)
        )

        def make(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
            return FixedSGD(parameters, lr, weights, work.seed, self.stochastic)

        layers = list(work.layers.values())
        with fixed_signals(work.model, layers, activations, errors, work.seed, self.stochastic):
            work.train(self.epochs, self.lr, optimizer=make)
        half = 2 ** (self.bits - 1)
        for layer in layers:
            quantize_weight(layer, FixedWeight((-half, half - 1), torch.tensor(weights.step)))
