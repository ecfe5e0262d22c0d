"""The networks of `hwc train`.

`tfc`, `sfc`: three hidden layers of 64 or 256 (FINN's TFC and SFC). `resnet-s`: a small residual
convolutional network. All end in plain integer logits of one scale, so that argmax over the
accumulators is the class.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.activation import BipolarAct, PowerOfTwoScale, QuantAct, QuantInput
from hwc.models.data import Dataset
from hwc.models.weight import BinaryWeight, IntWeight, WeightQuantizer, quantize_weight


class Shift(nn.Module):
    """`y = x + by`, a constant."""

    by: Tensor

    def __init__(self, by: float):
        super().__init__()
        self.register_buffer("by", torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def weight_quantizer(bits: int) -> WeightQuantizer:
    return BinaryWeight(scale=1.0) if bits == 1 else IntWeight(bits)


def act(bits: int) -> nn.Module:
    return BipolarAct() if bits == 1 else QuantAct(bits)


def mlp(data: Dataset, width: int, weight_bits: int, act_bits: int) -> nn.Module:
    """Three hidden layers `Linear, BatchNorm, activation` and a `Linear` for the logits.

    The input is quantized like the activations: 1 bit compares with 1/4 of the range, more bits
    keep the upper ones.
    """
    c, h, w = data.shape
    layers = OrderedDict[str, nn.Module](
        input=QuantInput(data.scale, 0, data.hi), flatten=nn.Flatten()
    )
    if act_bits == 1:
        layers.update(centre=Shift(-0.25), act0=BipolarAct())
    else:
        layers.update(act0=QuantAct(act_bits, scale=PowerOfTwoScale(2.0**-act_bits, settle=0)))
    features = c * h * w
    for i in (1, 2, 3):
        linear = nn.Linear(features, width, bias=False)
        layers[f"fc{i}"] = quantize_weight(linear, weight_quantizer(weight_bits))
        layers[f"norm{i}"] = nn.BatchNorm1d(width)
        layers[f"act{i}"] = act(act_bits)
        features = width
    linear = nn.Linear(features, data.classes, bias=False)
    layers["logits"] = quantize_weight(linear, weight_quantizer(weight_bits))
    return nn.Sequential(layers)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, added on one grid, then an unsigned activation.

    `scale` is the grid of the block's input; a block that changes stride or width has a 1x1
    convolution as shortcut and a grid of its own.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, bits: int, scale: PowerOfTwoScale):
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride, bits)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = QuantAct(bits)
        self.conv2 = conv(outputs, outputs, 3, 1, bits)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        grid = scale if same else PowerOfTwoScale()
        self.add1 = QuantAct(bits, signed=True, scale=grid)
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride, bits),
                nn.BatchNorm2d(outputs),
                QuantAct(bits, signed=True, scale=grid),
            )
        self.act2 = QuantAct(bits)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1(x)))
        y = self.add1(self.norm2(self.conv2(y)))
        return self.act2(y + self.shortcut(x))


def conv(inputs: int, outputs: int, kernel: int, stride: int, bits: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return quantize_weight(layer, IntWeight(bits))


def resnet_s(data: Dataset, bits: int, width: int = 16) -> nn.Module:
    """Stem of stride 2, a block of `width`, a block of stride 2 to `2 * width`, one more, global
    average, Linear."""
    c, h, w = data.shape
    if min(h, w) < 16:
        raise HwcError(f"resnet-s: images must be 16x16 or larger, {data.name} has {h}x{w}")
    act0 = QuantAct(bits)
    block1 = ResidualBlock(width, width, 1, bits, act0.scale)
    block2 = ResidualBlock(width, 2 * width, 2, bits, block1.act2.scale)
    block3 = ResidualBlock(2 * width, 2 * width, 1, bits, block2.act2.scale)
    head = quantize_weight(nn.Linear(2 * width, data.classes, bias=False), IntWeight(bits))
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            input=QuantInput(data.scale, 0, data.hi),
            conv0=conv(c, width, 3, 2, bits),
            norm0=nn.BatchNorm2d(width),
            act0=act0,
            block1=block1,
            block2=block2,
            block3=block3,
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            pooled=QuantAct(bits),
            logits=head,
        )
    )


@dataclass(frozen=True)
class Net:
    """How to build and train a network of the zoo.

    `loss` is "hinge" (squared, for binary networks) or "cross_entropy"; `shift` the largest
    augmentation shift in pixels; `temperature` multiplies the logits in the loss (never in the
    network).
    """

    name: str
    what: str
    build: Callable[[Dataset], nn.Module]
    epochs: int
    lr: float
    loss: str = "cross_entropy"
    batch: int = 100
    shift: int = 1
    temperature: float = 1.0
    threads: int = 1


def _mlp(name: str, width: int, bits: int, **training) -> Net:
    what = f"3 x {width} fully connected, {bits}-bit weights and activations"
    build = partial(mlp, width=width, weight_bits=bits, act_bits=bits)
    return Net(f"{name}-w{bits}a{bits}", what, build, **training)


def _resnet(bits: int, **training) -> Net:
    what = f"residual convolutional network, {bits}-bit weights and activations"
    return Net(f"resnet-s-w{bits}a{bits}", what, partial(resnet_s, bits=bits), **training)


NETS: dict[str, Net] = {
    net.name: net
    for net in (
        _mlp("tfc", 64, 1, epochs=60, lr=1e-2, loss="hinge", temperature=0.06),
        _mlp("tfc", 64, 2, epochs=60, lr=5e-3),
        _mlp("sfc", 256, 1, epochs=40, lr=5e-3, loss="hinge", temperature=0.03),
        _mlp("sfc", 256, 2, epochs=40, lr=3e-3),
        _resnet(4, epochs=25, lr=3e-3, threads=2),
        _resnet(8, epochs=25, lr=3e-3, threads=2),
    )
}


def net(name: str) -> Net:
    """The network of that name."""
    if name not in NETS:
        raise HwcError(f"no network {name!r}; the networks are {', '.join(NETS)}")
    return NETS[name]
