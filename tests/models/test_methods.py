"""Every method that a recipe may name, on a small network: what comes out keeps its promise."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph import MatMul, run
from hwc.compiler.lower import lower
from hwc.models import load, load_data
from hwc.models.compress import compress
from hwc.models.compress.methods import METHODS
from hwc.models.compress.recipe import parse

# What each step gets, and the most values that the weights of a layer may have afterwards (None:
# any number) and the largest share of them that may differ from 0.
CASES = {
    "biased_decay": ('except = ["3"]\nepochs = 1\nleast = 0.97\ntune = 1', None, 1.0),
    "binary": ("epochs = 1", 2, 1.0),
    "channels": ('except = ["3"]\nkeep = 0.5\nround_to = 4\nepochs = 1', None, 1.0),
    "few_multiplications": ("epochs = 1", 3, 1.0),
    "finetune": ("epochs = 1", None, 1.0),
    "fixed_point": ("epochs = 1", None, 1.0),
    "gradual": ("density = 0.25\nsensitivity = true\nepochs = 2", None, 0.26),
    "hash": ("ratio = 8.0\nepochs = 1", None, 1.0),
    "kmeans": ("k = 5\nhessian = true\nrate = 0.01\nepochs = 1", 5, 1.0),
    "levels": ("hi = 1\nepochs = 1", 3, 1.0),
    "loss_aware": ("levels = 3\nepochs = 1", 3, 1.0),
    "magnitude": ("density = 0.25\nscope = 'global'\nepochs = 1", None, 0.26),
    "merging": ('except = ["3"]\nkeep = 0.5', None, 1.0),
    "n_of_m": ("n = 1\nm = 4\nepochs = 1", None, 0.25),
    "obd": ("density = 0.25\nper_round = 0.4\nepochs = 1", None, 0.26),
    "obs_global": ("density = 0.5\nimages = 4", None, 0.51),
    "obs_rounding": ("bits = 3", 7, 1.0),
    "obs": ("density = 0.25", None, 0.26),
    "power_of_two": ("bits = 3\nepochs = 1", 7, 1.0),
    "product_quantization": ("k = 4\nepochs = 1", None, 1.0),
    "regularized": (
        "except = ['3']\npenalty = 'group'\ndensity = 0.5\nepochs = 1\ntune = 1",
        None,
        1.0,
    ),
    "residual_quantization": ("k = 4\nstages = 2\nepochs = 1", None, 1.0),
    "soft_sharing": ("zero = 0.2\nmixture_lr = 0.02\nepochs = 3\ntune = 1", 17, 1.0),
    "surgery": ("c = 0.5\nepochs = 2", None, 0.7),
    "ternary": ("epochs = 1", 3, 1.0),
    "trained_ternary": ("epochs = 1", 3, 1.0),
    "uniform_bins": ("width = 1.0\nepochs = 1", 40, 0.9),
    "uniform": ("bits = 4\nepochs = 1", 15, 1.0),
}
SMALLER = ("biased_decay", "channels", "merging", "regularized")
"""Methods that take units out."""
FLOAT = (
    "biased_decay",
    "channels",
    "finetune",
    "gradual",
    "magnitude",
    "merging",
    "n_of_m",
    "obd",
    "obs",
    "obs_global",
    "regularized",
    "surgery",
)
"""Methods that leave float weights: 8 bits follow."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def test_every_method_has_a_case() -> None:
    assert set(CASES) == set(METHODS)


def test_every_method_is_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compression.md").read_text()
    table = page.partition("## Methods")[2].partition("## Which method when")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == set(METHODS)


@pytest.mark.parametrize("name", CASES)
def test_method(name: str, tmp_path) -> None:
    options, values, share = CASES[name]
    text = f'[[step]]\nmethod = "{name}"\n{options}\n'
    if name in FLOAT:
        text += '[[step]]\nmethod = "levels"\nhi = 127\nepochs = 0\n'
    data = load_data("digits")
    made = compress(network(), parse(text), data, progress=False)
    made.save(tmp_path / "small.pt")
    source = load(tmp_path / "small.pt").source
    assert source == made.checkpoint.source
    lowered = lower(source)
    weights = [n.op.weight.dense() for n in lowered.graph.nodes if isinstance(n.op, MatMul)]
    units = len(weights[0])
    assert units < 32 if name in SMALLER else units == 32
    assert [w.shape for w in weights] == [(units, 64), (10, units)]
    for w in weights:
        assert values is None or len(np.unique(w)) <= values
        assert len(np.unique(w)) > 1
    total = sum(w.size for w in weights)
    assert sum(int(np.count_nonzero(w)) for w in weights) <= share * total + 1
    x = torch.from_numpy(data.x_test[:50]).double() * data.scale
    with torch.no_grad():
        wanted = made.model.double()(x).numpy()
    (reading,) = lowered.outputs
    frames = {source.inputs[0].name: data.x_test[:50].astype(np.int64)}
    codes = run(lowered.graph, lowered.encode(frames))[reading.node]
    np.testing.assert_allclose(reading.decode(codes), wanted, rtol=1e-9, atol=1e-9)
