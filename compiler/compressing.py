"""What `hwc compress` starts from, and that what it leaves can be built."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hwc.compiler.calibrate import Config, calibrate
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import lower
from hwc.compiler.network import load_network
from hwc.models import load, load_data
from hwc.models.compress import Compressed, CompressError, Recipe, compress, load_recipe
from hwc.models.compress.networks import start
from hwc.models.compress.recipe import check_validation
from hwc.models.compress.source_module import SourceModule
from hwc.models.data import Dataset

__all__ = ["compress_file", "share"]


def share(text: str) -> float:
    """`0.5%` or `0.005` as a fraction."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise CompressError(f"--max-drop {text!r} must be a share such as 0.5% or 0.005")
    return value


def compress_file(
    model: str,
    recipe: Path,
    *,
    data: str | None = None,
    arch: str | None = None,
    raw: Sequence[str] = (),
    shapes: Sequence[str] = (),
    max_drop: float | None = None,
    resume: Path | None = None,
    threads: int = 1,
    images: int | None = None,
    progress: bool = True,
) -> Compressed:
    """Compress a file, or a network that is trained first, to one that `hwc build` takes. With
    `images` only about so many of each part of the data are used, of every class.

    Raises the HwcError of whoever refuses something.
    """
    plan = load_recipe(recipe)
    check_validation(plan)
    path = Path(model)
    is_file = path.is_file()
    if data is None and is_file and arch is None and path.suffix.lower() != ".onnx":
        data = load(path).data
    if data is None:
        raise CompressError("--data must name the data set: the model does not say which it knows")
    dataset = load_data(data) if images is None else load_data(data).fewer(images)
    if arch is not None:
        network = from_state(arch, path)
    elif is_file:
        source = load_network(path, raw=raw, shapes=shapes).source
        network = SourceModule(_with_scale(source, dataset))
    elif path.suffix or "/" in model:
        raise CompressError(f"{model}: no such file")
    else:
        network = start(model, plan, dataset, progress=progress, threads=threads)
    name = path.stem if is_file else model
    made = compress(
        network,
        plan,
        dataset,
        max_drop=max_drop,
        progress=progress,
        resume=resume,
        name=name,
        threads=threads,
    )
    return buildable(made, dataset, plan)


def _with_scale(source, data: Dataset):
    """The source as it takes raw images; an input without a scale gets that of the data."""
    if len(source.inputs) == 1 and source.inputs[0].scale is None:
        item = replace(source.inputs[0], scale=data.scale, lo=0, hi=data.hi)
        return replace(source, inputs=(item,))
    return source


def from_state(arch: str, path: Path) -> nn.Module:
    """An instance of `module:Class` with the weights of a state_dict, which is read without running
    code of the file. The module is looked for in the working folder as well."""
    name, _, kind = arch.partition(":")
    if not name or not kind:
        raise CompressError(f"--arch {arch!r} must be module:Class")
    if not path.is_file():
        raise CompressError(f"{path}: no such file")
    sys.path.insert(0, str(Path.cwd()))
    try:
        network = getattr(importlib.import_module(name), kind)()
    except Exception as error:  # whatever the user's module may raise
        raise CompressError(f"--arch {arch}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.pop(0)
    if not isinstance(network, nn.Module):
        raise CompressError(f"--arch {arch}: is a {type(network).__name__}, no torch.nn.Module")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # a damaged file can fail anywhere in the reader
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CompressError(f"{path}: no state_dict of {arch}: {first}") from None
    return network.eval()


def buildable(made: Compressed, data: Dataset, recipe: Recipe) -> Compressed:
    """The same network, with what still is float quantized from training images; an HwcError if it
    cannot be lowered even so. With `activations = false` it is left as it is."""
    if recipe.activations is None:
        return made
    source = made.checkpoint.source
    try:
        lower(source)
        return made
    except HwcError:
        item = source.inputs[0]
        frames = {item.name: data.x_train[:512].astype(np.int64).reshape(-1, *item.shape)}
        bits = min(max(recipe.activations.bits, 2), 8)
        fitted = calibrate(source, frames, Config(8, bits)).source
        lower(fitted)
    return made.with_source(fitted, data)
