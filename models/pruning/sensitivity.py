"""How much of each layer can go, found by trying, so that nobody sets it by hand.

Every layer alone is pruned by magnitude to falling densities while accuracy on held-out data is
watched. A common accepted drop then gives every layer its density, and the drop is chosen by
bisection so that the whole network reaches the density asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize

from hwc.models.pruning.magnitude import keep_best
from hwc.models.pruning.mask import PruningError, latent_of

__all__ = ["LEVELS", "Curve", "densities", "scan"]

LEVELS = (0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01)


@dataclass(frozen=True)
class Curve:
    """Loss of accuracy (fractions, at least 0) of one layer of `size` weights at falling
    `levels` of density; made monotone, for a scan of few samples is noisy."""

    size: int
    levels: tuple[float, ...]
    drops: tuple[float, ...]

    def density(self, drop: float) -> float:
        """The least density whose loss is at most `drop`, linear between the levels; 1 at most."""
        before_level, before_drop = 1.0, 0.0
        for level, loss in zip(self.levels, self.drops, strict=True):
            if loss > drop:
                share = (drop - before_drop) / (loss - before_drop)
                return before_level + share * (level - before_level)
            before_level, before_drop = level, loss
        return self.levels[-1]


@torch.no_grad()
def scan(
    layers: Mapping[str, nn.Module],
    evaluate: Callable[[], float],
    levels: Sequence[float] = LEVELS,
) -> dict[str, Curve]:
    """The curve of every layer. Weights are changed for a moment and put back."""
    full, found = evaluate(), {}
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer, "weight"):
            raise PruningError(f"layer {name!r} has a mask or a quantizer already; scan before")
        weight = latent_of(layer)
        kept, drops, worst = weight.clone(), [], 0.0
        for level in levels:
            weight.copy_(torch.where(keep_best(kept.abs(), level), kept, torch.zeros_like(kept)))
            worst = max(worst, full - evaluate())
            drops.append(worst)
        weight.copy_(kept)
        found[name] = Curve(weight.numel(), tuple(levels), tuple(drops))
    return found


def densities(curves: Mapping[str, Curve], density: float) -> dict[str, float]:
    """A density for every layer, of equal accepted loss, that keep `density` of all weights."""
    if not 0 < density <= 1:
        raise PruningError(f"density must be above 0 and at most 1, got {density}")
    total = sum(curve.size for curve in curves.values())

    def share(drop: float) -> float:
        return sum(c.size * c.density(drop) for c in curves.values()) / total

    low, high = 0.0, max(max(c.drops) for c in curves.values()) + 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) > density else (low, middle)
    found = {name: c.density(high) for name, c in curves.items()}
    # Beyond the last level of every layer: all shrink alike.
    factor = min(1.0, density * total / sum(c.size * found[n] for n, c in curves.items()))
    return {name: value * factor for name, value in found.items()}
