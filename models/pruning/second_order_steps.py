"""Second-order pruning of whole networks as steps of a recipe."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hwc.models.compress.method import Work
from hwc.models.curvature import IMAGES, curvature
from hwc.models.pruning.brain_damage import (
    MOST_WEIGHTS,
    inverse_hessian,
    jacobian,
    operate_all,
    saliency,
)
from hwc.models.pruning.diagonal import Outputs, second_diagonal
from hwc.models.pruning.magnitude import keep_best_of_all
from hwc.models.pruning.mask import PruningError, latent_of, mask_of, set_mask
from hwc.models.pruning.steps import Pruning

__all__ = ["BrainDamage", "GlobalSurgeon"]


@dataclass(frozen=True)
class BrainDamage(Pruning):
    """Optimal Brain Damage: in each round the share `per_round` of the weights that are left goes,
    those of the least saliency of all layers together, and training goes on for `epochs`.

    `by` says how the loss bends: "probes" estimates J^T J of the logits, in any network; "backward"
    is the paper's second-order backward pass, in chains of layers, for the loss `outputs`.
    """

    density: float = 0.1
    per_round: float = 0.3
    by: Literal["probes", "backward"] = "probes"
    outputs: Outputs = "square"
    epochs: int = 4
    lr: float = 5e-4

    strength: ClassVar = ("density", 0.5, 0.02)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.per_round < 1:
            raise PruningError(f"obd: per_round must be between 0 and 1, got {self.per_round}")

    def apply(self, work: Work) -> None:
        latents = [latent_of(layer) for layer in work.layers.values()]
        left = 1.0
        while left > self.density:
            left = max(left * (1 - self.per_round), self.density)
            found = self._bends(work)
            scores = {}
            for (name, layer), latent, h in zip(work.layers.items(), latents, found, strict=True):
                mask, score = mask_of(layer), saliency(latent.detach(), h)
                # Without curvature (an input that is always 0) the smaller weight goes first.
                score = score + torch.finfo(score.dtype).tiny * (1 + latent.detach().abs())
                scores[name] = score if mask is None else torch.where(mask.keep, score, -1.0)
            for name, keep in keep_best_of_all(scores, left).items():
                set_mask(work.layers[name], keep)
            work.train(self.epochs, self.lr)

    def _bends(self, work: Work) -> list[Tensor]:
        """d2E/dw^2 of all layers."""
        layers = list(work.layers.values())
        if self.by == "probes":
            return curvature(work, [latent_of(layer) for layer in layers])
        return second_diagonal(work.model, layers, work.data.first(IMAGES), self.outputs)


@dataclass(frozen=True)
class GlobalSurgeon(Pruning):
    """Optimal Brain Surgeon on all layers of the step together, for small networks: the inverse
    Hessian of the logits over `images` training images, one weight at a time."""

    density: float = 0.1
    images: int = 100
    damping: float = 1e-4
    epochs: int = 0
    lr: float = 5e-4

    strength: ClassVar = ("density", 0.5, 0.02)

    def apply(self, work: Work) -> None:
        latents = [latent_of(layer) for layer in work.layers.values()]
        total = sum(latent.numel() for latent in latents)
        if total > MOST_WEIGHTS:
            raise PruningError(
                f"obs_global: the inverse Hessian of {total:,} weights takes "
                f"{8 * total**2 / 2**30:,.0f} GiB; at most {MOST_WEIGHTS:,} weights are taken. "
                'Use method = "obs", layer by layer'
            )
        rows = jacobian(work.model, latents, work.data.first(self.images))
        inverse = inverse_hessian(rows, self.damping)
        weight = torch.cat([x.weight.detach().flatten() for x in work.layers.values()])  # pyright: ignore
        count = int((weight != 0).sum()) - round(self.density * total)
        new = operate_all(weight, inverse, max(count, 0))
        parts = new.split([latent.numel() for latent in latents])
        for layer, latent, part in zip(work.layers.values(), latents, parts, strict=True):
            with torch.no_grad():
                latent.copy_(part.reshape(latent.shape))
            set_mask(layer, latent.detach() != 0)
        work.train(self.epochs, self.lr)
