"""LeNet-5 as the model-compression literature uses it (Caffe's): 20 and 50 maps, 500 hidden."""

from functools import partial

from torch import nn

from hwc.models.data import Dataset
from hwc.models.quantize.activation import QuantAct
from hwc.models.zoo.layers import Layers, at_least, conv, linear, raw_input
from hwc.models.zoo.net import Net


def lenet5(data: Dataset, bits: int) -> nn.Module:
    """Two 5x5 convolutions with 2x2 max-pools, a hidden layer of 500, logits: 430,500 weights for
    28x28x1."""
    at_least("lenet-5", data, 16)
    c, h, w = data.shape
    left = ((h - 4) // 2 - 4) // 2 * (((w - 4) // 2 - 4) // 2)
    layers = Layers(input=raw_input(data))
    layers.update(conv1=conv(c, 20, 5, bits), norm1=nn.BatchNorm2d(20), act1=QuantAct(bits))
    layers.update(pool1=nn.MaxPool2d(2))
    layers.update(conv2=conv(20, 50, 5, bits), norm2=nn.BatchNorm2d(50), act2=QuantAct(bits))
    layers.update(pool2=nn.MaxPool2d(2), flatten=nn.Flatten())
    layers.update(fc3=linear(50 * left, 500, bits), norm3=nn.BatchNorm1d(500), act3=QuantAct(bits))
    layers.update(logits=linear(500, data.classes, bits))
    return nn.Sequential(layers)


def net(bits: int, **training) -> Net:
    """The recipe."""
    what = f"LeNet-5 (20, 50, 500), {bits}-bit weights and activations"
    return Net(f"lenet-5-w{bits}a{bits}", what, partial(lenet5, bits=bits), **training)


NETS = (
    net(4, epochs=15, lr=2e-3, threads=2),
    net(8, epochs=15, lr=2e-3, threads=2),
)
