"""Arithmetic generators: pipelined sums of products for every unit."""

from hwc.hw.dot.accumulate import Accumulator
from hwc.hw.dot.number import DotError, Number
from hwc.hw.dot.pair import PairSpec
from hwc.hw.dot.shifted import ShiftSpec
from hwc.hw.dot.spec import DotSpec
from hwc.hw.dot.tree import ConstantDotSpec, SumSpec

__all__ = [
    "Accumulator",
    "ConstantDotSpec",
    "DotError",
    "DotSpec",
    "Number",
    "PairSpec",
    "ShiftSpec",
    "SumSpec",
]
