"""Networks that are written down here and exported by torch, as users do.

Shapes are those of MLPerf Tiny where it has the network. Weights are trained where the page says
so, else random, with batch-norm statistics of random inputs.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foreign.prepared import Prepared, digits

__all__ = ["autoencoder", "ds_cnn", "export", "mobilenet", "resnet_8"]


def export(module: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """The module as ONNX with an open batch axis, input `x`."""
    module.eval()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, *shape),),
            str(path),
            input_names=["x"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    return path


def _random(module: nn.Module, shape: tuple[int, ...], seed: int) -> None:
    """He-normal weights, and the batch-norm statistics of 64 random inputs."""
    rng = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan = layer.weight[0].numel()
            layer.weight.data.normal_(0, (2 / fan) ** 0.5, generator=rng)
            if layer.bias is not None:
                layer.bias.data.normal_(0, 0.1, generator=rng)
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.weight.data.uniform_(0.5, 1.5, generator=rng)
            layer.bias.data.normal_(0, 0.3, generator=rng)
            layer.momentum = None  # statistics of all that follows
    module.train()
    with torch.no_grad():
        module(torch.randn(64, *shape, generator=rng))
    module.eval()


def _normal(shape: tuple[int, ...], count: int, seed: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)}


def _prepared(module: nn.Module, shape: tuple[int, ...], path: Path, verify: int) -> Prepared:
    """A network with random weights, calibrated and scored on normal inputs."""
    _random(module, shape, 0)
    return Prepared(
        export(module, shape, path),
        _normal(shape, 64, 2),
        "random weights, normal inputs",
        _normal(shape, 64, 1),
        verify_inputs=verify,
    )


def autoencoder(folder: Path) -> Prepared:
    """640-128x4-8-128x4-640 with batch-norm, MLPerf Tiny's anomaly detector."""
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(128, 640))
    return _prepared(module, (640,), folder / "autoencoder.onnx", 20)


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut, 1x1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.short(x))


def resnet_8(folder: Path) -> Prepared:
    """MLPerf Tiny's ResNet-8 for 3x32x32 images."""
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        _Residual(16, 16, 1),
        _Residual(16, 32, 2),
        _Residual(32, 64, 2),
        nn.AvgPool2d(8),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    return _prepared(module, (3, 32, 32), folder / "resnet-8.onnx", 3)


def _separable(inputs: int, outputs: int, stride: int = 1, clip: bool = False) -> list[nn.Module]:
    """A depthwise 3x3 and a 1x1 convolution, each with batch-norm and ReLU (ReLU6)."""
    act = nn.ReLU6 if clip else nn.ReLU
    return [
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        act(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        act(),
    ]


def ds_cnn(folder: Path) -> Prepared:
    """MLPerf Tiny's keyword spotter for 49 frames of 10 coefficients."""
    blocks = [layer for _ in range(4) for layer in _separable(64, 64)]
    module = nn.Sequential(
        nn.Conv2d(1, 64, (10, 4), 2, (5, 1)),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 12),
    )
    return _prepared(module, (1, 49, 10), folder / "ds-cnn.onnx", 5)


def mobilenet(folder: Path) -> Prepared:
    """MobileNet-v1's blocks with ReLU6 for 28x28 digits, trained on mnist5k."""
    path = folder / "mobilenet.onnx"
    calib, frames, labels = digits("x")
    if not path.exists():
        torch.manual_seed(0)  # the initial weights of torch's own layers
        module = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            *_separable(16, 32, clip=True),
            *_separable(32, 64, 2, clip=True),
            *_separable(64, 64, clip=True),
            *_separable(64, 128, 2, clip=True),
            *_separable(128, 128, clip=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(128, 10),
        )
        _train(module)
        export(module, (1, 28, 28), path)
    return Prepared(path, frames, "mnist5k", calib, labels, raw=("x=1/255",), verify_inputs=10)


def _train(module: nn.Module, epochs: int = 8) -> None:
    """Adam with a cosine schedule on the training images of mnist5k, in 0..1."""
    from hwc.models import load_data

    data = load_data("mnist5k")
    x, y = torch.tensor(data.x_train / 255, dtype=torch.float32), torch.tensor(data.y_train)
    rng = torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(module.parameters(), 3e-3)
    steps = epochs * -(-len(x) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    module.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=rng).split(64):
            adam.zero_grad()
            nn.functional.cross_entropy(module(x[part]), y[part].long()).backward()
            adam.step()
            schedule.step()
