"""Training with few multiplications (Lin et al. 2016, arXiv 1510.03009).

Weights are drawn binary or ternary for the forward and backward pass, and the inputs that the
weight gradient is made of are powers of two, so that both passes and the update need shifts and
additions only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwc.models.binary.drawn import Drawn
from hwc.models.quantize.power_of_two import nearest_power
from hwc.models.quantize.quantizers import quant

__all__ = [
    "ShiftLinear",
    "StochasticTernary",
    "draw_ternary",
    "plain_gradients",
    "shift_gradients",
]

EXPONENTS = 8
"""Powers of two that an input may be: 1, 1/2 ... 1/128 of the largest, and 0."""


def draw_ternary(weight: Tensor, generator: torch.Generator) -> Tensor:
    """sign(w) with probability |w|, else 0, for w in [-1, 1]: w is the mean."""
    drawn = torch.rand(weight.shape, generator=generator).to(weight)
    return torch.sign(weight) * (drawn < weight.abs()).to(weight)


class StochasticTernary(Drawn):
    """`scale * draw_ternary(w / scale)` while training, of latents in [-scale, scale]; afterwards
    the nearest of the three values. The gradient passes straight through."""

    def __init__(self, generator: torch.Generator, scale: Tensor):
        super().__init__()
        self.generator = generator
        self.scale = scale

    def observe(self, weight: Tensor) -> None:
        """Nothing: the scale is given."""

    def quantize(self, weight: Tensor) -> Tensor:
        if self.training:
            drawn = self.scale * draw_ternary(weight.detach() / self.scale, self.generator)
            weight = weight + (drawn - weight).detach()
        return quant(weight, self.scale, -1, 1)

    def bound(self) -> Tensor:
        return self.scale

    def __deepcopy__(self, memo: dict) -> "StochasticTernary":
        made = StochasticTernary(self.copied_generator(memo), self.scale.clone())
        return made.train(self.training)


def to_power(x: Tensor) -> Tensor:
    """Each x as 0 or a power of two times the largest |x|'s own power, nearest in the logarithm."""
    top = x.abs().max()
    if not top > 0:
        return x
    unit = torch.exp2(torch.floor(torch.log2(top)) - (EXPONENTS - 1))
    return nearest_power(x / unit, EXPONENTS, log=True) * unit


class _Shift(torch.autograd.Function):
    """x W^T whose weight gradient uses powers of two for x."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        (g,), (x, weight) = grads, ctx.saved_tensors
        flat, inputs = g.reshape(-1, g.shape[-1]), to_power(x).reshape(-1, x.shape[-1])
        return g @ weight, flat.T @ inputs


class ShiftLinear(nn.Linear):
    """A Linear whose weight gradient is made of power-of-two inputs."""

    def forward(self, input: Tensor) -> Tensor:
        product: Tensor = _Shift.apply(input, self.weight)  # pyright: ignore
        return product if self.bias is None else product + self.bias


def shift_gradients(layer: nn.Linear) -> None:
    """Make a Linear, parametrized or not, a `ShiftLinear` in place."""
    layer.forward = ShiftLinear.forward.__get__(layer)


def plain_gradients(layer: nn.Linear) -> None:
    """Take back `shift_gradients`."""
    layer.__dict__.pop("forward", None)
