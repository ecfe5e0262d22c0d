"""The float twin: the same network without its quantizers, to see what quantization costs."""

from torch import nn
from torch.nn.utils import parametrize

from hwc.models.copying import copy_of
from hwc.models.places import places_of
from hwc.models.quantize.activation import BipolarAct, QuantAct, QuantInput
from hwc.models.quantize.weight import WeightQuantizer


def without_quantizers(model: nn.Module) -> nn.Module:
    """A copy with float weights, ReLU for unsigned activations and hardtanh for bipolar ones.

    Behind a mask a quantizer becomes the identity, else the weight is a plain parameter again.
    Signed activation quantizers and those of inputs become the identity.
    """
    copied = copy_of(model)
    for module in copied.modules():
        if not parametrize.is_parametrized(module, "weight"):
            continue
        chain = module.parametrizations["weight"]  # pyright: ignore
        if all(isinstance(part, WeightQuantizer) for part in chain):  # pyright: ignore
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    return _replace(copied)


def _replace(module: nn.Module) -> nn.Module:
    if isinstance(module, BipolarAct):
        return nn.Hardtanh()
    if isinstance(module, QuantAct) and not module.signed:
        return nn.ReLU()
    if isinstance(module, (QuantAct, QuantInput, WeightQuantizer)):
        return nn.Identity()
    for name, child in places_of(module):
        setattr(module, name, _replace(child))
    return module
