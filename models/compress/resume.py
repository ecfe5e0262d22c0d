"""Finished steps in a folder, found again by what led to them.

A step changes the structure of a network (parametrizations, channels), which a state dict does not
hold. So a step is recalled by carrying it out without its training and then loading the state; that
this gives the network that was kept is proved by its outputs on a few images, bit for bit. If it
does not, the step is simply done again.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Work
from hwc.models.compress.recipe import Recipe, Step
from hwc.models.copying import copy_of
from hwc.models.data import Dataset

PROBES = 16


class Keeper:
    """The kept steps of one run. `folder` None keeps nothing."""

    def __init__(self, folder: Path | None, recipe: Recipe, data: Dataset, model: nn.Module):
        self.folder, self.recipe = folder, recipe
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CompressError(f"resume folder {folder}: {error.strerror}") from None
        self.probe = data.first(PROBES)
        found = hashlib.sha256(torch.__version__.encode())
        for part in (data.x_train, data.y_train, data.x_test, data.y_test):
            found.update(np.ascontiguousarray(part).tobytes())
        for name, value in model.state_dict().items():
            found.update(name.encode() + value.numpy().tobytes())
        self.start = found.hexdigest()

    def path(self, number: int) -> Path:
        """Where step `number` is kept: named by everything that it depends on."""
        assert self.folder is not None
        recipe = self.recipe
        told = (recipe.seed, recipe.train, recipe.activations, recipe.steps[:number], self.start)
        key = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
        return self.folder / f"step{number}-{key}.pt"

    def keep(self, number: int, model: nn.Module, notes: dict[str, float | None]) -> None:
        """Write the state after step `number`."""
        if self.folder is None:
            return
        path = self.path(number)
        partial = path.with_suffix(".partial")
        state = {"state": model.state_dict(), "probe": self._outputs(model), "notes": notes}
        try:
            torch.save(state, partial)
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch raises the latter where a file fails
            first = str(error).strip().splitlines()[0]
            raise CompressError(
                f"resume folder {self.folder}: cannot be written: {first}"
            ) from None

    def recall(self, number: int, model: nn.Module, step: Step, work: Work) -> Any | None:
        """Bring `model` to the kept state after step `number`; None if there is none."""
        if self.folder is None or not self.path(number).is_file():
            return None
        try:
            kept = torch.load(self.path(number), map_location="cpu", weights_only=True)
            state, probe, notes = kept["state"], kept["probe"], kept["notes"]
        except Exception:  # a damaged file is as good as none
            return None
        trial = copy_of(model)
        layers = {name: trial.get_submodule(name) for name in work.layers}
        still = Work(
            trial, layers, work.data, work.seed, _still, work.inputs_of, work.evaluate, work.teacher
        )
        try:
            step.method.apply(still)
            trial.eval().load_state_dict(state)
            if not torch.equal(self._outputs(trial), probe):
                return None
        except (HwcError, RuntimeError):
            return None
        adopt(model, trial)
        return notes

    @torch.no_grad()
    def _outputs(self, model: nn.Module) -> torch.Tensor:
        return model.eval()(self.probe)


def _still(epochs: int, lr: float, **options: Any) -> None:
    """The `train` of a step that is only to build its structure."""


def adopt(model: nn.Module, other: nn.Module) -> None:
    """Make `model` what `other`, a changed copy of it, is: the caller holds on to `model`."""
    model.__class__ = other.__class__
    model.__dict__.clear()
    model.__dict__.update(other.__dict__)
