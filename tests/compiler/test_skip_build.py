"""Whole builds whose schedule depends on data: exact for frames that run, bounded for others."""

from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.build import Options, build
from hwc.compiler.system import verify_bundle
from hwc.hw.units.skip.unit import SkipMatVec
from hwc.models import IntWeight, QuantAct, QuantInput, quantize_weight, save
from hwc.sim.check import VerificationError

FEW = 20
"""Frames of a build."""


def network():
    """A small network of 6x6 images with 4-bit activations."""
    torch.manual_seed(1)

    def fc(a, b):
        return quantize_weight(nn.Linear(a, b, bias=False), IntWeight(4))

    parts = OrderedDict(input=QuantInput(2.0**-8, 0, 255), flat=nn.Flatten())
    net = nn.Sequential(parts | {"fc1": fc(36, 20), "act1": QuantAct(4), "fc2": fc(20, 3)})
    net.train()
    net(torch.rand(50, 1, 6, 6))
    return net.eval()


def built(folder, images, cache, **options):
    """The report and the bundle of a build with these images."""
    model = folder / "small.pt"
    labels = np.zeros(len(images), np.int64)
    save(network(), torch.zeros(1, 1, 6, 6).double(), model, samples=(images, labels), name="small")
    wanted = Options(
        model, "pynq-z2", folder / "bundle", work=cache, verify_inputs=FEW, target_fps=200_000,
        units=("fc1=skip",), **options,
    )  # fmt: skip
    return build(wanted), folder / "bundle"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def holed():
    """Images with a share of zeros that differs from one to the next."""
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (FEW, 1, 6, 6))
    return np.where(rng.random(images.shape) < rng.random((FEW, 1, 1, 1)), images, 0)


def test_cycles_are_those_of_the_frames_and_the_bound_is_said(holed, cache, tmp_path):
    report, bundle = built(tmp_path, holed, cache)
    assert "skip" in [layer.variant for layer in report.layers]
    for pair in (report.cycles.latency, report.cycles.interval):
        assert pair.estimated == pair.measured
    assert report.cycles.interval.estimated < report.cycles.most
    manifest = json.loads((bundle / "manifest.json").read_text())["cycles"]
    assert manifest["golden_least"] < manifest["interval"] < manifest["most"]
    found = verify_bundle(bundle, cache)
    assert found.quick.latency == manifest["latency"]
    assert found.quick.interval is not None
    assert round(found.quick.interval * (found.frames - 1)) >= manifest["golden_span"]


def test_frames_without_zeros_take_what_was_bounded(cache, tmp_path):
    report, _ = built(tmp_path, np.full((FEW, 1, 6, 6), 200), cache, shell_frames=0)
    assert report.cycles.interval.measured == report.cycles.most


def test_a_unit_that_skips_other_beats_than_it_says_is_found(holed, cache, tmp_path, monkeypatch):
    right = SkipMatVec.conditions

    def late(self, frames):
        """As if the last beat of a frame's first vector were never 0."""
        changed = frames["x"].copy()
        changed.reshape(len(changed), -1)[0, -1] = 1
        return right(self, {"x": changed})

    holed = holed.copy()
    holed[0, 0, -1, -1] = 0
    monkeypatch.setattr(SkipMatVec, "conditions", late)
    with pytest.raises(VerificationError, match="predicted was"):
        built(tmp_path, holed, cache, shell_frames=0)
    assert not (tmp_path / "bundle").exists()
