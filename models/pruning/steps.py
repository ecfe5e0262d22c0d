"""Pruning as steps of a recipe."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwc.models.compress.method import Method, Work
from hwc.models.pruning import penalties
from hwc.models.pruning.channel_steps import cut_weakest, whole
from hwc.models.pruning.gradual import density_at
from hwc.models.pruning.magnitude import keep_best, keep_best_of_all
from hwc.models.pruning.mask import (
    PruningError,
    chain_of,
    latent_of,
    mask_of,
    set_mask,
)
from hwc.models.pruning.patterns import keep_pattern
from hwc.models.pruning.sensitivity import densities, scan
from hwc.models.pruning.surgeon import hessian, no_rows, rows_of, surgeon, without_idle
from hwc.models.pruning.surgery import Thresholds, operate, settle

__all__ = [
    "BiasedDecay",
    "Gradual",
    "Magnitude",
    "NofM",
    "Pruning",
    "Regularized",
    "Surgeon",
    "Surgery",
]


@dataclass(frozen=True)
class Pruning(Method):
    """What pruning methods share: masks come before quantizers."""

    def refuses(self, layer: nn.Module) -> str | None:
        if chain_of(layer) and mask_of(layer) is None:
            return "is quantized already; a step that prunes comes before one that quantizes"
        return None


@dataclass(frozen=True)
class Portioned(Pruning):
    """Pruning to a density that layers may have each for itself: `densities` in their order; else
    `sensitivity` scans how much each can lose and shares `density` out; else all have `density`."""

    density: float = 0.1
    densities: tuple[float, ...] = ()
    sensitivity: bool = False

    @property
    def chooses(self) -> bool:
        return self.sensitivity and not self.densities

    def targets(self, work: Work) -> list[float]:
        """The density of every layer."""
        if self.chooses:
            return list(densities(scan(work.layers, work.evaluate), self.density).values())
        if not self.densities:
            return [self.density] * len(work.layers)
        if len(self.densities) != len(work.layers):
            raise PruningError(
                f"densities are {len(self.densities)}, but the step treats {len(work.layers)} "
                f"layers: {', '.join(work.layers)}"
            )
        return list(self.densities)


def _sizes(work: Work) -> dict[str, Tensor]:
    return {name: latent_of(layer).detach().abs() for name, layer in work.layers.items()}


@dataclass(frozen=True)
class Magnitude(Pruning):
    """The smallest weights go at once, then training goes on: of each layer, or of all together."""

    density: float = 0.1
    scope: Literal["layer", "global"] = "layer"
    epochs: int = 10
    lr: float = 1e-3

    strength: ClassVar = ("density", 0.5, 0.01)

    def apply(self, work: Work) -> None:
        if self.scope == "global":
            masks = keep_best_of_all(_sizes(work), self.density)
        else:
            masks = {name: keep_best(s, self.density) for name, s in _sizes(work).items()}
        for name, layer in work.layers.items():
            set_mask(layer, masks[name])
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Gradual(Portioned):
    """Automated gradual pruning: the density falls along a cubic ramp over the first `ramp` of the
    training, the masks are drawn anew `updates` times, then training goes on with the last ones."""

    epochs: int = 40
    lr: float = 1e-3
    ramp: float = 0.6
    updates: int = 50

    strength: ClassVar = ("density", 0.5, 0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ramp <= 1 or self.updates < 1:
            raise PruningError("gradual: ramp must be above 0 and at most 1, updates at least 1")

    def apply(self, work: Work) -> None:
        final = self.targets(work)
        layers = list(work.layers.values())

        def cut(step: int, steps: int) -> None:
            end = max(int(steps * self.ramp), 1)
            every = max(end // self.updates, 1)
            if step > end or (step % every and step != end):
                return
            for layer, target in zip(layers, final, strict=True):
                size = latent_of(layer).detach().abs()
                set_mask(layer, keep_best(size, density_at(step, end, target)))

        for layer in layers:
            set_mask(layer, torch.ones_like(latent_of(layer), dtype=torch.bool))
        work.train(self.epochs, self.lr, after_step=cut)
        for layer, target in zip(layers, final, strict=True):
            mask = mask_of(layer)
            assert mask is not None
            latent = latent_of(layer).detach().abs() * mask.keep
            set_mask(layer, keep_best(latent, target) & mask.keep)


@dataclass(frozen=True)
class Surgery(Pruning):
    """Dynamic network surgery with threshold mean + `c` * std of every layer; masks are looked at
    with falling probability until `stop` of the training."""

    c: float = 1.0
    gamma: float = 1e-4
    power: float = 1.0
    stop: float = 0.7
    epochs: int = 40
    lr: float = 1e-3

    strength: ClassVar = ("c", 0.0, 4.0)

    def apply(self, work: Work) -> None:
        rng = work.generator()
        limits = {k: Thresholds.of(latent_of(v), self.c) for k, v in work.layers.items()}

        def look(step: int, steps: int) -> None:
            chance = (1 + self.gamma * step) ** -self.power
            if step < self.stop * steps and float(torch.rand((), generator=rng)) < chance:
                for name, layer in work.layers.items():
                    operate(layer, limits[name])

        for name, layer in work.layers.items():
            operate(layer, limits[name])
        work.train(self.epochs, self.lr, after_step=look)
        for layer in work.layers.values():
            settle(layer)


@dataclass(frozen=True)
class NofM(Pruning):
    """At most `n` of each `m` neighbouring inputs, by magnitude, then training goes on."""

    n: int = 2
    m: int = 4
    epochs: int = 10
    lr: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.n < self.m:
            raise PruningError(f"n must be below m, got {self.n}:{self.m}")

    def refuses(self, layer: nn.Module) -> str | None:
        if latent_of(layer).shape[1] % self.m:
            return f"has {latent_of(layer).shape[1]} inputs, which {self.m} does not divide"
        return super().refuses(layer)

    def apply(self, work: Work) -> None:
        for name, size in _sizes(work).items():
            set_mask(work.layers[name], keep_pattern(size, self.n, self.m))
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Surgeon(Portioned):
    """Layer-wise Optimal Brain Surgeon, in the order of the layers: each sees the inputs that the
    pruned ones before it give. No training is needed; `epochs` may follow."""

    epochs: int = 0
    lr: float = 5e-4

    strength: ClassVar = ("density", 0.5, 0.02)

    def refuses(self, layer: nn.Module) -> str | None:
        return super().refuses(layer) or no_rows(layer)

    def apply(self, work: Work) -> None:
        final = self.targets(work)
        for (name, layer), target in zip(work.layers.items(), final, strict=True):
            inputs, latent = rows_of(layer, work.inputs_of(name)), latent_of(layer)
            weight = without_idle(latent.detach().flatten(1), inputs)
            new = surgeon(weight, hessian(inputs), target).reshape(latent.shape)
            with torch.no_grad():
                latent.copy_(new)
            set_mask(layer, new != 0)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class Regularized(Pruning):
    """Training with an l1, l2 or group penalty, then the smallest weights (or, with a group
    penalty, units for good) go and training goes on without it."""

    penalty: Literal["l1", "l2", "group"] = "l1"
    rate: float = 1e-4
    density: float = 0.1
    epochs: int = 20
    lr: float = 1e-3
    tune: int = 10

    strength: ClassVar = ("density", 0.5, 0.01)

    def apply(self, work: Work) -> None:
        weights = [latent_of(layer) for layer in work.layers.values()]
        of = {"l1": penalties.l1, "l2": penalties.l2, "group": penalties.group_lasso}[self.penalty]
        work.train(self.epochs, self.lr, penalty=lambda: self.rate * of(weights))
        for layer in work.layers.values():
            if self.penalty != "group":
                set_mask(layer, keep_best(latent_of(layer).detach().abs(), self.density))
        if self.penalty == "group":
            cut_weakest(work, 2, self._weakest)
        work.train(self.tune, self.lr)

    def _weakest(self, load: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.argsort(load)[: len(load) - round(self.density * len(load))]

    def refuses(self, layer: nn.Module) -> str | None:
        return whole(layer) if self.penalty == "group" else super().refuses(layer)


@dataclass(frozen=True)
class BiasedDecay(Pruning):
    """Hanson & Pratt's biased weight decay, its rate ramped up over the first half of the training;
    units whose incoming weights have shrunk below `least` of the largest unit's are taken out."""

    form: Literal["hyperbolic", "exponential"] = "hyperbolic"
    rate: float = 0.05
    weight: float = 1e-2
    least: float = 0.05
    epochs: int = 30
    lr: float = 1e-3
    tune: int = 5

    strength: ClassVar = ("weight", 1e-3, 0.3)

    def apply(self, work: Work) -> None:
        weights = [latent_of(layer) for layer in work.layers.values()]
        of = penalties.hyperbolic if self.form == "hyperbolic" else penalties.exponential
        progress = [0.0]

        def after(step: int, steps: int) -> None:
            progress[0] = min(1.0, 2 * step / steps)

        work.train(
            self.epochs,
            self.lr,
            penalty=lambda: progress[0] * self.weight * of(weights, self.rate),
            after_step=after,
        )
        cut_weakest(work, 1, lambda load: np.flatnonzero(load < self.least * load.max()))
        work.train(self.tune, self.lr)

    def refuses(self, layer: nn.Module) -> str | None:
        return whole(layer)
