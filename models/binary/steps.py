"""Binary and ternary weights as steps of a recipe."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from hwc.models.binary.few_multiplications import (
    StochasticTernary,
    plain_gradients,
    shift_gradients,
)
from hwc.models.binary.weights import (
    LossAwareBinary,
    OptimalTernary,
    StochasticBinary,
    TrainedTernary,
    set_importance,
)
from hwc.models.compress.method import Method, Work
from hwc.models.pruning.mask import mask_of, quantized
from hwc.models.quantize.quantizers import round_mantissa
from hwc.models.quantize.weight import (
    SCALE_BITS,
    SMALLEST_SCALE,
    BinaryWeight,
    TernaryWeight,
    quantize_weight,
)

__all__ = ["Binary", "FewMultiplications", "LossAware", "Ternary", "Trained"]


@dataclass(frozen=True)
class _Few(Method):
    epochs: int = 20
    lr: float = 1e-3

    def refuses(self, layer: nn.Module) -> str | None:
        return "is quantized already" if quantized(layer) else None


def _no_zero(layer: nn.Module) -> str | None:
    return "is pruned, and two values have no zero" if mask_of(layer) is not None else None


@dataclass(frozen=True)
class Binary(_Few):
    """`form` "connect" (BinaryConnect: +-`scale`, by the sign), "stochastic" (drawn while training)
    or "bwn" (+-mean|w|, of every output with `per_channel`: the weights of XNOR-Net)."""

    form: Literal["connect", "stochastic", "bwn"] = "connect"
    scale: float = 0.0625
    per_channel: bool = False

    def refuses(self, layer: nn.Module) -> str | None:
        return super().refuses(layer) or _no_zero(layer)

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

    def refuses(self, layer: nn.Module) -> str | None:
        if self.threshold == "mean" and mask_of(layer) is not None:
            return 'is pruned, and the mean counts its zeros; use threshold = "optimal"'
        return super().refuses(layer)

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
class FewMultiplications(_Few):
    """Ternary or binary connect with quantized back-propagation: weights are drawn for both passes,
    the weight gradient sees its inputs as powers of two. The scale is twice the root mean square of
    the weights that are there."""

    form: Literal["ternary", "binary"] = "ternary"

    def refuses(self, layer: nn.Module) -> str | None:
        if not isinstance(layer, nn.Linear):
            return "is no Linear, whose gradient this changes"
        return super().refuses(layer) or _no_zero(layer)

    def apply(self, work: Work) -> None:
        generator = work.generator()
        layers = [layer for layer in work.layers.values() if isinstance(layer, nn.Linear)]
        for layer in layers:
            size = 2 * layer.weight.detach().square().mean().sqrt()
            scale = round_mantissa(size, SCALE_BITS).clamp(min=SMALLEST_SCALE)
            if self.form == "ternary":
                quantize_weight(layer, StochasticTernary(generator, scale))
                continue
            with torch.no_grad():
                layer.weight.div_(scale).clamp_(-1, 1)
            quantize_weight(layer, StochasticBinary(generator, float(scale)))
        for layer in layers:
            shift_gradients(layer)
        work.train(self.epochs, self.lr)
        for layer in layers:
            plain_gradients(layer)


@dataclass(frozen=True)
class LossAware(_Few):
    """Loss-aware binarization (`levels` 2) or ternarization (3) by proximal Newton steps."""

    levels: Literal[2, 3] = 2
    per_channel: bool = False

    def refuses(self, layer: nn.Module) -> str | None:
        return super().refuses(layer) or (_no_zero(layer) if self.levels == 2 else None)

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
