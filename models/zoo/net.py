"""What a network of the zoo is: how to build and train it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hwc.models.data import Dataset


@dataclass(frozen=True)
class Net:
    """How to build and train a network of the zoo.

    `loss` is "hinge" (squared, for binary networks) or "cross_entropy"; `shift` the largest
    augmentation shift in pixels; `temperature` multiplies the logits in the loss (never in the
    network).
    """

    name: str
    what: str
    build: Callable[[Dataset], nn.Module]
    epochs: int
    lr: float
    loss: str = "cross_entropy"
    batch: int = 100
    shift: int = 1
    temperature: float = 1.0
    threads: int = 1
