"""Fine-tuning as a step of a recipe asks for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import Tensor, nn

from hwc.models.compress.augment import moved
from hwc.models.compress.method import Loss, Make, Penalty
from hwc.models.compress.recipe import Training
from hwc.models.copying import copy_of
from hwc.models.data import Dataset
from hwc.models.loop import Hook, at_once, descend, right_share, steps_of


@dataclass
class Trainer:
    """The `train` of a `Work`. `before` is called before the first fine-tuning of a step."""

    model: nn.Module
    teacher: nn.Module | None
    data: Dataset
    how: Training
    seed: int
    bar: Progress | None = None
    what: str = "fine-tuning"
    before: Callable[[], None] | None = None
    calls: int = field(default=0, init=False)
    begun: bool = field(default=False, init=False)

    def __call__(
        self,
        epochs: int,
        lr: float,
        *,
        optimizer: Make | None = None,
        loss: Loss | None = None,
        penalty: Penalty | None = None,
        before_step: Hook | None = None,
        after_step: Hook | None = None,
    ) -> None:
        self.calls += 1
        if epochs < 1:
            return
        if self.before is not None and not self.begun:
            self.before()
        self.begun = True
        rng = np.random.default_rng([self.seed, self.calls])
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        made = (optimizer or adam)(parameters, lr)
        x, y = torch.from_numpy(self.data.x_train), torch.from_numpy(self.data.y_train)
        task = None
        if self.bar is not None:
            total = steps_of(len(x), epochs, self.how.batch)
            task = self.bar.add_task(self.what, total=total)

        def of_batch(raw: Tensor, labels: Tensor) -> Tensor:
            images = moved(raw, self.how, rng) * self.data.scale
            value = self._loss(images, labels, loss)
            return value if penalty is None else value + penalty()

        def after(step: int, steps: int) -> None:
            if after_step is not None:
                after_step(step, steps)
            if self.bar is not None and task is not None:
                self.bar.advance(task)

        descend(
            self.model,
            made,
            (x, y),
            of_batch,
            epochs=epochs,
            batch=self.how.batch,
            rng=rng,
            before_step=before_step,
            after_step=after,
        )
        if self.bar is not None and task is not None:
            self.bar.remove_task(task)

    def _loss(self, images: Tensor, labels: Tensor, given: Loss | None) -> Tensor:
        logits = self.model(images)
        if given is not None:
            return given(logits, labels)
        value = F.cross_entropy(logits, labels)
        if self.teacher is None or not self.how.distill:
            return value
        with torch.no_grad():
            taught = self.teacher(images)
        t, share = self.how.temperature, self.how.distill
        soft = F.kl_div(
            F.log_softmax(logits / t, 1), F.softmax(taught / t, 1), reduction="batchmean"
        )
        return (1 - share) * value + share * t * t * soft


def adam(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=lr)


def accuracy(model: nn.Module, x: np.ndarray, y: np.ndarray, scale: float) -> float:
    """Accuracy in evaluation mode and the model's own precision; ties go to the lowest class."""
    training = model.training
    share = right_share(model.eval(), x, y, scale, torch.float32)
    model.train(training)
    return share


@torch.no_grad()
def entering(model: nn.Module, name: str, images: Tensor) -> Tensor:
    """The activations that enter the layer `name` for these (real-valued) images."""
    seen: list[Tensor] = []
    layer = model.get_submodule(name)
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    try:
        model.eval()
        for part in images.split(min(at_once(images), 250)):
            model(part)
    finally:
        handle.remove()
    return torch.cat(seen)


def twin_of(model: nn.Module) -> nn.Module:
    """A copy that nothing trains any more."""
    copied = copy_of(model).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied
