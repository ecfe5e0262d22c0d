"""A bundle with its simulated board, built once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.build import Options, build
from hwc.models import IntWeight, PowerOfTwoScale, QuantAct, QuantInput, quantize_weight, save
from hwc.sim.board.simulated import compile_board


class TwoByTwo(nn.Module):
    """Two inputs of odd sizes, a residual add, two heads of which one is wide, and the softmax of
    the other, which the host computes from the same integers."""

    def __init__(self) -> None:
        super().__init__()
        scale = PowerOfTwoScale()
        self.left, self.right = QuantInput(2**-4, -8, 7), QuantInput(2**-4, 0, 15)
        self.one = quantize_weight(nn.Linear(21, 13), IntWeight(4))
        self.two = quantize_weight(nn.Linear(9, 13, bias=False), IntWeight(3))
        self.grid_one = QuantAct(4, True, scale)
        self.grid_two = QuantAct(4, True, scale)
        self.act = QuantAct(3)
        self.head = quantize_weight(nn.Linear(13, 19), IntWeight(8))
        self.small = quantize_weight(nn.Linear(13, 3, bias=False), IntWeight(4))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.grid_one(self.one(self.left(a))) + self.grid_two(self.two(self.right(b)))
        y = self.act(y)
        small = self.small(y)
        return self.head(y), small, torch.softmax(small, 1)


@dataclass(frozen=True)
class Built:
    """A bundle, the simulator's program, and the network in float64."""

    bundle: Path
    program: Path
    model: nn.Module

    @property
    def manifest(self) -> dict:
        return json.loads((self.bundle / "manifest.json").read_text())

    def batch(self, frames: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Random raw inputs by stream."""
        rng = np.random.default_rng(seed)
        a = rng.integers(-8, 8, (frames, 21), dtype=np.int8)
        b = rng.integers(0, 16, (frames, 9), dtype=np.uint8)
        return dict(zip(self.manifest["inputs"], (a, b), strict=True))

    def expected(self, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What PyTorch gives for it, per output."""
        with torch.no_grad():
            real = [torch.from_numpy(x).double() / 16 for x in batch.values()]
            return [y.numpy() for y in self.model.double()(*real)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Built:
    torch.manual_seed(0)
    model = TwoByTwo()
    rng = np.random.default_rng(1)
    a, b = rng.integers(-8, 8, (64, 21)), rng.integers(0, 16, (64, 9))
    real = tuple(torch.from_numpy(x).float() / 16 for x in (a, b))
    model.train()(*real)
    model.eval()
    folder = tmp_path_factory.mktemp("built")
    saved = tuple(x[:1] for x in real)
    save(model, saved, folder / "model.pt", ((a, b), None))
    work = Path(request.config.cache.mkdir("board"))
    bundle = folder / "bundle"
    build(
        Options(
            model=folder / "model.pt", board="pynq-z2", output=bundle, target_fps=2.5e6, work=work
        )
    )
    network, shell = ((bundle / "rtl" / f"{name}.v").read_text() for name in ("network", "shell"))
    return Built(bundle, compile_board(network, shell, work), model)
