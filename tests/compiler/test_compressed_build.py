"""Compressed networks, trained on the digits, become verified accelerators."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from hwc.compiler.build import Options, build
from hwc.models import load_data
from hwc.models.compress import compress
from hwc.models.compress.networks import start
from hwc.models.compress.recipe import parse

RECIPES = {
    "uniform": 'method = "uniform"\nbits = 4\nepochs = 10',
    "kmeans": 'method = "kmeans"\nk = 16\nepochs = 10',
    "ternary": 'method = "ternary"\nepochs = 20',
    "bwn": 'method = "binary"\nform = "bwn"\nepochs = 20',
    "loss_aware": 'method = "loss_aware"\nepochs = 20',
    "power_of_two": 'method = "power_of_two"\nbits = 3\nepochs = 10',
    "pruned": 'method = "gradual"\ndensity = 0.25\nsensitivity = true\nepochs = 20',
    "n_of_m": 'method = "n_of_m"\nepochs = 10',
    "channels": 'method = "channels"\nexcept = ["fc2"]\nround_to = 8\nepochs = 10',
}
FORMS = {
    "kmeans": {"Codebook"},
    "ternary": {"Ternary", "Sparse"},
    "bwn": {"Binary"},
    "loss_aware": {"Binary"},
    "power_of_two": {"PowerOfTwo"},
    "pruned": {"Sparse"},
    "n_of_m": {"NMSparse"},
}
"""What `recognize` may find in the first layer."""


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_build(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"[start]\nepochs = 20\n[activations]\nbits = 4\n[[step]]\n{RECIPES[name]}\n"
    if name in ("pruned", "n_of_m"):
        text += '[[step]]\nmethod = "levels"\nhi = 127\nepochs = 0\n'
    if name == "channels":
        text += '[[step]]\nmethod = "uniform"\nbits = 4\nepochs = 5\n'
    data, recipe = load_data("digits"), parse(text)
    torch.manual_seed(3)
    mlp: OrderedDict[str, nn.Module] = OrderedDict(
        flatten=nn.Flatten(), fc1=nn.Linear(64, 48), act1=nn.ReLU(), fc2=nn.Linear(48, 10)
    )
    networks = {"mlp": lambda _: nn.Sequential(mlp)}
    monkeypatch.setattr("hwc.models.compress.networks.NETWORKS", networks)
    network = start("mlp", recipe, data, progress=False)
    made = compress(network, recipe, data, progress=False, name=name)
    assert made.checkpoint.accuracy["fake_quant"] > 0.85
    made.save(tmp_path / "small.pt")
    options = Options(
        tmp_path / "small.pt",
        "pynq-z2",
        tmp_path / "bundle",
        target_fps=1e5,
        verify_inputs=40,
        data="digits",
        work=tmp_path / "cache",
    )
    report = build(options)
    assert report.verified is not None
    assert (report.verified.mismatches, report.verified.cycle_errors) == (0, 0)
    assert report.accuracy.differing_outputs == 0
    assert report.accuracy.integer == pytest.approx(made.checkpoint.accuracy["fake_quant"])
    first = next(layer.weights for layer in report.layers if layer.weights)
    if name == "channels":
        assert [layer.weights for layer in made.report.layers] == [64 * 24, 24 * 10]
    assert name not in FORMS or first.split(",")[0] in FORMS[name]
