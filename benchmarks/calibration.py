"""Accuracy after post-training quantization, on digits and mnist5k, by bits and options.

Trains small float networks, calibrates them on 512 training images and measures the quantized
source on all test images. That the lowered integers are those of the source is checked. Replaces
the tables in docs/calibration.md.

    python benchmarks/calibration.py
"""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hwc.compiler.calibrate import Config, calibrate, calibration_frames
from hwc.compiler.lower import agree, lower
from hwc.compiler.source import Source, evaluate
from hwc.models import Dataset, InputMap, capture, load_data

DOC = Path(__file__).parents[1] / "docs" / "calibration.md"
MARK = "<!-- benchmarks/calibration.py writes what follows -->\n"
BITS = ("w8a8", "w4a8", "w4a4", "w3a4")
DEFAULTS = "as it is"
OPTIONS: dict[str, dict[str, object]] = {
    DEFAULTS: {},
    "activations minmax": {"ranges": "minmax"},
    "activations percentile": {"ranges": "percentile"},
    "weights mse": {"weight_ranges": "mse"},
    "per tensor": {"per_channel": False},
    "no bias correction": {"bias_correction": False},
    "equalize": {"equalize": True},
    "second order": {"rounding": "second_order"},
    "equalize, second order": {"equalize": True, "rounding": "second_order"},
}


class Block(nn.Module):
    """Two 3x3 convolutions with batch-norm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def mlp(inputs: int) -> nn.Module:
    """64 and 32 hidden units."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def lenet5() -> nn.Module:
    """LeNet-5 (20, 50, 500)."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def resnet(stride: int) -> nn.Module:
    """A stem and three blocks, as ResNet-8."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def trained(model: nn.Module, data: Dataset, epochs: int) -> Source:
    """The source of a model after some epochs of Adam."""
    x = torch.from_numpy(data.x_train).float() * data.scale
    y = torch.from_numpy(data.y_train)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return capture(model.eval(), x[:1], InputMap(data.scale, 0, data.hi))


def accuracy(source: Source, data: Dataset) -> float:
    """Share of the test images that are classified rightly."""
    right = 0
    for start in range(0, len(data.x_test), 100):
        x = data.x_test[start : start + 100]
        logits = evaluate(source, {source.inputs[0].name: x})[source.outputs[0]]
        right += int((logits.argmax(axis=1) == data.y_test[start : start + 100]).sum())
    return right / len(data.x_test)


def measured(source: Source, data: Dataset, config: Config) -> tuple[str, float]:
    """Accuracy and SQNR as a cell of the table, and the seconds that calibration took."""
    frames = calibration_frames(data.name, source)
    start = time.perf_counter()
    result = calibrate(source, frames, config)
    seconds = time.perf_counter() - start
    lowered = lower(result.source)
    report = agree(result.source, lowered, {source.inputs[0].name: data.x_test[:100]})
    assert report.differing == 0, str(report)
    assert report.activation_rate == 0, str(report)
    assert not any("thresholds a channel" in note for note in lowered.notes), lowered.notes
    right = 100 * accuracy(result.source, data)
    return f"{right:.2f} ({result.losses[-1].sqnr_db:.1f})", seconds


def table(title: str, source: Source, data: Dataset) -> str:
    """One network under all options."""
    lines = [f"\n**{title}**, float {100 * accuracy(source, data):.2f} %\n"]
    lines += [f"| options | {' | '.join(BITS)} | s |", "|---|" + "---|" * (len(BITS) + 1)]
    for name, options in OPTIONS.items():
        cells = [measured(source, data, Config.of(bits, **options)) for bits in BITS]
        seconds = float(np.mean([s for _, s in cells]))
        lines.append(f"| {name} | {' | '.join(cell for cell, _ in cells)} | {seconds:.1f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.manual_seed(0)
    digits, mnist = load_data("digits"), load_data("mnist5k")
    text = ""
    for title, model, data, epochs in (
        ("MLP 64-64-32-10, digits", mlp(64), digits, 10),
        ("Residual network, digits", resnet(1), digits, 8),
        ("LeNet-5, mnist5k", lenet5(), mnist, 6),
        ("Residual network, mnist5k", resnet(2), mnist, 4),
    ):
        print(title, flush=True)
        text += table(title, trained(model, data, epochs), data)
    head, mark, _ = DOC.read_text().partition(MARK)
    DOC.write_text(head + mark + text)


if __name__ == "__main__":
    main()
