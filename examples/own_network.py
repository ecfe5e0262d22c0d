"""A network of your own, from plain PyTorch to a verified accelerator.

    python examples/own_network.py [--board pynq-z2] [--output build/own-network]

A small convolutional network for scikit-learn's digits, with 3-bit weights and activations. What is
special about it are three lines: the quantized input, `quantize_weight` around each layer and
`QuantAct` for each activation. Takes about a minute.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from hwc.compiler.build import Options, build
from hwc.compiler.summary import show
from hwc.models import (
    IntWeight,
    QuantAct,
    QuantInput,
    clip_weights,
    load_data,
    quantize_weight,
    save,
)
from hwc.models.data import Dataset
from hwc.models.train import evaluate

BITS = 3


def network(data: Dataset) -> nn.Module:
    """Two convolutions, a pool, and a Linear for the logits."""
    return nn.Sequential(
        QuantInput(data.scale, 0, data.hi),
        quantize_weight(nn.Conv2d(1, 8, 3, padding=1, bias=False), IntWeight(BITS)),
        nn.BatchNorm2d(8),
        QuantAct(BITS),
        quantize_weight(nn.Conv2d(8, 16, 3, padding=1, bias=False), IntWeight(BITS)),
        nn.BatchNorm2d(16),
        QuantAct(BITS),
        nn.MaxPool2d(2),
        nn.Flatten(),
        quantize_weight(nn.Linear(256, data.classes, bias=False), IntWeight(BITS)),
    )


def train(model: nn.Module, data: Dataset, epochs: int = 20) -> None:
    """An ordinary training loop; after each step the weights are kept where quantizers pass
    gradients."""
    x = torch.from_numpy(data.x_train).float() * data.scale
    y = torch.from_numpy(data.y_train)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            clip_weights(model)
    model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="pynq-z2")
    parser.add_argument("--output", type=Path, default=Path("build/own-network"))
    args = parser.parse_args()

    torch.manual_seed(0)
    data = load_data("digits")
    model = network(data)
    train(model, data)

    args.output.parent.mkdir(parents=True, exist_ok=True)
    path = args.output.with_suffix(".pt")
    example = torch.from_numpy(data.x_test[:1]).float() * data.scale
    accuracy = {"fake_quant": evaluate(model, data.x_test, data.y_test, data.scale)}
    save(model, example, path, samples=(data.x_test, data.y_test), accuracy=accuracy)

    report = build(Options(model=path, board=args.board, output=args.output, overwrite=True))
    show(report, args.output)


if __name__ == "__main__":
    main()
