"""How much the loss bends along each weight: what an error in it costs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hwc.models.compress.method import Work
from hwc.models.pruning.mask import latent_of

__all__ = ["IMAGES", "curvature", "fisher"]

IMAGES, BATCH, PROBES = 1000, 50, 2


def fisher(work: Work, name: str) -> Tensor:
    """`curvature` of a layer's latent, at least 1e-3 of the mean, so that no weight is free."""
    (found,) = curvature(work, [latent_of(work.layers[name])])
    return F.relu(found - 1e-3 * found.mean()) + 1e-3 * found.mean()


def curvature(work: Work, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The diagonal of J^T J of the logits (an estimate, of each parameter's shape), averaged over
    training images: squared gradients of random +-1 sums of the logits, over batches as a whole.

    Sums over a batch with independent signs have the same expectation as single images. The logits
    are used, not the loss: on memorized data the gradient of the loss is nothing (LeCun et al.
    1990, in Gauss-Newton form).
    """
    generator = work.generator()
    raw = work.data.first(IMAGES)
    totals = [torch.zeros_like(p) for p in parameters]
    for images in raw.split(BATCH):
        for _ in range(PROBES):
            logits = work.model(images)
            signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
            grads = torch.autograd.grad((logits * signs).sum(), list(parameters), allow_unused=True)
            for total, grad in zip(totals, grads, strict=True):
                if grad is not None:
                    total += grad.square()
    return [total / (PROBES * len(raw)) for total in totals]
