"""One network as a file, with frames to calibrate and to score it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Prepared", "digits"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """An ONNX file and what belongs to it.

    `frames` score it and `calib` calibrates it (empty: it is quantized already); both are
    (N, ...) in the file's own layout by input name, raw integers for the inputs of `raw`.
    `golden` is an input of the file and the outputs that its author gives for it.
    """

    path: Path
    frames: Mapping[str, np.ndarray]
    origin: str
    calib: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
    bits: str = "w8a8"
    raw: tuple[str, ...] = ()
    golden: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None
    verify_inputs: int = 20
    oracle_frames: int = 64
    """Frames that the foreign executor runs as well; qonnx's is slow."""


def digits(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """256 training images and all test images of mnist5k under an input's name, and labels."""
    from hwc.models import load_data

    data = load_data("mnist5k")
    return {name: data.x_train[:256]}, {name: data.x_test}, data.y_test
