"""Networks trained in float on scikit-learn's digits, calibrated, lowered and counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.calibrate import Calibrated, Config, calibrate, calibration_frames
from hwc.compiler.graph import MultiThreshold, Requant, run
from hwc.compiler.lower import agree, hardware, lower
from hwc.compiler.source import Source, evaluate
from hwc.models import Dataset, InputMap, capture, load_data


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32),
        nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="module", params=[mlp, cnn], ids=["mlp", "cnn"])
def source(request: pytest.FixtureRequest, digits: Dataset) -> Source:
    """A trained float network, captured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = request.param()
        x = torch.from_numpy(digits.x_train).float() * digits.scale
        y = torch.from_numpy(digits.y_train)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(8):
            for part in torch.randperm(len(x)).split(64):
                loss = nn.functional.cross_entropy(model(x[part]), y[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    torch.set_num_threads(threads)
    return capture(model.eval(), x[:1], InputMap(digits.scale, 0, digits.hi))


def accuracy(source: Source, data: Dataset) -> float:
    logits = evaluate(source, {source.inputs[0].name: data.x_test})[source.outputs[0]]
    return float((logits.argmax(axis=1) == data.y_test).mean())


def exact(calibrated: Calibrated, data: Dataset) -> None:
    """Integers, after all passes too, are those of float64 evaluation."""
    source = calibrated.source
    lowered = lower(source)
    report = agree(source, lowered, {source.inputs[0].name: data.x_test})
    assert report.differing == 0, str(report)
    assert report.activation_rate == 0, str(report)
    codes = lowered.encode({source.inputs[0].name: data.x_test})
    before, after = run(lowered.graph, codes), run(hardware(lowered.graph), codes)
    assert all((before[name] == after[name]).all() for name in before)


def test_eight_bits_cost_nothing(source: Source, digits: Dataset) -> None:
    calibrated = calibrate(source, calibration_frames("digits", source), Config.of("w8a8"))
    exact(calibrated, digits)
    before, after = accuracy(source, digits), accuracy(calibrated.source, digits)
    assert before > 0.95
    assert abs(before - after) < 0.01
    assert calibrated.losses[-1].sqnr_db > 40
    ops = [node.op for node in lower(calibrated.source).graph.nodes]
    assert not any(isinstance(op, MultiThreshold) for op in ops)
    multipliers = [abs(op.multiplier.values).max() for op in ops if isinstance(op, Requant)]
    assert multipliers
    assert max(multipliers) <= 4096


@pytest.mark.parametrize("bits", ["w4a4", "w3a8"])
def test_second_order_rounding_pays(source: Source, digits: Dataset, bits: str) -> None:
    frames = calibration_frames("digits", source)
    found = {}
    for rounding in ("nearest", "second_order"):
        calibrated = calibrate(source, frames, Config.of(bits, rounding=rounding))
        exact(calibrated, digits)
        found[rounding] = calibrated
    name, out = source.inputs[0].name, source.outputs[0]
    wanted = evaluate(source, {name: digits.x_test})[out]
    noise = [
        float(np.square(evaluate(c.source, {name: digits.x_test})[out] - wanted).sum())
        for c in (found["nearest"], found["second_order"])
    ]
    assert noise[1] < 0.75 * noise[0], noise  # on images that calibration has not seen
    accuracies = [accuracy(c.source, digits) for c in found.values()]
    assert accuracies[1] > accuracies[0] - 0.01, accuracies


@pytest.mark.parametrize("options", [
    {"ranges": "minmax"}, {"ranges": "percentile"}, {"weight_ranges": "mse"},
    {"per_channel": False}, {"bias_correction": False}, {"equalize": True},
], ids=str)  # fmt: skip
def test_every_option_is_exact(source: Source, digits: Dataset, options: dict) -> None:
    frames = calibration_frames("digits", source, 100)
    calibrated = calibrate(source, frames, Config.of("w4a8", **options))
    exact(calibrated, digits)
    assert accuracy(calibrated.source, digits) > accuracy(source, digits) - 0.05
