"""Float networks to compress: named here or in the zoo, trained first."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

import torch
from rich.progress import Progress
from torch import nn

from hwc.models.compress.errors import CompressError
from hwc.models.compress.recipe import Recipe, Training
from hwc.models.compress.training import Trainer
from hwc.models.data import Dataset
from hwc.models.quantize.twin import without_quantizers
from hwc.models.zoo import NETS
from hwc.models.zoo.bottleneck import resnet_50
from hwc.models.zoo.layers import at_least


def lenet_300_100(data: Dataset) -> nn.Module:
    """784-300-100-10 with ReLU and biases: 266,610 parameters for 28x28x1 and ten classes."""
    c, h, w = data.shape
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(c * h * w, 300),
            act1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            act2=nn.ReLU(),
            fc3=nn.Linear(100, data.classes),
        )
    )


def lenet_300_100_bn(data: Dataset) -> nn.Module:
    """The same with batch-norm behind every layer and without their biases."""
    c, h, w = data.shape
    widths = (c * h * w, 300, 100, data.classes)
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        layers.append((f"fc{number}", nn.Linear(inputs, outputs, bias=False)))
        layers.append((f"norm{number}", nn.BatchNorm1d(outputs)))
        layers.append((f"act{number}", nn.ReLU()))
    return nn.Sequential(OrderedDict(layers[:-1]))


def lenet_5(data: Dataset) -> nn.Module:
    """Caffe's LeNet-5 with ReLU and biases (20, 50, 500): 431,080 parameters for 28x28x1."""
    at_least("lenet-5", data, 16)
    c, h, w = data.shape
    left = ((h - 4) // 2 - 4) // 2 * (((w - 4) // 2 - 4) // 2)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(c, 20, 5),
            act1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            act2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc3=nn.Linear(50 * left, 500),
            act3=nn.ReLU(),
            fc4=nn.Linear(500, data.classes),
        )
    )


def resnet_50_of(data: Dataset) -> nn.Module:
    """ResNet-50 for images of three channels."""
    if data.shape[0] != 3:
        raise CompressError(
            f"resnet-50 takes images of 3 channels, not {data.shape} of {data.name}"
        )
    return resnet_50(data.classes)


NETWORKS: dict[str, Callable[[Dataset], nn.Module]] = {
    "lenet-300-100": lenet_300_100,
    "lenet-300-100-bn": lenet_300_100_bn,
    "lenet-5": lenet_5,
    "resnet-50": resnet_50_of,
}


def network(name: str, data: Dataset, seed: int) -> nn.Module:
    """A float network with random weights: one of these, or the float twin of one of the zoo."""
    if name not in NETWORKS and name not in NETS:
        raise CompressError(
            f"no network {name!r}; the networks are {', '.join([*NETWORKS, *NETS])}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in NETWORKS:
            return NETWORKS[name](data)
        return without_quantizers(NETS[name].build(data))


def start(
    name: str, recipe: Recipe, data: Dataset, *, progress: bool = True, threads: int = 1
) -> nn.Module:
    """That network, trained as the recipe's [start] says on what is not held out for validation."""
    from hwc.models.compress.driver import single, split

    model = network(name, data, recipe.seed)
    how = recipe.train if recipe.start.augment else Training(recipe.train.batch)
    with single(threads), Progress(disable=not progress, transient=True) as bar:
        trainer = Trainer(model, None, split(data, recipe), how, recipe.seed, bar, name)
        trainer(recipe.start.epochs, recipe.start.lr)
    return model
