"""A network whose channels depend on each other in all the ways that pruning follows."""

from typing import Any

import torch
from torch import Tensor, nn


class Coupled(nn.Module):
    """A residual add, a concatenation, depthwise and grouped convolutions, a split, flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.depth = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.side = nn.Conv2d(2, 6, 1)
        self.act = nn.PReLU(22)
        self.grouped = nn.Conv2d(22, 12, 3, groups=2)
        self.up = nn.ConvTranspose2d(12, 6, 2, 2)
        self.fc1, self.fc2 = nn.Linear(6 * 4 * 4, 14), nn.Linear(14, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.stem(x)))
        y = y + self.branch(y)
        y = self.act(torch.cat([self.depth(y), self.side(x)], 1))
        y = self.up(torch.nn.functional.max_pool2d(self.grouped(y), 3, 3, 1))
        a, b = y.split((2, 4), 1)
        y = torch.cat([torch.tanh(b), a], 1)
        return self.fc2(torch.relu(self.fc1(y.flatten(1))))


def seeded(model: Any) -> Any:
    """Batch-norms as after training."""
    g = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                assert tensor is not None
                tensor.data.normal_(generator=g)
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 2, generator=g)
    return model.eval()
