"""Calibration data from files and data sets; errors name what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate import (
    CalibrationError,
    Config,
    calibrate,
    calibration_frames,
    parse_bits,
)
from hwc.compiler.source import Function, Relu
from hwc.models import DataError


@pytest.mark.parametrize(("text", "bits"), [("w8a8", (8, 8)), ("w4a8", (4, 8)), (" W2A4", (2, 4))])
def test_bits(text: str, bits: tuple[int, int]) -> None:
    assert parse_bits(text) == bits
    config = Config.of(text, equalize=True)
    assert (config.weight_bits, config.act_bits, config.equalize) == (*bits, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int8", "must be w<bits of weights>a<bits of activations>, such as w8a8"),
        ("w8", "such as w8a8"),
        ("w1a8", "must have 2..8 bits each"),
        ("w8a16", "must have 2..8 bits each"),
    ],
)
def test_wrong_bits(text: str, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        parse_bits(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 1}, "weight_bits must be 2..8, got 1; for one bit train"),
        ({"act_bits": 9}, "act_bits must be 2..8, got 9"),
        ({"ranges": "max"}, "ranges must be one of minmax, percentile, mse, got 'max'"),
        (
            {"weight_ranges": "max"},
            "weight_ranges must be one of minmax, percentile, mse, None, got",
        ),
        ({"rounding": "up"}, "rounding must be one of nearest, second_order, got 'up'"),
        ({"percentile": 20.0}, r"percentile must be in 50..100, got 20.0"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Config(**options)


def test_files(net: Any, tmp_path: Path) -> None:
    source = net.source(net.conv(net.input(1, 4, 4), 2))
    x = np.arange(80, dtype=np.uint8).reshape(5, 1, 4, 4)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "one.npz", images=x)
    np.savez(tmp_path / "named.npz", in0=x, labels=np.arange(5))
    for name in ("a.npy", "one.npz", "named.npz"):
        found = calibration_frames(tmp_path / name, source)
        assert list(found) == ["in0"]
        assert found["in0"].dtype == np.int64
        assert (found["in0"] == x).all()


def test_data_sets(net: Any) -> None:
    found = calibration_frames("noise:1x4x4", net.source(net.conv(net.input(1, 4, 4), 2)), 20)
    assert found["in0"].shape == (20, 1, 4, 4)
    net.__init__(0)
    source = net.source(net.linear(net.input(16, scale=None), 2))
    reals = calibration_frames("noise:1x4x4", source, 20)["in0"]
    assert reals.shape == (20, 16)
    assert (reals == found["in0"].reshape(20, 16) / 256).all()
    with pytest.raises(DataError, match="neither a data set"):
        calibration_frames("nowhere", source)
    net.linear(net.input(3), 2)
    with pytest.raises(CalibrationError, match="images for one input, the network has 2"):
        calibration_frames("noise:1x4x4", net.source(net.nodes[0].name))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 1, 4, 5)), r"'in0': shape must be \(N, 1, 4, 4\) with N >= 1, got \(5, 1, 4"),
        (np.zeros((1, 4, 4)), r"got \(1, 4, 4\); add a batch axis: x\[None\]"),
        (np.zeros((0, 1, 4, 4)), r"N >= 1, got \(0, 1, 4, 4\)"),
        (np.full((2, 1, 4, 4), 256), r"must lie in 0..255, got 256..256"),
        (np.full((2, 1, 4, 4), 0.5), r"must be raw integers \(real value / 0.00392157\)"),
        (np.full((2, 1, 4, 4), np.nan), "must be finite"),
        (np.full((2, 1, 4, 4), "a"), "must be numbers, got dtype <U1"),
    ],
)
def test_wrong_arrays(net: Any, tmp_path: Path, array: np.ndarray, message: str) -> None:
    source = net.source(net.conv(net.input(1, 4, 4), 2))
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(CalibrationError, match=message):
        calibration_frames(tmp_path / "a.npy", source)
    with pytest.raises(CalibrationError, match=message):
        calibrate(source, {"in0": array}, Config())


def test_wrong_files(net: Any, tmp_path: Path) -> None:
    a, b = net.input(4), net.input(4)
    source = net.source(net.linear(a, 2), net.linear(b, 2))
    with pytest.raises(CalibrationError, match=r"missing\.npz: no such file"):
        calibration_frames(tmp_path / "missing.npz", source)
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(CalibrationError, match=r"bad\.npz: not a NumPy file of numbers"):
        calibration_frames(tmp_path / "bad.npz", source)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(CalibrationError, match=r"objects\.npy: not a NumPy file of numbers"):
        calibration_frames(tmp_path / "objects.npy", source)
    np.savez(tmp_path / "half.npz", in0=np.zeros((3, 4)))
    with pytest.raises(CalibrationError, match=r"arrays \['in0'\], but the network's inputs are"):
        calibration_frames(tmp_path / "half.npz", source)
    np.save(tmp_path / "single.npy", np.zeros((3, 4)))
    with pytest.raises(
        CalibrationError, match="one array, but the network has the inputs in0, in1"
    ):
        calibration_frames(tmp_path / "single.npy", source)
    np.savez(tmp_path / "uneven.npz", in0=np.zeros((3, 4)), in1=np.zeros((2, 4)))
    with pytest.raises(CalibrationError, match="as many calibration frames, got"):
        calibration_frames(tmp_path / "uneven.npz", source)
    with pytest.raises(CalibrationError, match="no calibration frames for input 'in1', only for"):
        calibrate(source, {"in0": np.zeros((3, 4))}, Config())


@pytest.mark.parametrize("curve", ["log", "reciprocal"])
def test_activations_that_are_not_finite(net: Any, curve: str) -> None:
    x = net.op(Relu(), net.linear(net.input(4), 8))
    y = net.op(Function(curve), x)
    source = net.source(net.linear(y, 2))
    with pytest.raises(CalibrationError, match=rf"'{y}' is infinite or not a number for some"):
        calibrate(source, net.frames(8), Config())
