"""Post-training quantization: a float source and some frames become a source of integers."""

from hwc.compiler.calibrate.config import CalibrationError, Config, parse_bits
from hwc.compiler.calibrate.frames import Arranged, calibration_frames
from hwc.compiler.calibrate.losses import Loss
from hwc.compiler.calibrate.pipeline import Calibrated, calibrate

__all__ = [
    "Arranged",
    "Calibrated",
    "CalibrationError",
    "Config",
    "Loss",
    "calibrate",
    "calibration_frames",
    "parse_bits",
]
