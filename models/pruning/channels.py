"""Which channels go: scores of their classes, and how many of each group a budget leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
import torch
from torch import Tensor, nn

from hwc.models.pruning.dependencies import Channels, Labels, Use
from hwc.models.pruning.mask import PruningError
from hwc.models.pruning.remove import CONVOLUTIONS, NORMS, TRANSPOSED, kept_places

__all__ = ["Budget", "chosen", "gamma", "loads", "magnitude", "makers_of", "positions", "taylor"]

Scores = Mapping[int, float]
"""Score of every class that may go, by its root: the lowest go first."""


def _summed(channels: Channels, values: Mapping[Use, Tensor]) -> dict[int, float]:
    """Sum over all places of each class that may go of values (one for every index of a use)."""
    total = np.zeros(len(channels.parent))
    for use, value in values.items():
        np.add.at(total, channels.roots(channels.uses[use]), value.double().numpy())
    return {int(r): float(total[r]) for group in channels.groups() for r in group}


def _by_index(value: Tensor, axis: int) -> Tensor:
    """Sums over all axes but one."""
    return value.movedim(axis, 0).flatten(1).sum(1) if value.ndim > 1 else value


def loads(model: nn.Module, channels: Channels, power: int = 1) -> dict[int, float]:
    """Sum of |w|**power of the weights that make each channel that may go."""
    makers = {}
    for use in channels.uses:
        if use.makes:
            weight = model.get_submodule(use.module).get_parameter(use.tensor)
            makers[use] = _by_index(weight.detach().abs() ** power, use.axis)
    return _summed(channels, makers)


def magnitude(model: nn.Module, channels: Channels) -> dict[int, float]:
    """Rank by the sum of |w| of the weights that make a channel, as a share of its group (Li et al.
    2017, arXiv 1608.08710): all groups lose the same share."""
    sizes, found = loads(model, channels), {}
    for group in channels.groups():
        ranked = sorted(group.tolist(), key=lambda root: (sizes[root], root))
        found |= {root: (rank + 0.5) / len(group) for rank, root in enumerate(ranked)}
    return found


def gamma(model: nn.Module, channels: Channels, groups: list[Labels]) -> dict[int, float]:
    """Of each channel of `groups` the largest |gamma| of the batch-norms that it passes (network
    slimming, Liu et al. 2017, arXiv 1708.06519). PruningError for a group that passes none."""
    found: dict[int, float] = {}
    for use, labels in channels.uses.items():
        module = model.get_submodule(use.module)
        if use.tensor != "weight" or not isinstance(module, NORMS):
            continue
        for root, value in zip(channels.roots(labels), module.weight.detach().abs(), strict=True):
            found[int(root)] = max(found.get(int(root), 0.0), float(value))
    for group in groups:
        if int(group[0]) not in found:
            raise PruningError(
                f"slimming: the channels of {', '.join(makers_of(channels, group))} pass no "
                "batch-norm with a weight; use another criterion, or except them"
            )
    return {int(r): found[int(r)] for group in groups for r in group}


def taylor(
    model: nn.Module, channels: Channels, curvature: Mapping[str, Tensor]
) -> dict[int, float]:
    """Sum of h * w**2 over all weights of a channel, with h the curvature by parameter (mean
    squared gradients): what the loss would rise by without them (Molchanov et al. 2019, arXiv
    1906.10771). Groups compare as they are."""
    values = {}
    for use in channels.uses:
        name = f"{use.module}.{use.tensor}"
        if name in curvature:
            saliency = curvature[name] * model.get_parameter(name).detach().square()
            values[use] = _by_index(saliency, use.axis)
    return _summed(channels, values)


def makers_of(channels: Channels, group: Labels) -> list[str]:
    """The layers that put out the channels of a group."""
    inside = set(group.tolist())
    return [
        use.module
        for use, labels in channels.uses.items()
        if use.makes and inside & set(channels.roots(labels).tolist())
    ]


@torch.no_grad()
def positions(model: nn.Module, example: Tensor) -> dict[str, int]:
    """How often each weight of a layer is multiplied in a frame: the positions of its output (of a
    transposed convolution its input)."""
    found: dict[str, int] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)):
            swapped = isinstance(module, TRANSPOSED)

            def hook(_, args, output, name=name, swapped=swapped) -> None:
                found[name] = found.get(name, 0) + prod((args[0] if swapped else output).shape[2:])

            handles.append(module.register_forward_hook(hook))
    try:
        model.eval()(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return found


@dataclass(frozen=True)
class Budget:
    """What is to be left: `share` of the MACs (or of the parameters of the layers, `positions`
    None), with kept channels of every group a multiple of `round_to` (or all of them)."""

    share: float
    positions: Mapping[str, int] | None
    round_to: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise PruningError(f"the share to keep must be above 0 and at most 1, got {self.share}")
        if self.round_to < 1:
            raise PruningError(f"round_to must be at least 1, got {self.round_to}")

    def cost(self, model: nn.Module, channels: Channels, gone: Labels) -> int:
        """Multiplications in a frame, or weights, when the classes `gone` have gone."""
        kept: dict[str, dict[int, int]] = {}
        for use, places in kept_places(channels, gone).items():
            if use.tensor == "weight":
                kept.setdefault(use.module, {})[use.axis] = int(places.sum())
        total = 0
        for name, module in model.named_modules():
            weight = getattr(module, "weight", None)
            if not isinstance(weight, Tensor) or weight.ndim < 2:
                continue
            shape = list(weight.shape)
            for axis, count in kept.get(name, {}).items():
                shape[axis] = count
            total += prod(shape) * (1 if self.positions is None else self.positions.get(name, 0))
        return total


def chosen(
    model: nn.Module, channels: Channels, groups: list[Labels], scores: Scores, budget: Budget
) -> Labels:
    """The classes of `groups` to remove, lowest scores first, so few that the budget is met, and
    always one channel or `round_to` of each group left. PruningError if it cannot be met."""
    full = budget.cost(model, channels, np.zeros(0, np.int64))
    order = sorted((int(r) for g in groups for r in g), key=lambda r: (scores[r], r))
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        gone = _rounded(groups, order[:middle], scores, budget.round_to)
        if budget.cost(model, channels, gone) <= budget.share * full:
            high = middle
        else:
            low = middle + 1
    gone = _rounded(groups, order[:low], scores, budget.round_to)
    left = budget.cost(model, channels, gone) / full
    if left > budget.share:
        raise PruningError(
            f"with every channel gone that may go, {left:.1%} are left, more than "
            f"{budget.share:.1%}; treat more layers, keep more or round to less"
        )
    return gone


def _rounded(groups: list[Labels], lowest: list[int], scores: Scores, round_to: int) -> Labels:
    """`lowest` without those that have to stay for each group to keep whole multiples."""
    wanted, gone = set(lowest), []
    for group in groups:
        going = sorted(wanted & set(group.tolist()), key=lambda r: (scores[r], r))
        kept = max(len(group) - len(going), 1)
        kept = min(ceil(kept / round_to) * round_to, len(group))
        gone += going[: len(group) - kept]
    return np.array(sorted(gone), np.int64)
