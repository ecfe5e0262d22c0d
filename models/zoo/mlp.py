"""Fully connected networks: TFC, SFC and LFC of FINN (arXiv 1612.07119), LeNet-300-100."""

from functools import partial

from torch import nn

from hwc.models.data import Dataset
from hwc.models.zoo.layers import Layers, act, first_act, linear, raw_input
from hwc.models.zoo.net import Net


def mlp(data: Dataset, widths: tuple[int, ...], weight_bits: int, act_bits: int) -> nn.Module:
    """Hidden layers `Linear, BatchNorm, activation` of these widths and a `Linear` for the
    logits. The input is quantized like the activations."""
    c, h, w = data.shape
    layers = Layers(input=raw_input(data), flatten=nn.Flatten())
    layers.update(first_act(act_bits))
    features = c * h * w
    for i, width in enumerate(widths, 1):
        layers[f"fc{i}"] = linear(features, width, weight_bits)
        layers[f"norm{i}"] = nn.BatchNorm1d(width)
        layers[f"act{i}"] = act(act_bits)
        features = width
    layers["logits"] = linear(features, data.classes, weight_bits)
    return nn.Sequential(layers)


def net(name: str, widths: tuple[int, ...], weight_bits: int, act_bits: int, **training) -> Net:
    """The recipe of one of them."""
    what = (
        f"fully connected, {' x '.join(map(str, widths))}, {weight_bits}-bit weights and "
        f"{act_bits}-bit activations"
    )
    build = partial(mlp, widths=widths, weight_bits=weight_bits, act_bits=act_bits)
    return Net(f"{name}-w{weight_bits}a{act_bits}", what, build, **training)


NETS = (
    net("tfc", (64,) * 3, 1, 1, epochs=60, lr=1e-2, loss="hinge", temperature=0.06),
    net("tfc", (64,) * 3, 2, 2, epochs=60, lr=5e-3),
    net("sfc", (256,) * 3, 1, 1, epochs=40, lr=5e-3, loss="hinge", temperature=0.03),
    net("sfc", (256,) * 3, 2, 2, epochs=40, lr=3e-3),
    net("lfc", (1024,) * 3, 1, 1, epochs=20, lr=3e-3, loss="hinge", temperature=0.015, threads=2),
    net("lenet-300-100", (300, 100), 4, 4, epochs=30, lr=3e-3),
    net("lenet-300-100", (300, 100), 8, 8, epochs=30, lr=3e-3),
)
