"""The diagonal of the Hessian by one second-order backward pass, as in Optimal Brain Damage (LeCun,
Denker, Solla 1990), in the Levenberg-Marquardt form: terms with second derivatives of activations
are left out, so that nothing is below 0.

With a = W x and y = f(a), per image: d2E/dw_ij^2 = d2E/da_i^2 * x_j^2, summed over the uses of a
shared weight; d2E/dx_j^2 = sum over i of w_ij^2 * d2E/da_i^2; d2E/da_i^2 = f'(a_i)^2 * d2E/dy_i^2.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwc.models.pruning.mask import PruningError, latent_of
from hwc.models.quantize.activation import QuantAct, QuantInput

__all__ = ["Outputs", "second_diagonal"]

Outputs = Literal["square", "softmax"]
"""The loss E of logits z: |z - t|^2 / 2, or cross-entropy of their softmax."""

ELEMENTWISE = (
    nn.ReLU, nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout,
    nn.BatchNorm1d, nn.BatchNorm2d, QuantAct, QuantInput,
)  # fmt: skip
BATCH = 100


def second_diagonal(
    model: nn.Module, layers: Sequence[nn.Module], images: Tensor, outputs: Outputs = "square"
) -> list[Tensor]:
    """d2E/dw^2 of the weights of each of the `layers`, averaged over the images (real values).

    The model, in evaluation mode, must be a chain (`nn.Sequential`, also in others) of linear
    layers, convolutions, elementwise functions, pools and Flatten, else PruningError. Exact for
    "square" where no unit reaches an output by two ways through later hidden units, and no weight
    is used twice; else cross terms are left out, as in the paper.
    """
    chain = list(links(model))
    totals = {id(layer): torch.zeros_like(latent_of(layer)) for layer in layers}
    for part in images.split(BATCH):
        with torch.no_grad():
            entering = [part]
            for link in chain:
                entering.append(link(entering[-1]))
        h = at_outputs(entering.pop(), outputs)
        for link, x in zip(reversed(chain), reversed(entering), strict=True):
            if id(link) in totals:
                totals[id(link)] += of_weights(link, x, h)
            h = of_inputs(link, x, h)
    return [totals[id(layer)] / len(images) for layer in layers]


def links(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of a chain, in the order in which they run."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from links(child)
    else:
        yield module


def at_outputs(logits: Tensor, outputs: Outputs) -> Tensor:
    """d2E/dz^2 of every logit."""
    if outputs == "square":
        return torch.ones_like(logits)
    share = logits.softmax(1)
    return share * (1 - share)


def linear(layer: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """The layer with another weight and without bias."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    return layer._conv_forward(x, weight, None)


def of_weights(layer: nn.Module, x: Tensor, h: Tensor) -> Tensor:
    """d2E/dw^2 summed over images and uses, from the inputs and d2E/da^2."""
    weight = layer.weight.detach().clone().requires_grad_()  # pyright: ignore
    (found,) = torch.autograd.grad(linear(layer, x.square(), weight), weight, h)
    return found


def of_inputs(layer: nn.Module, x: Tensor, h: Tensor) -> Tensor:
    """d2E/dx^2 from d2E/dy^2 of what the layer gives."""
    x = x.detach().clone().requires_grad_()
    match layer:
        case nn.Linear() | nn.Conv1d() | nn.Conv2d():
            squares = layer.weight.detach().square()
            return torch.autograd.grad(linear(layer, x, squares), x, h)[0]
        case nn.Flatten():
            return h.reshape(x.shape)
        case nn.MaxPool1d() | nn.MaxPool2d():
            return torch.autograd.grad(layer(x), x, h)[0]
        case nn.AvgPool2d(padding=0 | (0, 0), divisor_override=None, ceil_mode=False):
            return pooled(layer, x, h)
        case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
            return pooled(layer, x, h)
    if not isinstance(layer, ELEMENTWISE):
        raise PruningError(
            f"{type(layer).__name__} has no second-order backward pass: the network must be a "
            'nn.Sequential of linear layers, convolutions, activations and pools; use by = "probes"'
        )
    (slope,) = torch.autograd.grad(layer(x).sum(), x)
    return h * slope.square()


def pooled(layer: nn.Module, x: Tensor, h: Tensor) -> Tensor:
    """For a mean of n values: 1 / n^2 of d2E/dy^2 each, summed over the pools that have it."""
    size = getattr(layer, "kernel_size", x.shape[2:])
    n = size * size if isinstance(size, int) else size[0] * size[1]
    return torch.autograd.grad(layer(x), x, h)[0] / n
