"""How much the loss bends along each weight: what an error in it costs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hwc.models.compress.method import Work
from hwc.models.pruning.mask import latent_of

__all__ = ["fisher"]

IMAGES, BATCH, PROBES = 1000, 50, 2


def fisher(work: Work, name: str) -> Tensor:
    """The diagonal of J^T J of the logits (an estimate, of the latent's shape), averaged over the
    training images: squared gradients of random +-1 sums of the logits, over batches as a whole.

    Sums over a batch with independent signs have the same expectation as single images. The logits
    are used, not the loss: on memorized data the gradient of the loss is nothing (LeCun et al.
    1990, in Gauss-Newton form). At least 1e-3 of the mean, so that no weight is free.
    """
    generator, parameter = work.generator(), latent_of(work.layers[name])
    raw = torch.from_numpy(work.data.x_train[:IMAGES]).float() * work.data.scale
    total, count = torch.zeros_like(parameter), 0
    for images in raw.split(BATCH):
        for _ in range(PROBES):
            logits = work.model(images)
            signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
            (grad,) = torch.autograd.grad((logits * signs).sum(), parameter)
            total += grad.square()
            count += len(images)
    found = total / count
    return F.relu(found - 1e-3 * found.mean()) + 1e-3 * found.mean()
