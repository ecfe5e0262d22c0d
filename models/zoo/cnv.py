"""CNV, FINN's binary VGG-like network (arXiv 1612.07119), for 32x32 and 28x28 images."""

from functools import partial

from torch import nn

from hwc.models.data import Dataset
from hwc.models.zoo.layers import Layers, act, at_least, conv, linear, raw_input
from hwc.models.zoo.net import Net


def cnv(data: Dataset, bits: int) -> nn.Module:
    """Six 3x3 convolutions without padding (64, 64, pool, 128, 128, pool, 256, 256), two hidden
    layers of 512, logits.

    The first convolution takes the raw pixels. A map of 28x28 is too small for the last
    convolution of 3x3: it then takes what is left.
    """
    at_least("cnv", data, 28)
    layers = Layers(input=raw_input(data))
    inputs, h, w = data.shape
    for k, outputs in enumerate((64, 64, 128, 128, 256, 256), 1):
        size = min(3, h, w)
        layers[f"conv{k}"] = conv(inputs, outputs, size, bits)
        layers[f"norm{k}"] = nn.BatchNorm2d(outputs)
        layers[f"act{k}"] = act(bits)
        inputs, h, w = outputs, h - size + 1, w - size + 1
        if k in (2, 4):
            layers[f"pool{k}"] = nn.MaxPool2d(2)
            h, w = h // 2, w // 2
    layers["flatten"] = nn.Flatten()
    features = inputs * h * w
    for k in (7, 8):
        layers[f"fc{k}"] = linear(features, 512, bits)
        layers[f"norm{k}"] = nn.BatchNorm1d(512)
        layers[f"act{k}"] = act(bits)
        features = 512
    layers["logits"] = linear(features, data.classes, bits)
    return nn.Sequential(layers)


def net(bits: int, **training) -> Net:
    """The recipe."""
    what = f"CNV (VGG-like), {bits}-bit weights and activations"
    return Net(f"cnv-w{bits}a{bits}", what, partial(cnv, bits=bits), **training)


NETS = (
    net(1, epochs=20, lr=3e-3, loss="hinge", temperature=0.03, threads=2),
    net(2, epochs=20, lr=2e-3, threads=2),
)
