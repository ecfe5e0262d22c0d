"""Binary and ternary weights as steps of a recipe."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from hwc.models.binary.weights import (
    LossAwareBinary,
    OptimalTernary,
    StochasticBinary,
    TrainedTernary,
    set_importance,
)
from hwc.models.compress.method import Method, Work
from hwc.models.pruning.mask import chain_of
from hwc.models.quantize.weight import BinaryWeight, TernaryWeight, quantize_weight

__all__ = ["Binary", "LossAware", "Ternary", "Trained"]


@dataclass(frozen=True)
class _Few(Method):
    epochs: int = 20
    lr: float = 1e-3

    def refuses(self, layer: nn.Module) -> str | None:
        if chain_of(layer):
            return "has a mask or a quantizer already; two or three values are for plain weights"
        return None


@dataclass(frozen=True)
class Binary(_Few):
    """`form` "connect" (BinaryConnect: +-`scale`, by the sign), "stochastic" (drawn while training)
    or "bwn" (+-mean|w|, of every output with `per_channel`: the weights of XNOR-Net)."""

    form: Literal["connect", "stochastic", "bwn"] = "connect"
    scale: float = 0.0625
    per_channel: bool = False

    def apply(self, work: Work) -> None:
        generator = work.generator()
        for layer in work.layers.values():
            made = {
                "connect": lambda: BinaryWeight(self.scale, self.per_channel),
                "stochastic": lambda: StochasticBinary(generator, self.scale),
                "bwn": lambda: BinaryWeight(None, self.per_channel),
            }[self.form]()
            quantize_weight(layer, made)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Ternary(_Few):
    """Ternary weights: `threshold` "optimal" (exact, by sorting) or "mean" (TWN: 0.7 mean|w|)."""

    threshold: Literal["optimal", "mean"] = "optimal"
    per_channel: bool = False

    def apply(self, work: Work) -> None:
        for layer in work.layers.values():
            kind = OptimalTernary if self.threshold == "optimal" else TernaryWeight
            quantize_weight(layer, kind(self.per_channel))
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Trained(_Few):
    """Trained ternary quantization, from the weights that are there."""

    share: float = 0.05

    def apply(self, work: Work) -> None:
        for layer in work.layers.values():
            quantize_weight(layer, TrainedTernary(layer.weight, self.share))  # pyright: ignore
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class LossAware(_Few):
    """Loss-aware binarization (`levels` 2) or ternarization (3) by proximal Newton steps."""

    levels: Literal[2, 3] = 2
    per_channel: bool = False

    def apply(self, work: Work) -> None:
        kind = LossAwareBinary if self.levels == 2 else OptimalTernary
        for layer in work.layers.values():
            quantize_weight(layer, kind(self.per_channel))
        made: list[torch.optim.Optimizer] = []

        def adam(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
            made.append(torch.optim.Adam(parameters, lr=lr))
            return made[-1]

        work.train(
            self.epochs,
            self.lr,
            optimizer=adam,
            after_step=lambda step, steps: set_importance(made[-1], work.model),
        )
