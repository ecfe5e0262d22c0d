"""Calibration frames: from files and data sets, and the checks they must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwc.compiler.calibrate.config import CalibrationError
from hwc.compiler.source import Input, Source

__all__ = ["FRAMES", "Arranged", "calibration_frames", "check_frames"]

FRAMES = 512
"""Frames taken from a data set."""


@dataclass(frozen=True)
class Arranged:
    """An input whose file has another order of axes: frames of `shape` become the source's."""

    shape: tuple[int, ...]
    to_source: Callable[[np.ndarray], np.ndarray]


def calibration_frames(
    data: str | Path,
    source: Source,
    count: int = FRAMES,
    arranged: Mapping[str, Arranged] | None = None,
) -> dict[str, np.ndarray]:
    """Frames for every input of a source, from `data`, in its layout or (`arranged`) the file's.

    A `.npz` file holds one array (N, *shape) for each input, by name; where there is one input it
    may be the file's only array, or a `.npy` file. Inputs with a scale take raw integers, others
    floats. Anything else is a data set or folder known to `hwc.models.load_data`, of which the
    first `count` training images are taken. Raises CalibrationError.
    """
    path = Path(data)
    if path.suffix not in (".npy", ".npz"):
        return _from_data_set(data, source, count)
    frames = _from_file(path, source)
    for item in source.inputs:
        known, x = (arranged or {}).get(item.name), frames[item.name]
        if known is not None and x.shape[1:] == known.shape != item.shape:
            frames[item.name] = known.to_source(x)
    return check_frames(source, frames)


def _from_file(path: Path, source: Source) -> dict[str, np.ndarray]:
    """The arrays of all inputs, not checked."""
    arrays = _read(path)
    if path.suffix == ".npy":
        return _single(path, source, arrays)
    assert isinstance(arrays, dict)
    names = {item.name for item in source.inputs}
    if len(names) == len(arrays) == 1:
        return _single(path, source, next(iter(arrays.values())))
    if not names <= set(arrays):
        raise CalibrationError(
            f"{path}: holds the arrays {sorted(arrays)}, but the network's inputs are "
            f"{sorted(names)}; save one array for each under its name"
        )
    return {name: arrays[name] for name in names}


def check_frames(source: Source, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The frames of the source's inputs as int64 or float64, or a CalibrationError."""
    found = {}
    for item in source.inputs:
        if item.name not in frames:
            raise CalibrationError(
                f"no calibration frames for input {item.name!r}, only for {sorted(frames)}"
            )
        found[item.name] = _checked(item, np.asarray(frames[item.name]))
    counts = {name: len(x) for name, x in found.items()}
    if len(set(counts.values())) > 1:
        raise CalibrationError(f"inputs must have as many calibration frames, got {counts}")
    return found


def _checked(item: Input, x: np.ndarray) -> np.ndarray:
    where = f"calibration frames of input {item.name!r}"
    if x.dtype.kind not in "fiub":
        raise CalibrationError(f"{where}: must be numbers, got dtype {x.dtype}")
    if x.ndim == 0 or x.shape[1:] != item.shape or len(x) == 0:
        shape = ", ".join(map(str, item.shape))
        hint = "; add a batch axis: x[None]" if x.shape == item.shape else ""
        raise CalibrationError(
            f"{where}: shape must be (N, {shape}) with N >= 1, got {x.shape}{hint}"
        )
    if not np.isfinite(x).all():
        raise CalibrationError(f"{where}: must be finite, but hold NaN or infinity")
    if item.scale is None:
        return x.astype(np.float64)
    raw = np.rint(x) if x.dtype.kind == "f" else x
    if (raw != x).any():
        raise CalibrationError(
            f"{where}: must be raw integers (real value / {item.scale:.6g}), got fractions"
        )
    if raw.min() < item.lo or raw.max() > item.hi:
        raise CalibrationError(
            f"{where}: must lie in {item.lo}..{item.hi}, got {raw.min()}..{raw.max()}"
        )
    return raw.astype(np.int64)


def _read(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The arrays of a NumPy file; never unpickles."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise CalibrationError(f"{path}: no such file") from None
    except Exception as error:  # numpy and zipfile raise many kinds on damaged input
        raise CalibrationError(f"{path}: not a NumPy file of numbers: {error}") from None


def _single(
    path: Path, source: Source, array: np.ndarray | dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    if not isinstance(array, np.ndarray):
        raise CalibrationError(f"{path}: several arrays; rename it to .npz")
    if len(source.inputs) != 1:
        names = ", ".join(item.name for item in source.inputs)
        raise CalibrationError(
            f"{path}: one array, but the network has the inputs {names}; save a .npz with one for "
            "each"
        )
    return {source.inputs[0].name: array}


def _from_data_set(data: str | Path, source: Source, count: int) -> dict[str, np.ndarray]:
    from hwc.models import load_data

    dataset = load_data(data)
    if len(source.inputs) != 1:
        raise CalibrationError(
            f"data set {dataset.name} has images for one input, the network has "
            f"{len(source.inputs)}; use a .npz file with one array for each"
        )
    (item,) = source.inputs
    x = dataset.x_train[:count]
    if int(np.prod(item.shape)) == int(np.prod(dataset.shape)):
        x = x.reshape(-1, *item.shape)
    if item.scale is None:
        x = x.astype(np.float64) * dataset.scale
    return check_frames(source, {item.name: x})
