"""The float twin: the same network without its quantizers, to see what quantization costs."""

import copy

from torch import nn

from hwc.models.quantize.activation import BipolarAct, QuantAct, QuantInput
from hwc.models.quantize.weight import WeightQuantizer


def without_quantizers(model: nn.Module) -> nn.Module:
    """A copy with float weights, ReLU for unsigned activations and hardtanh for bipolar ones.

    Signed activation quantizers and those of inputs become the identity.
    """
    return _replace(copy.deepcopy(model))


def _replace(module: nn.Module) -> nn.Module:
    if isinstance(module, BipolarAct):
        return nn.Hardtanh()
    if isinstance(module, QuantAct) and not module.signed:
        return nn.ReLU()
    if isinstance(module, (QuantAct, QuantInput, WeightQuantizer)):
        return nn.Identity()
    # Not `named_children`, which gives a module with two names once.
    for name, child in list(module._modules.items()):
        if child is not None:
            setattr(module, name, _replace(child))
    return module
