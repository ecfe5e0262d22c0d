"""The plain loops: training with a cosine schedule and seeded batches, counting right answers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from hwc.models.quantize.weight import clip_weights

Hook = Callable[[int, int], None]  # (step, steps)
AT_ONCE, VALUES_AT_ONCE = 500, 1 << 22


def at_once(x: np.ndarray | Tensor) -> int:
    """How many of the images `x` a network is given at once: fewer of large ones, whose activations
    would fill the memory."""
    values = max(x[:1].size if isinstance(x, np.ndarray) else x[:1].numel(), 1)
    return min(AT_ONCE, max(VALUES_AT_ONCE // values, 1))


def steps_of(samples: int, epochs: int, batch: int) -> int:
    """Updates of a training: every batch is full, but for a data set smaller than one."""
    return epochs * max(samples // batch, 1)


@torch.no_grad()
def right_share(
    model: nn.Module, x: np.ndarray, y: np.ndarray, scale: float, dtype: torch.dtype
) -> float:
    """Share of raw images `x` whose largest logit is that of `y`, the images given to the model as
    it is in `dtype`; ties go to the lowest class."""
    right, batch = 0, at_once(x)
    for i in range(0, len(x), batch):
        logits = model(torch.from_numpy(x[i : i + batch]).to(dtype) * scale)
        right += int((logits.numpy().argmax(axis=1) == y[i : i + batch]).sum())
    return right / len(x)


def descend(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
    before_step: Hook | None = None,
    after_step: Hook | None = None,
) -> None:
    """Train `model` in place and leave it in evaluation mode.

    `data` are raw images and labels, of which `loss` gets a batch in an order drawn from `rng`;
    the learning rate falls from the optimizer's to 0 along a cosine. `before_step(step, steps)`
    runs between backward and update, `after_step` behind update and `clip_weights`.
    """
    x, y = data
    steps = steps_of(len(x), epochs, batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    step = 0
    model.train()
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(x)))
        for part in order[: steps // epochs * batch].split(batch):
            value = loss(x[part], y[part])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if before_step is not None:
                before_step(step, steps)
            optimizer.step()
            clip_weights(model)
            if after_step is not None:
                after_step(step, steps)
            schedule.step()
            step += 1
    model.eval()
