"""Small bundles, and where simulators under cocotb are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.build import Options, build
from hwc.models import IntWeight, QuantInput, quantize_weight, save


class Small(nn.Module):
    """One layer, inputs of 4 bits and 5 outputs."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.grid = QuantInput(2**-4, -8, 7)
        self.head = quantize_weight(nn.Linear(inputs, 5), IntWeight(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.grid(x))


@pytest.fixture(scope="session")
def cocotb_work(request: pytest.FixtureRequest) -> Path:
    """Kept between runs: what is unchanged is not compiled again."""
    cache = request.config.cache
    assert cache is not None
    return Path(cache.mkdir("cocotb"))


def built(folder: Path, work: Path, inputs: int, fps: float) -> Path:
    """A bundle of :class:`Small`, with 16 golden frames."""
    torch.manual_seed(0)
    model = Small(inputs)
    x = np.random.default_rng(1).integers(-8, 8, (64, inputs))
    real = torch.from_numpy(x).float() / 16
    model.train()(real)
    model.eval()
    save(model, (real[:1],), folder / "model.pt", (x, None))
    options = Options(
        model=folder / "model.pt",
        board="pynq-z2",
        output=folder / "bundle",
        target_fps=fps,
        work=work,
    )
    build(options)
    return folder / "bundle"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, cocotb_work: Path) -> Path:
    """11 inputs, as fast as sensible; not to be changed."""
    return built(tmp_path_factory.mktemp("small"), cocotb_work, 11, 1e6)


@pytest.fixture(scope="session")
def serial_bundle(tmp_path_factory: pytest.TempPathFactory, cocotb_work: Path) -> Path:
    """16 inputs that fill whole words, of which one is taken at a time; not to be changed."""
    return built(tmp_path_factory.mktemp("serial"), cocotb_work, 16, 1e5)
