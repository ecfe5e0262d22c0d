"""A bundle for a board without a processor, built once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.build import Options, build
from hwc.models import BinaryWeight, BipolarAct, IntWeight, QuantInput, quantize_weight, save
from hwc.sim.board.serial import SimulatedLine, compile_line


class TwoHeads(nn.Module):
    """Two inputs, one of them signed; two heads, one of more than a byte an element."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = QuantInput(2**-4, -8, 7), QuantInput(1.0, 0, 255)
        self.one = quantize_weight(nn.Linear(11, 7, bias=False), IntWeight(3))
        self.two = quantize_weight(nn.Linear(5, 9, bias=False), IntWeight(4))
        self.sign = BipolarAct()
        self.head = quantize_weight(nn.Linear(7, 3, bias=False), BinaryWeight(scale=1.0))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head(self.sign(self.one(self.left(a)))), self.two(self.right(b))


@dataclass(frozen=True)
class Built:
    """A bundle, the simulator's program, and the network in float64."""

    bundle: Path
    program: Path
    model: nn.Module

    @property
    def manifest(self) -> dict:
        return json.loads((self.bundle / "manifest.json").read_text())

    def line(self, drift: float = 0.0) -> SimulatedLine:
        """A new line to it."""
        return SimulatedLine(self.program, self.manifest, drift)

    def batch(self, frames: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Random raw inputs by stream."""
        rng = np.random.default_rng(seed)
        a, b = rng.integers(-8, 8, (frames, 11)), rng.integers(0, 256, (frames, 5))
        return dict(zip(self.manifest["inputs"], (a, b), strict=True))

    def expected(self, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What PyTorch gives for it, per output."""
        a, b = (torch.from_numpy(x).double() for x in batch.values())
        with torch.no_grad():
            return [y.numpy() for y in self.model.double()(a / 16, b)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Built:
    torch.manual_seed(3)
    model = TwoHeads().eval()
    rng = np.random.default_rng(1)
    a, b = rng.integers(-8, 8, (16, 11)), rng.integers(0, 256, (16, 5))
    example = torch.from_numpy(a[:1]).float() / 16, torch.from_numpy(b[:1]).float()
    folder = tmp_path_factory.mktemp("serial")
    save(model, example, folder / "model.pt", ((a, b), None))
    work = Path(request.config.cache.mkdir("serial"))
    bundle = folder / "bundle"
    build(Options(model=folder / "model.pt", board="icebreaker", output=bundle, work=work))
    network, shell = ((bundle / "rtl" / f"{name}.v").read_text() for name in ("network", "shell"))
    return Built(bundle, compile_line(network, shell, work), model)
