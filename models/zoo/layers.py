"""The layers that networks of the zoo are made of."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.data import Dataset
from hwc.models.quantize.activation import BipolarAct, PowerOfTwoScale, QuantAct, QuantInput
from hwc.models.quantize.weight import BinaryWeight, IntWeight, WeightQuantizer, quantize_weight

Layers = OrderedDict[str, nn.Module]


class Shift(nn.Module):
    """`y = x + by`, a constant."""

    by: Tensor

    def __init__(self, by: float):
        super().__init__()
        self.register_buffer("by", torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def weight_quantizer(bits: int) -> WeightQuantizer:
    """Binary weights of scale 1 for 1 bit, else integers."""
    return BinaryWeight(scale=1.0) if bits == 1 else IntWeight(bits)


def act(bits: int) -> nn.Module:
    """Bipolar for 1 bit, else unsigned integers."""
    return BipolarAct() if bits == 1 else QuantAct(bits)


def linear(inputs: int, outputs: int, bits: int) -> nn.Module:
    """A Linear without bias with weights of so many bits."""
    return quantize_weight(nn.Linear(inputs, outputs, bias=False), weight_quantizer(bits))


def conv(inputs: int, outputs: int, kernel: int, bits: int, stride: int = 1, pad: int = 0):
    """A Conv2d without bias with weights of so many bits."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=pad, bias=False)
    return quantize_weight(layer, weight_quantizer(bits))


def raw_input(data: Dataset) -> QuantInput:
    """Raw images as they arrive at the hardware."""
    return QuantInput(data.scale, 0, data.hi)


def first_act(bits: int) -> Layers:
    """The raw input on the grid of the activations: 1 bit compares with 1/4 of the range, more
    bits keep the upper ones."""
    if bits == 1:
        return Layers(centre=Shift(-0.25), act0=BipolarAct())
    return Layers(act0=QuantAct(bits, scale=PowerOfTwoScale(2.0**-bits, settle=0)))


def at_least(name: str, data: Dataset, size: int) -> None:
    """Refuse images with a side shorter than `size`."""
    _, h, w = data.shape
    if min(h, w) < size:
        raise HwcError(f"{name}: images must be {size}x{size} or larger, {data.name} has {h}x{w}")
