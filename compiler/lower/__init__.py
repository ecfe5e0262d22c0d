"""Lowering: from the float source graph to the integer graph, exactly."""

from hwc.compiler.lower.agree import Agreement, Difference, agree
from hwc.compiler.lower.lower import lower
from hwc.compiler.lower.passes import PIPELINE, Pass, hardware
from hwc.compiler.lower.result import Encoding, Lowered, Reading
from hwc.compiler.lower.value import LowerError, Value

__all__ = [
    "PIPELINE",
    "Agreement",
    "Difference",
    "Encoding",
    "LowerError",
    "Lowered",
    "Pass",
    "Reading",
    "Value",
    "agree",
    "hardware",
    "lower",
]
