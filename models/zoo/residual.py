"""Residual convolutional networks: a small one, and the ResNet-8 of MLPerf Tiny's shape."""

from functools import partial

from torch import Tensor, nn

from hwc.models.data import Dataset
from hwc.models.quantize.activation import PowerOfTwoScale, QuantAct
from hwc.models.zoo.layers import Layers, at_least, conv, linear, raw_input
from hwc.models.zoo.net import Net


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, added on one grid, then an unsigned activation.

    `scale` is the grid of the block's input; a block that changes stride or width has a 1x1
    convolution as shortcut and a grid of its own.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, bits: int, scale: PowerOfTwoScale):
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, bits, stride, 1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = QuantAct(bits)
        self.conv2 = conv(outputs, outputs, 3, bits, 1, 1)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        grid = scale if same else PowerOfTwoScale()
        self.add1 = QuantAct(bits, signed=True, scale=grid)
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, bits, stride),
                nn.BatchNorm2d(outputs),
                QuantAct(bits, signed=True, scale=grid),
            )
        self.act2 = QuantAct(bits)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1(x)))
        y = self.add1(self.norm2(self.conv2(y)))
        return self.act2(y + self.shortcut(x))


def resnet(
    data: Dataset, bits: int, widths: tuple[int, ...], strides: tuple[int, ...], name: str
) -> nn.Module:
    """A 3x3 stem of `widths[0]` and `strides[0]`, a block for each further width and stride,
    global average, Linear."""
    at_least(name, data, 16)
    act0 = QuantAct(bits)
    layers = Layers(
        input=raw_input(data),
        conv0=conv(data.shape[0], widths[0], 3, bits, strides[0], 1),
        norm0=nn.BatchNorm2d(widths[0]),
        act0=act0,
    )
    grid = act0.scale
    for k, stride in enumerate(strides[1:], 1):
        block = ResidualBlock(widths[k - 1], widths[k], stride, bits, grid)
        layers[f"block{k}"] = block
        grid = block.act2.scale
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["pooled"] = QuantAct(bits)
    layers["logits"] = linear(widths[-1], data.classes, bits)
    return nn.Sequential(layers)


def net(name: str, bits: int, widths: tuple[int, ...], strides: tuple[int, ...], **training) -> Net:
    """The recipe of one of them."""
    what = (
        f"residual convolutional network, blocks of {', '.join(map(str, widths[1:]))} channels, "
        f"{bits}-bit weights and activations"
    )
    build = partial(resnet, bits=bits, widths=widths, strides=strides, name=name)
    return Net(f"{name}-w{bits}a{bits}", what, build, threads=2, **training)


SMALL = ("resnet-s", (16, 16, 32, 32), (2, 1, 2, 1))
RESNET8 = ("resnet-8", (16, 16, 32, 64), (1, 1, 2, 2))
NETS = tuple(
    net(name, bits, widths, strides, epochs=25, lr=3e-3)
    for name, widths, strides in (SMALL, RESNET8)
    for bits in (4, 8)
)
