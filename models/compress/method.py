"""What a step of a recipe is, and what it gets to work on."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from hwc.models.compress.ranges import check_ranges
from hwc.models.data import Dataset

CALIBRATION = 1000  # images for `Work.inputs_of` and the scales of activations
Loss = Callable[[Tensor, Tensor], Tensor]  # (logits, labels) -> scalar
Penalty = Callable[[], Tensor]  # a term to add to the loss of a batch
Make = Callable[[list[nn.Parameter], float], torch.optim.Optimizer]  # (parameters, lr)


@dataclass(frozen=True)
class Method(ABC):
    """One method of compression; the fields of a subclass are its options in a recipe.

    A recipe gives options as TOML numbers, strings, booleans or lists of them, which arrive as
    tuples. `__post_init__` checks their values and raises HwcError; here those of `ranges`.
    """

    # The name of the field that `max_drop` searches over, the mildest value and the strongest.
    strength: ClassVar[tuple[str, float, float] | None] = None

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def chooses(self) -> bool:
        """Whether it decides something by the accuracy on the validation split."""
        return False

    def refuses(self, layer: nn.Module) -> str | None:
        """Why this method cannot treat `layer` ("needs ..."), or None."""
        return None

    @abstractmethod
    def apply(self, work: "Work") -> None:
        """Compress `work.layers` inside `work.model`, in place.

        Random choices come from generators seeded with `work.seed`. What this leaves behind must be
        rebuilt by calling it again on a copy of the model that went in.
        """


class Train(Protocol):
    """Fine-tuning: seeded batches, Adam with a cosine schedule unless told otherwise.

    `optimizer(parameters, lr)` makes another optimizer; `loss(logits, labels)` replaces
    cross-entropy (and the recipe's distillation), `penalty()` is added to the loss of every batch,
    `after_step(step, steps)` runs after every update (after `clip_weights`), `before_step(step,
    steps)` between backward and update.
    """

    def __call__(
        self,
        epochs: int,
        lr: float,
        *,
        optimizer: Make | None = None,
        loss: Loss | None = None,
        penalty: Penalty | None = None,
        before_step: Callable[[int, int], None] | None = None,
        after_step: Callable[[int, int], None] | None = None,
    ) -> None: ...


@dataclass
class Work:
    """What a step works on.

    `model` is the whole network, in evaluation mode; `layers` are those that the step treats, by
    qualified name; `data` is the training part only (its test part *is* the validation split).
    `inputs_of(name)` gives calibration activations that enter a layer of the present model, batch
    first; `evaluate()` the accuracy of the present model on the validation split, a fraction.
    `teacher` is the float network that the recipe started from, in evaluation mode.
    """

    model: nn.Module
    layers: dict[str, nn.Module]
    data: Dataset
    seed: int
    train: Train
    inputs_of: Callable[[str], Tensor]
    evaluate: Callable[[], float]
    teacher: nn.Module

    def generator(self) -> torch.Generator:
        """A generator of this step's own."""
        return torch.Generator().manual_seed(self.seed)
