"""What makes integers of the rest of a network: its activations and biases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from hwc.models.compress.layers import layers_of, named_by
from hwc.models.compress.method import CALIBRATION
from hwc.models.compress.recipe import Activations
from hwc.models.data import Dataset
from hwc.models.places import places_of
from hwc.models.quantize.activation import BipolarAct, QuantAct, QuantInput

__all__ = ["round_biases", "settle", "with_activations"]


def with_activations(model: nn.Module, wanted: Activations) -> nn.Module:
    """Every `nn.ReLU` as an activation quantizer: unsigned is a ReLU as well; bipolar takes the
    place of `nn.Hardtanh`, too. A quantizer that follows one at once stays the only one."""
    if wanted.form == "bipolar" and isinstance(model, (nn.ReLU, nn.Hardtanh)):
        return BipolarAct()
    if isinstance(model, nn.ReLU):
        return QuantAct(wanted.bits)
    children = places_of(model)
    followers = [child for _, child in children[1:]] + [None]
    for (name, child), after in zip(children, followers, strict=False):
        quantized = isinstance(model, nn.Sequential) and isinstance(after, (QuantAct, BipolarAct))
        if not quantized and not isinstance(child, (QuantInput, parametrize.ParametrizationList)):
            setattr(model, name, with_activations(child, wanted))
    return model


@torch.no_grad()
def settle(model: nn.Module, data: Dataset) -> None:
    """Let the new activation quantizers choose their scales; nothing else sees training mode."""
    acts = [m for m in model.modules() if isinstance(m, QuantAct)]
    for act in acts:
        act.train()
    for part in data.first(CALIBRATION).split(100):
        model(part)
    for act in acts:
        act.eval()
        act.scale.batches.fill_(act.scale.settle)


@torch.no_grad()
def round_biases(model: nn.Module, bits: int, left: Sequence[str] = ()) -> None:
    """Biases of all layers, but those `left` by patterns, as whole multiples of a power of two a
    layer, within `bits` bits."""
    for name, layer in layers_of(model).items():
        bias = layer.bias
        if named_by(left, name):
            continue
        if not isinstance(bias, torch.Tensor) or not bias.abs().max() > 0:
            continue
        most = 2 ** (bits - 1) - 1
        step = 2.0 ** torch.ceil(torch.log2(bias.abs().max() / (most + 0.5)))
        bias.copy_((bias / step).round().clamp(-most, most) * step)
