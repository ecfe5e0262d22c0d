"""Training: Adam with a cosine schedule, a plain loop, the same numbers every time for the same
seed."""

import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import Tensor, nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.checkpoint import SAMPLES, Checkpoint, save
from hwc.models.data import Dataset, load_data
from hwc.models.loop import descend, right_share, steps_of
from hwc.models.quantize.snap import snap
from hwc.models.quantize.twin import without_quantizers
from hwc.models.zoo import Net, net


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained and snapped network with what was measured on the test set."""

    net: Net
    data: Dataset
    model: nn.Module
    accuracy: dict[str, float]
    seconds: float

    def save(self, path: str | Path, samples: int | None = SAMPLES) -> Checkpoint:
        """Write a checkpoint with the first `samples` test images (None: all of them)."""
        example = torch.from_numpy(self.data.x_test[:1]).float() * self.data.scale
        return save(
            self.model,
            example,
            path,
            (self.data.x_test, self.data.y_test),
            accuracy=self.accuracy,
            data=self.data.name,
            name=self.net.name,
            limit=samples,
        )


def train(
    name: str | Net,
    data: str | Path | Dataset = "mnist5k",
    *,
    epochs: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    float_twin: bool = False,
) -> Trained:
    """Train a network of the zoo and snap it; `accuracy["fake_quant"]` is the snapped network's in
    float64. With `epochs` 0 the weights stay as they were initialized, and only batch statistics
    and activation scales are taken from the data: a network of that shape, of no accuracy.

    Deterministic for a given seed, thread count and torch version. Takes the global torch seed and
    thread count for the time of the call and gives both back.
    """
    recipe = net(name) if isinstance(name, str) else name
    dataset = data if isinstance(data, Dataset) else load_data(data)
    if epochs is not None:
        if epochs < 0:
            raise HwcError(f"train: epochs must be at least 0, got {epochs}")
        recipe = replace(recipe, epochs=epochs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or recipe.threads)
    started = time.perf_counter()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = recipe.build(dataset)
            fit(model, recipe, dataset, seed, progress)
        snapped = snap(model)
        accuracy = {"fake_quant": evaluate(snapped, dataset.x_test, dataset.y_test, dataset.scale)}
        if float_twin:
            accuracy["float"] = train_twin(recipe, dataset, seed, progress)
    finally:
        torch.set_num_threads(before)
    return Trained(recipe, dataset, snapped, accuracy, time.perf_counter() - started)


def train_twin(recipe: Net, data: Dataset, seed: int, progress: bool) -> float:
    """Accuracy of the same network without quantizers, trained the same way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        twin = without_quantizers(recipe.build(data))
        fit(twin, recipe, data, seed, progress)
    return evaluate(twin, data.x_test, data.y_test, data.scale)


def fit(model: nn.Module, recipe: Net, data: Dataset, seed: int, progress: bool) -> None:
    """Train `model` in place on the training part."""
    if len(data.x_train) < 2:
        raise HwcError(f"train: {data.name} has {len(data.x_train)} training images, 2 are needed")
    rng = np.random.default_rng(seed)
    if recipe.epochs == 0:
        return settle(model, recipe, data, rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)

    def loss(raw: Tensor, labels: Tensor) -> Tensor:
        images = shifted(raw, recipe.shift, rng).float() * data.scale
        return LOSSES[recipe.loss](model(images) * recipe.temperature, labels)

    with Progress(disable=not progress, transient=True) as bar:
        steps = steps_of(len(data.x_train), recipe.epochs, recipe.batch)
        task = bar.add_task(recipe.name, total=steps)
        descend(
            model,
            optimizer,
            (torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)),
            loss,
            epochs=recipe.epochs,
            batch=recipe.batch,
            rng=rng,
            after_step=lambda step, steps: bar.advance(task),
        )


@torch.no_grad()
def settle(model: nn.Module, recipe: Net, data: Dataset, rng: np.random.Generator) -> None:
    """Let batch-norms and activation quantizers see up to 20 batches; weights do not change."""
    model.train()
    order = torch.from_numpy(rng.permutation(len(data.x_train)))
    for part in order.split(recipe.batch)[:20]:
        if len(part) > 1:  # batch-norm refuses a batch of one
            model(torch.from_numpy(data.x_train)[part].float() * data.scale)
    model.eval()


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """`mean(max(0, 1 - t * z)**2)` with targets +1 for the class and -1 for the others."""
    target = 2.0 * F.one_hot(labels, logits.shape[1]) - 1.0
    return (1.0 - target * logits).clamp(min=0).square().mean()


LOSSES = {"hinge": squared_hinge, "cross_entropy": F.cross_entropy}


def shifted(x: Tensor, most: int, rng: np.random.Generator) -> Tensor:
    """Every image moved by up to `most` pixels either way in both directions, zeros moving in."""
    if most == 0:
        return x
    n, _, h, w = x.shape
    padded = F.pad(x, (most, most, most, most))
    offset = torch.from_numpy(rng.integers(0, 2 * most + 1, size=(2, n, 1)))
    rows = (offset[0] + torch.arange(h))[:, None, :, None]
    columns = (offset[1] + torch.arange(w))[:, None, None, :]
    image = torch.arange(n)[:, None, None, None]
    channel = torch.arange(x.shape[1])[None, :, None, None]
    return padded[image, channel, rows, columns]


def evaluate(model: nn.Module, x: np.ndarray, y: np.ndarray, scale: float) -> float:
    """Accuracy of `model` in evaluation mode and float64 on raw images; ties go to the lowest
    class."""
    return right_share(copy.deepcopy(model).double().eval(), x, y, scale, torch.float64)
