"""Random small movements of images, for training."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hwc.models.compress.recipe import Training


def moved(images: Tensor, how: Training, rng: np.random.Generator) -> Tensor:
    """Every image (N, C, H, W) of raw values rotated, resized, sheared and shifted at random, to
    the nearest raw values; zeros come in at the border."""
    if not (how.shift or how.rotate or how.zoom or how.shear):
        return images.float()
    n, _, h, w = images.shape

    def uniform(most: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(-most, most, shape)).float()

    angle = uniform(how.rotate, n) * math.pi / 180
    size = torch.exp(uniform(how.zoom, n))
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.cos(angle) * size
    matrix[:, 0, 1] = -torch.sin(angle) * size + uniform(how.shear, n)
    matrix[:, 1, 0] = torch.sin(angle) * size
    matrix[:, 1, 1] = torch.cos(angle) * size
    matrix[:, :, 2] = uniform(how.shift, n, 2) * 2 / torch.tensor([w, h])
    where = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), where, align_corners=False).round()
