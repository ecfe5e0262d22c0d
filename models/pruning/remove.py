"""Channels taken out of a network for good: every parameter that they index becomes smaller."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hwc.models.pruning.dependencies import Channels, Labels, Use
from hwc.models.pruning.mask import PruningError

__all__ = ["kept_places", "remove"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def kept_places(channels: Channels, gone: Labels) -> dict[Use, np.ndarray]:
    """For every axis which places stay (bool) when the classes `gone` (roots) go."""
    for root in gone.tolist():
        if channels.root(root) in channels.fixed:
            raise PruningError(f"channels of {channels.fixed[channels.root(root)]} cannot go")
    return {use: ~np.isin(channels.roots(labels), gone) for use, labels in channels.uses.items()}


@torch.no_grad()
def remove(model: nn.Module, channels: Channels, gone: Labels) -> None:
    """Remove the classes `gone` of channels from `model`, in place. No layer may lose all."""
    places = kept_places(channels, gone)
    for use, keep in places.items():
        if not keep.any():
            raise PruningError(f"layer {use.module!r} would lose all of its channels")
    changed: dict[str, nn.Module] = {}
    for use, keep in places.items():
        if keep.all():
            continue
        module = changed.setdefault(use.module, model.get_submodule(use.module))
        old = getattr(module, use.tensor)
        new = old.detach().index_select(use.axis, torch.from_numpy(np.flatnonzero(keep)))
        if isinstance(old, nn.Parameter):
            setattr(module, use.tensor, nn.Parameter(new, old.requires_grad))
        else:
            setattr(module, use.tensor, new)
    for module in changed.values():
        _describe(module)


def _describe(module: nn.Module) -> None:
    """Bring the numbers that a module keeps about itself up to date."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, CONVOLUTIONS):
        if module.groups == module.in_channels > 1:
            module.groups = len(module.weight) * module.groups // module.out_channels
        module.out_channels = len(module.weight)
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, TRANSPOSED):
        module.in_channels, module.out_channels = module.weight.shape[:2]
    elif isinstance(module, NORMS):
        module.num_features = len(module.running_mean if module.weight is None else module.weight)  # pyright: ignore
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
