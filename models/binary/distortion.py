"""How much distortion of its weights a network bears (Merolla et al. 2016, arXiv 1606.01981)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.compiler.graph.errors import HwcError
from hwc.models.compress.layers import layers_of
from hwc.models.copying import copy_of
from hwc.models.pruning.mask import chain_of, latent_of

__all__ = ["KINDS", "Kind", "Point", "distort", "robustness"]

Kind = Literal["add", "multiply", "sign", "round", "power", "flip"]
KINDS: tuple[Kind, ...] = ("add", "multiply", "sign", "round", "power", "flip")


def distort(weight: Tensor, kind: Kind, amount: float, generator: torch.Generator) -> Tensor:
    """The weight after a distortion; s is its largest magnitude.

    add: uniform noise from -amount * s to amount * s. multiply: times a uniform factor from 1 -
    amount to 1 + amount. sign: (1 - amount) * w + amount * mean|w| * sign(w). round: to multiples
    of amount * s. power: sign(w) * s * (|w| / s)**(1 + amount). flip: each weight changes its sign
    with probability amount. `amount` 0 changes nothing.
    """
    if not amount >= 0:
        raise HwcError(f"distortion must not be negative, got {amount}")
    top = weight.abs().max()
    noise = 2 * torch.rand(weight.shape, generator=generator).to(weight) - 1
    if kind == "add":
        return weight + amount * top * noise
    if kind == "multiply":
        return weight * (1 + amount * noise)
    if kind == "sign":
        return (1 - amount) * weight + amount * weight.abs().mean() * torch.sign(weight)
    if kind == "round":
        return weight if amount == 0 else torch.round(weight / (amount * top)) * (amount * top)
    if kind == "power":
        return torch.sign(weight) * top * (weight.abs() / top).pow(1 + amount)
    if kind == "flip":
        return torch.where((noise + 1) / 2 < amount, -weight, weight)
    raise HwcError(f"no distortion {kind!r}; there are {', '.join(KINDS)}")


@dataclass(frozen=True)
class Point:
    """What was left of a network: mean and standard deviation of `evaluate` over the draws."""

    kind: Kind
    amount: float
    mean: float
    deviation: float


@torch.no_grad()
def robustness(
    model: nn.Module,
    evaluate: Callable[[nn.Module], float],
    kinds: Iterable[Kind] = KINDS,
    amounts: Sequence[float] = (0.0, 0.1, 0.25, 0.5, 1.0),
    draws: int = 3,
    seed: int = 0,
) -> list[Point]:
    """`evaluate` of copies whose Linear and Conv weights are distorted, for every kind and amount.

    The weights that the layers see are distorted, after all quantizers; the model is left alone.
    """
    found = []
    for kind in kinds:
        for amount in amounts:
            results = []
            for draw in range(draws):
                generator = torch.Generator().manual_seed(seed * 1009 + draw)
                results.append(evaluate(_distorted(model, kind, amount, generator)))
            values = torch.tensor(results, dtype=torch.float64)
            found.append(Point(kind, amount, float(values.mean()), float(values.std(correction=0))))
    return found


def _distorted(
    model: nn.Module, kind: Kind, amount: float, generator: torch.Generator
) -> nn.Module:
    copied = copy_of(model).eval()
    for layer in layers_of(copied).values():
        weight = distort(layer.weight.detach(), kind, amount, generator)  # pyright: ignore
        if chain_of(layer):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        latent_of(layer).copy_(weight)
    return copied
