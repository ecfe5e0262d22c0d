"""What a build starts from: a checkpoint or an ONNX file, calibrated if asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from hwc.compiler.calibrate import (
    Arranged,
    CalibrationError,
    Config,
    Loss,
    calibrate,
    calibration_frames,
)
from hwc.compiler.onnx import OnnxError, Raw, load_onnx
from hwc.compiler.source import Source
from hwc.models import load

__all__ = ["Network", "load_network"]


@dataclass(frozen=True, eq=False)
class Network:
    """A quantized source graph, inputs to try it with, and what is known of it.

    `frames` are inputs by name, batch first, in torch's layout: those that came with the file, or
    those of the calibration. `losses` are those of the calibration.
    """

    name: str
    source: Source
    frames: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
    origin: str = ""
    """Where the frames come from."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()


def load_network(
    path: Path,
    calib: str | None = None,
    config: Config | None = None,
    raw: Sequence[str] = (),
    shapes: Sequence[str] = (),
) -> Network:
    """The network of a `.onnx` file or of a checkpoint.

    `raw` are texts `input=scale`: bytes arrive at that float input of an ONNX file, each standing
    for byte * scale. `shapes` are texts `input=1,3,32,32`: sizes that an ONNX file leaves open.
    `calib` names calibration data (.npz, .npy, a data set or a folder): a network
    that is not quantized gets quantizers from it as `config` says (8 bits without). Raises the
    HwcError of whoever refuses something.
    """
    if calib is None and config not in (None, Config()):
        raise CalibrationError(
            "bits, ranges, rounding and the like are those of a calibration: name its data with "
            "--calib, or leave them out"
        )
    arranged: dict[str, Arranged] = {}
    if path.suffix.lower() == ".onnx":
        imported = load_onnx(path, dict(map(_shape, shapes)), dict(map(_raw, raw)))
        network = Network(path.stem, imported.source, notes=imported.notes)
        arranged = {
            port.value.name: Arranged(port.shape[1:], port.to_source)
            for port in imported.inputs
            if port.value.axes[:1] == (0,)
        }
    elif raw or shapes:
        option = "--raw" if raw else "--shape"
        raise OnnxError(f"{option} speaks of ONNX files; {path} says itself what its inputs are")
    else:
        checkpoint = load(path)
        samples = checkpoint.samples
        count = len(next(iter(samples.values()))) if samples else 0
        network = Network(
            checkpoint.name or path.stem,
            checkpoint.source,
            samples,
            checkpoint.labels,
            f"{count} samples of the checkpoint",
            checkpoint.accuracy,
        )
    if calib is None:
        return network
    return _calibrated(network, calib, config or Config(), arranged)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """An input's name and shape."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if name and all(p.isdecimal() and 0 < int(p) < 1 << 31 for p in parts):
        return name, tuple(map(int, parts))
    raise OnnxError(f"--shape {text!r} must be INPUT=SIZES with positive sizes, such as x=1,3,8,8")


def _raw(text: str) -> tuple[str, Raw]:
    """An input's name and what its bytes stand for."""
    name, _, scale = text.rpartition("=")
    try:
        value = float(Fraction(scale))
        if name and value > 0:
            return name, Raw(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    raise OnnxError(f"--raw {text!r} must be INPUT=SCALE with a positive scale, such as x=1/255")


def _calibrated(
    network: Network, calib: str, config: Config, arranged: Mapping[str, Arranged]
) -> Network:
    frames = calibration_frames(calib, network.source, arranged=arranged)
    made = calibrate(network.source, frames, config)
    own = bool(network.frames)
    idle = all(loss.kind == "output" for loss in made.losses)
    notes = ("--calib changed nothing: every value has a quantizer already",) if idle else ()
    return Network(
        network.name,
        made.source,
        network.frames if own else frames,
        network.labels,
        network.origin if own else f"{len(next(iter(frames.values())))} frames of {calib}",
        network.accuracy,
        (*network.notes, *notes),
        made.losses,
    )
