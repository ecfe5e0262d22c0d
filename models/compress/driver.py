"""`compress`: carries out a recipe on a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source import Bipolar, Quant, Source
from hwc.compiler.source import evaluate as run_source
from hwc.models.capture import InputMap, capture
from hwc.models.checkpoint import SAMPLES, Checkpoint, encode_small, save_small
from hwc.models.coding import small
from hwc.models.coding.shared import Hash
from hwc.models.coding.tensors import along
from hwc.models.compress import resume as keeping
from hwc.models.compress.checks import check_finite, check_fits, copied
from hwc.models.compress.errors import CompressError
from hwc.models.compress.integers import round_biases, settle, with_activations
from hwc.models.compress.layers import check_coverage, free, layers_of, others_of, treated
from hwc.models.compress.method import CALIBRATION, Work
from hwc.models.compress.recipe import (
    Recipe,
    Step,
    check_validation,
    load_recipe,
)
from hwc.models.compress.report import Report, StepReport, integer_codes, report_of
from hwc.models.compress.training import Trainer, accuracy, entering, twin_of
from hwc.models.data import Dataset, load_data
from hwc.models.pruning.mask import chain_of, latent_of
from hwc.models.quantize.snap import snap
from hwc.models.sharing.hashed import Hashed
from hwc.models.train import evaluate

Evaluate = Callable[[nn.Module], float]


@dataclass(frozen=True, eq=False)
class Compressed:
    """A compressed network: the module itself, its checkpoint, what was measured, and the file
    without samples."""

    model: nn.Module
    checkpoint: Checkpoint
    report: Report
    written: small.Written
    hashes: tuple[Hash, ...] = ()
    """By which weights share values."""

    def save(self, path: str | Path, samples: int = 0) -> small.Written:
        """Write the entropy-coded file that `hwc.models.load` and `hwc build` read."""
        return save_small(self.checkpoint, path, samples, self.hashes, self.written.tensors)

    def with_source(self, source: Source, data: Dataset) -> Compressed:
        """The same with another source, as a calibration gives it, measured anew on the test part
        of `data`; `model` stays that of the old one."""
        source = settled(source)
        name = source.inputs[0].name
        logits = run_source(source, {name: data.x_test.astype(np.int64)})[source.outputs[0]]
        right = float((logits.argmax(axis=1) == data.y_test).mean())
        old = self.checkpoint
        accuracy = {**old.accuracy, "fake_quant": right}
        samples = dict(zip([name], old.samples.values(), strict=True))
        checkpoint = Checkpoint(source, samples, old.labels, accuracy, old.data, old.name)
        report = self.report
        written = encode_small(replace(checkpoint, samples={}, labels=None), self.hashes)
        made = report_of(
            source,
            written,
            report.steps,
            tuple(layer.name for layer in report.layers),
            report.parameters,
            report.weights,
            report.validation,
            accuracy,
            report.seconds,
        )
        report = replace(made, tries=report.tries)
        return Compressed(self.model, checkpoint, report, written, self.hashes)


def compress(
    model: nn.Module,
    recipe: Recipe | str | Path,
    data: Dataset | str | Path,
    eval_fn: Evaluate | None = None,
    max_drop: float | None = None,
    *,
    progress: bool = True,
    resume: str | Path | None = None,
    name: str | None = None,
    threads: int = 1,
) -> Compressed:
    """Carry out `recipe` on a copy of `model`, a float network with weights.

    Methods and `eval_fn(model) -> accuracy` see the training part of `data` only; the test part
    is read once, at the end. `eval_fn` replaces top-1 accuracy on the validation split. With
    `max_drop` (a fraction, 0.005 for half a percent) the strengths that the methods declare are
    searched for the smallest file whose validation accuracy is at most that far below the float
    network's. With a folder `resume` every finished step is kept there, and found again by the
    same recipe, data and network.

    Deterministic for a recipe, `threads` and a torch version. Raises HwcError.
    """
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    dataset = data if isinstance(data, Dataset) else load_data(data)
    with single(threads), Progress(disable=not progress, transient=True) as bar:
        run = Run(model, dataset, eval_fn, bar, None if resume is None else Path(resume), name)
        if max_drop is None:
            return run.compress(plan)
        from hwc.models.compress.search import smallest

        return smallest(run, plan, max_drop)


@contextmanager
def single(threads: int) -> Iterator[None]:
    """torch with so many threads, and its global generator given back as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(before)


@dataclass(eq=False)
class Run:
    """What all tries of one `compress` share."""

    model: nn.Module
    data: Dataset
    eval_fn: Evaluate | None
    bar: Progress | None
    folder: Path | None
    name: str | None

    def compress(self, recipe: Recipe) -> Compressed:
        """One pass over the recipe."""
        started = time.perf_counter()
        torch.manual_seed(recipe.seed)
        check_coverage(recipe, self.model)
        if self.eval_fn is None:
            check_validation(recipe)
        data = split(self.data, recipe)
        check_finite(self.model, "the network to compress")
        model = copied(self.model)
        teacher = twin_of(self.model)
        check_fits(model, data, recipe.excepted)
        if recipe.activations is not None:
            model = with_activations(model, recipe.activations)
            settle(model, data)
        keeper = keeping.Keeper(self.folder, recipe, data, model)
        steps: list[StepReport] = []
        for number, step in enumerate(recipe.steps, 1):
            before = steps[-1].after if steps else self.measure(model, data)
            steps.append(self._step(model, teacher, step, number, recipe, data, keeper, before))
        if recipe.biases is not None:
            round_biases(model, recipe.biases.bits, recipe.excepted)
        return self._finish(model, teacher, recipe, data, tuple(steps), started)

    def _step(
        self,
        model: nn.Module,
        teacher: nn.Module,
        step: Step,
        number: int,
        recipe: Recipe,
        data: Dataset,
        keeper: keeping.Keeper,
        before: float,
    ) -> StepReport:
        """One step, or what was kept of it; `before` is the accuracy so far."""
        started = time.perf_counter()
        seed = int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0])
        torch.manual_seed(seed)  # dropout: the same whether or not earlier steps were recalled
        layers = treated(step, number, model, recipe.excepted)
        untuned: list[float] = []
        trainer = Trainer(
            model, teacher, data, recipe.train, seed, self.bar, f"{number} {step.name}",
            lambda: untuned.append(self.measure(model, data)),
        )  # fmt: skip
        images = data.first(CALIBRATION)
        work = Work(
            model, layers, data, seed, trainer,
            lambda name: entering(model, name, images),
            lambda: self.measure(model, data), teacher,
        )  # fmt: skip
        for layer in layers.values():
            free(layer)
        kept = keeper.recall(number, model, step, work)
        if kept is None:
            where = f"step {number} ({step.name})"
            try:
                step.method.apply(work)
            except HwcError as error:
                error.args = (f"{where}: {error}",)
                raise
            check_finite(model.eval(), f"{where}: training diverged, use a smaller lr")
            kept = {"before_tuning": untuned[0] if untuned else None}
            keeper.keep(number, model, kept)
        after = self.measure(model, data)
        untuned_at: float | None = kept["before_tuning"]
        return StepReport(
            step.name,
            tuple(layers),
            before,
            after if untuned_at is None else untuned_at,
            after,
            round(time.perf_counter() - started, 2),
        )

    def measure(self, model: nn.Module, data: Dataset) -> float:
        """Accuracy on the validation split, or what `eval_fn` says."""
        if self.eval_fn is not None:
            return float(self.eval_fn(model))
        return accuracy(model, data.x_test, data.y_test, data.scale)

    def _finish(
        self,
        model: nn.Module,
        teacher: nn.Module,
        recipe: Recipe,
        data: Dataset,
        steps: tuple[StepReport, ...],
        started: float,
    ) -> Compressed:
        """Snap, capture, read the test part, report."""
        known = steps[-1].after if steps and recipe.biases is None else self.measure(model, data)
        validation = {"float": self.measure(teacher, data), "compressed": known}
        snapped = snap(model)
        example = torch.from_numpy(self.data.x_test[:1]).float() * self.data.scale
        source = capture(snapped, example, InputMap(self.data.scale, 0, self.data.hi))
        test = {
            "float": evaluate(teacher, self.data.x_test, self.data.y_test, self.data.scale),
            "fake_quant": evaluate(snapped, self.data.x_test, self.data.y_test, self.data.scale),
        }
        samples = {source.inputs[0].name: self.data.x_test.astype(np.int64)[:SAMPLES]}
        labels = self.data.y_test[:SAMPLES]
        checkpoint = Checkpoint(settled(source), samples, labels, test, self.data.name, self.name)
        seconds = round(time.perf_counter() - started, 1)
        hashes = hashes_of(model)
        written = encode_small(replace(checkpoint, samples={}, labels=None), hashes)
        names = (*layers_of(model), *others_of(model))
        parameters = sum(p.numel() for p in self.model.parameters())
        weights = weights_of(self.model)
        report = report_of(
            checkpoint.source, written, steps, names, parameters, weights, validation, test, seconds
        )
        return Compressed(snapped, checkpoint, report, written, hashes)


def weights_of(model: nn.Module) -> int:
    """How many weights the layers have, those that no method treats too; what is shared once."""
    found = [latent_of(layer) for layer in layers_of(model).values()]
    for module in others_of(model).values():
        found += [p for p in module.parameters(recurse=False) if p.ndim > 1]
    return sum(p.numel() for p in {id(p): p for p in found}.values())


def hashes_of(model: nn.Module) -> tuple[Hash, ...]:
    """(number of values, seed) of every weight that is a `Hashed`."""
    parts = [part for layer in layers_of(model).values() for part in chain_of(layer)]
    return tuple((len(part.values), part.seed) for part in parts if isinstance(part, Hashed))


def settled(source: Source) -> Source:
    """The same function with every quantized tensor holding its quantized values, and no negative
    zeros: only so are its codes all there is to store."""
    tensors = dict(source.tensors)
    for node in source.nodes:
        if node.args[0] not in tensors or not isinstance(node.op, (Quant, Bipolar)):
            continue
        name, scale = node.args
        if any(other is not node for other in source.consumers(name)):
            continue
        codes, value = integer_codes(source, node), tensors[name]
        step = along(tensors[scale], value.ndim, -1 if node.op.axis is None else node.op.axis)
        tensors[name] = codes.astype(value.dtype) * step.astype(value.dtype)
    return small.positive_zeros(replace(source, tensors=tensors))


def split(data: Dataset, recipe: Recipe) -> Dataset:
    """The training part, with its validation split as test part (itself if there is none).

    Stratified: of every class the same share, drawn with the recipe's seed.
    """
    x, y = data.x_train, data.y_train
    if recipe.validation == 0:
        return Dataset(data.name, x, y, x, y, data.hi, data.scale)
    rng = np.random.default_rng(recipe.seed)
    held = np.zeros(len(y), bool)
    for label in np.unique(y):
        of_class = rng.permutation(np.flatnonzero(y == label))
        held[of_class[: round(recipe.validation * len(of_class))]] = True
    if held.all() or not held.any():
        raise CompressError(
            f"validation = {recipe.validation} leaves no image on one side of {len(y)}; "
            "use 0 or another share"
        )
    return Dataset(data.name, x[~held], y[~held], x[held], y[held], data.hi, data.scale)
