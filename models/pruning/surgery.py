"""Dynamic network surgery (Guo, Yao, Chen 2016, arXiv 1608.04493): pruned weights may come back.

The forward pass uses `w * mask`, the update changes every w. Two thresholds with a band between
them decide: a weight below is masked, one above is spliced back, in between nothing changes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.models.pruning.mask import Mask, latent_of, mask_of, set_mask

__all__ = ["DenseMask", "Thresholds", "operate", "settle"]


class _Through(torch.autograd.Function):
    """`where(keep, w, 0)` whose gradient reaches all of w."""

    @staticmethod
    def forward(ctx, weight: Tensor, keep: Tensor) -> Tensor:
        return torch.where(keep, weight, torch.zeros_like(weight))

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return grads[0], None


class DenseMask(Mask):
    """A mask that lets the gradient of the masked weight through, so that a masked weight goes on
    learning, until `settle` makes it a plain one."""

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return super().forward(weight)
        return _Through.apply(weight, self.keep)  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Thresholds:
    """Masked at or below `low`, spliced back above `high`: 0.9 and 1.1 times max(mean|w| + c *
    std|w|, 0), both measured once, at the start."""

    low: float
    high: float

    @staticmethod
    def of(weight: Tensor, c: float) -> "Thresholds":
        size = weight.detach().abs()
        middle = max(float(size.mean() + c * size.std(correction=0)), 0.0)
        return Thresholds(0.9 * middle, 1.1 * middle)

    def update(self, weight: Tensor, keep: Tensor) -> Tensor:
        """The mask after one look at the latent."""
        size = weight.detach().abs()
        return torch.where(size <= self.low, False, torch.where(size > self.high, True, keep))


def operate(layer: nn.Module, thresholds: Thresholds) -> None:
    """One surgery on a layer: masks and splices in place, registering the mask on first use."""
    mask = mask_of(layer)
    if mask is None:
        set_mask(layer, torch.ones_like(latent_of(layer), dtype=torch.bool))
        mask = mask_of(layer)
    assert mask is not None
    if not isinstance(mask, DenseMask):
        chain = layer.parametrizations["weight"]  # pyright: ignore
        assert isinstance(chain, parametrize.ParametrizationList)
        mask = DenseMask(mask.keep).train(layer.training)
        chain[0] = mask
    mask.keep = thresholds.update(latent_of(layer), mask.keep)


def settle(layer: nn.Module) -> None:
    """End the surgery on a layer: from now on its mask is a plain one, under which masked weights
    learn nothing."""
    mask = mask_of(layer)
    if isinstance(mask, DenseMask):
        layer.parametrizations["weight"][0] = Mask(mask.keep)  # pyright: ignore
