"""What a network and images have to be before a recipe is carried out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hwc.models.compress.errors import CompressError
from hwc.models.compress.layers import calls_of, layers_of, named_by
from hwc.models.copying import copy_of
from hwc.models.data import Dataset

__all__ = ["check_finite", "check_fits", "copied"]


def copied(model: nn.Module) -> nn.Module:
    """The copy that is compressed: all of it trains, whatever was frozen."""
    try:
        made = copy_of(model).cpu().eval()
    except RuntimeError as error:
        raise CompressError(
            f"the network cannot be copied ({str(error).split('. ')[0]}); of torch.nn.utils.prune "
            "and the like keep the result, as prune.remove does"
        ) from None
    return made.requires_grad_()


def check_fits(model: nn.Module, data: Dataset, left: Sequence[str]) -> None:
    """A network that does not take the images is the caller's mistake, not a traceback's; a layer
    that it never uses is left, by one of these patterns, or an error."""
    try:
        logits, called = calls_of(model, data.first(2))
    except Exception as error:  # whatever a forward method may raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CompressError(
            f"the network does not take images of {data.shape} of {data.name}: {first}"
        ) from None
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if isinstance(shape, str) or len(shape) != 2 or shape[1] < data.classes:
        raise CompressError(
            f"the network must give (batch, classes) with at least {data.classes} classes for "
            f"{data.name}, got {shape}"
        )
    for name in layers_of(model):
        if name not in called and not named_by(left, name):
            raise CompressError(
                f"layer {name!r} plays no part in what the network gives; take it out of the "
                f'network, or name it in the recipe\'s except = ["{name}"]'
            )


def check_finite(model: nn.Module, what: str) -> None:
    """Numbers that are none would travel to the end of a run, or be quantized as if they were."""
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        if wrong := int((~torch.isfinite(value)).sum()):
            raise CompressError(
                f"{what}: {wrong} of {value.numel()} values of {name} are not finite"
            )
