"""Binary and ternary weight quantizers, and the hook that makes them aware of the loss."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hwc.models.binary.drawn import Drawn
from hwc.models.binary.optimum import binary_scale, ternary
from hwc.models.quantize.quantizers import bipolar, quant, round_mantissa
from hwc.models.quantize.weight import SCALE_BITS, BinaryWeight, WeightQuantizer

__all__ = [
    "LossAwareBinary",
    "OptimalTernary",
    "StochasticBinary",
    "TrainedTernary",
    "set_importance",
]


class _Weighted(WeightQuantizer):
    """A scale from weighted rows: the whole tensor is one row, or each output has its own.

    `importance` (of the weight's shape; ones until `set_importance`) is how much each error counts.
    """

    importance: Tensor

    def __init__(self, per_channel: bool = False):
        super().__init__(per_channel)
        self.register_buffer("importance", torch.empty(0))

    def rows(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and importance as rows."""
        if not self.importance.numel():
            self.importance = torch.ones_like(weight)
        n = len(weight) if self.per_channel else 1
        return weight.reshape(n, -1), self.importance.reshape(n, -1).to(weight)

    def shaped(self, values: Tensor, weight: Tensor) -> Tensor:
        """(R, 1) as `scale` is shaped: a scalar, or axes of one behind the outputs."""
        if not self.per_channel:
            return values.reshape(())
        return values.reshape(-1, *(1,) * (weight.ndim - 1))

    def bound(self) -> Tensor:
        return torch.ones_like(self.scale)

    def extra_repr(self) -> str:
        return f"per_channel={self.per_channel}"


class LossAwareBinary(_Weighted):
    """`+-scale` with the scale of the proximal Newton step (LAB); with all importances alike BWN.
    Latents live in [-1, 1]."""

    def ideal_scale(self, weight: Tensor) -> Tensor:
        return self.shaped(round_mantissa(binary_scale(*self.rows(weight)), SCALE_BITS), weight)

    def quantize(self, weight: Tensor) -> Tensor:
        # The gradient of `bipolar` has the scale as a factor, which no step of Adam feels.
        return bipolar(weight, self.scale)


class OptimalTernary(_Weighted):
    """`-scale, 0, +scale` of least (weighted) squared error: TWN with the exact threshold, or, with
    importances, the proximal step of loss-aware ternarization. The threshold is frozen with the
    scale in evaluation mode."""

    threshold: Tensor

    def __init__(self, per_channel: bool = False):
        super().__init__(per_channel)
        self.register_buffer("threshold", torch.zeros(()))

    @torch.no_grad()
    def observe(self, weight: Tensor) -> None:
        """Set scale and threshold from the latent."""
        super().observe(weight)
        _, threshold = ternary(*self.rows(weight))
        self.threshold = self.shaped(threshold, weight)

    def ideal_scale(self, weight: Tensor) -> Tensor:
        return self.shaped(round_mantissa(ternary(*self.rows(weight))[0], SCALE_BITS), weight)

    def quantize(self, weight: Tensor) -> Tensor:
        kept = (weight.abs() >= torch.minimum(self.threshold, self.scale)) & (weight != 0)
        sign = torch.where(weight < 0, -self.scale, self.scale)
        value = torch.where(kept, sign, torch.zeros_like(weight))
        return quant(weight + (value - weight).detach(), self.scale, -1, 1)

    def bound(self) -> Tensor:
        return torch.maximum(1.5 * self.scale, torch.ones_like(self.scale))


class StochasticBinary(Drawn, BinaryWeight):
    """BinaryConnect's stochastic form (Courbariaux et al. 2015, arXiv 1511.00363): while training
    +1 with probability clip((w + 1) / 2, 0, 1), else -1, times the scale. In evaluation mode the
    sign, for that is what hardware can hold (the paper's best figures use real weights there).

    `generator` draws; the same seed gives the same signs.
    """

    def __init__(self, generator: torch.Generator, scale: float | None = None):
        super().__init__(scale)
        self.generator = generator

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return super().forward(weight)
        self.observe(weight)
        drawn = torch.rand(weight.shape, generator=self.generator)
        side = torch.where(drawn < (weight.detach() + 1) / 2, 0.5, -0.5).to(weight)
        # `bipolar` passes gradients where |x| <= 1, and so it does for +-1/2.
        return bipolar(weight + (side - weight).detach(), self.scale)

    def __deepcopy__(self, memo: dict) -> "StochasticBinary":
        made = StochasticBinary(self.copied_generator(memo), self.fixed)
        made.per_channel, made.training = self.per_channel, self.training
        made.scale = self.scale.clone()
        return made


class _Ternarize(torch.autograd.Function):
    """`positive` where t > 0, `-negative` where t < 0, else 0, with TTQ's gradients."""

    @staticmethod
    def forward(ctx, weight: Tensor, t: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        ctx.save_for_backward(t, positive, negative)
        return torch.where(t > 0, positive, torch.where(t < 0, -negative, torch.zeros_like(weight)))

    @staticmethod
    def backward(ctx, *grads: Tensor):
        (g,), (t, positive, negative) = grads, ctx.saved_tensors
        factor = torch.where(t > 0, positive, torch.where(t < 0, negative, torch.ones_like(g)))
        return factor * g, None, g[t > 0].sum(), -g[t < 0].sum()


class TrainedTernary(WeightQuantizer):
    """Trained ternary quantization (Zhu et al. 2017, arXiv 1612.01064): `+positive` where w >
    share * max|w|, `-negative` below minus that, else 0; both values are trained.

    Gradients: of `positive` the sum over its weights, of `negative` minus that, of the latent times
    the value of its region (1 in the middle). The values are integers of 8 bits on one scale.
    """

    def __init__(self, weight: Tensor, share: float = 0.05):
        super().__init__()
        self.share, self.hi = share, 127
        t, size = self.regions(weight.detach()), weight.detach().abs()
        top = size.max()
        self.positive = nn.Parameter(size[t > 0].mean() if bool((t > 0).any()) else top.clone())
        self.negative = nn.Parameter(size[t < 0].mean() if bool((t < 0).any()) else top.clone())
        self.scale = round_mantissa(2 * top / self.hi, SCALE_BITS).clamp(min=2.0**-24)

    def regions(self, weight: Tensor) -> Tensor:
        """-1, 0 or +1 for each weight."""
        limit = self.share * weight.abs().max()
        return (weight > limit).to(weight) - (weight < -limit).to(weight)

    def observe(self, weight: Tensor) -> None:
        """Nothing: the scale only rounds the values."""

    def forward(self, weight: Tensor) -> Tensor:
        if self.training:
            values = _Ternarize.apply(
                weight, self.regions(weight.detach()), self.positive, self.negative
            )
            return quant(values, self.scale, -self.hi, self.hi)  # pyright: ignore
        return self.quantize(weight)

    def quantize(self, weight: Tensor) -> Tensor:
        t = self.regions(weight)
        zero = torch.zeros_like(weight)
        values = torch.where(t > 0, self.positive, torch.where(t < 0, -self.negative, zero))
        return quant(values.detach().to(weight), self.scale, -self.hi, self.hi)

    def bound(self) -> Tensor:
        return torch.full_like(self.scale, torch.inf)


def set_importance(optimizer: torch.optim.Optimizer, model: nn.Module, eps: float = 1e-8) -> None:
    """Give every loss-aware quantizer of `model` the curvature of its latent, sqrt(v) + eps with
    Adam's second moment v, bias-corrected: call after each step of an Adam optimizer.

    Nothing happens to latents that the optimizer has not updated yet (their errors count alike).
    """
    for latent, quantizer in _loss_aware(model):
        state = optimizer.state.get(latent)
        if not state:
            continue
        beta = next(
            g["betas"][1] for g in optimizer.param_groups if any(p is latent for p in g["params"])
        )
        v = state["exp_avg_sq"] / (1 - beta ** float(state["step"]))
        quantizer.importance = v.sqrt() + eps


def _loss_aware(model: nn.Module) -> Iterable[tuple[nn.Parameter, _Weighted]]:
    from hwc.models.quantize.weight import weight_quantizers

    for latent, quantizer in weight_quantizers(model):
        if isinstance(quantizer, _Weighted):
            yield latent, quantizer
