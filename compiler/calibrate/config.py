"""What a calibration may do, and its error."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from hwc.compiler.graph.errors import HwcError

__all__ = ["CalibrationError", "Config", "Ranges", "Rounding", "parse_bits"]

Ranges = Literal["minmax", "percentile", "mse"]
Rounding = Literal["nearest", "second_order"]


class CalibrationError(HwcError):
    """A network, a configuration or data that cannot be calibrated; says what would work."""


@dataclass(frozen=True)
class Config:
    """How a network is quantized after training.

    `weight_bits` and `act_bits` are 2..8; inputs that arrive as floats get `max(8, act_bits)`.
    `ranges` says how far quantizers of activations reach: to the largest magnitude, to the
    `percentile` of magnitudes, or as far as gives the least mean squared error; `weight_ranges` is
    the same for weights (None: to the largest, with 2 bits least error).
    `per_channel` gives each output channel of a weight a scale of its own. `bias_correction` moves
    biases so that channel means over the calibration frames are those of the float network.
    `equalize` rescales channels between layers first. `rounding` is that of weights: to the
    nearest code, or with second-order compensation within the layer.
    """

    weight_bits: int = 8
    act_bits: int = 8
    ranges: Ranges = "mse"
    weight_ranges: Ranges | None = None
    percentile: float = 99.99
    per_channel: bool = True
    bias_correction: bool = True
    equalize: bool = False
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        for what, bits in (("weight_bits", self.weight_bits), ("act_bits", self.act_bits)):
            if not 2 <= bits <= 8:
                raise CalibrationError(
                    f"{what} must be 2..8, got {bits}; for one bit train with BinaryWeight or "
                    "BipolarAct"
                )
        for what, value, legal in (
            ("ranges", self.ranges, get_args(Ranges)),
            ("weight_ranges", self.weight_ranges, (*get_args(Ranges), None)),
            ("rounding", self.rounding, get_args(Rounding)),
        ):
            if value not in legal:
                raise CalibrationError(
                    f"{what} must be one of {', '.join(map(str, legal))}, got {value!r}"
                )
        if not 50 <= self.percentile <= 100:
            raise CalibrationError(f"percentile must be in 50..100, got {self.percentile}")

    @staticmethod
    def of(bits: str, **options: Any) -> Config:
        """The configuration of `w8a8` and the like, with other fields as given."""
        weight_bits, act_bits = parse_bits(bits)
        return replace(Config(weight_bits, act_bits), **options)

    @property
    def for_weights(self) -> Config:
        """The same with `ranges` as they are for weights."""
        default: Ranges = "minmax" if self.weight_bits > 2 else "mse"
        return replace(self, ranges=self.weight_ranges or default)

    @property
    def input_bits(self) -> int:
        """Bits of inputs that arrive as floats."""
        return max(8, self.act_bits)


def parse_bits(text: str) -> tuple[int, int]:
    """`w8a8` -> (8, 8): bits of weights, bits of activations."""
    found = re.fullmatch(r"w(\d+)a(\d+)", text.strip().lower())
    if found is None:
        raise CalibrationError(
            f"bits {text!r} must be w<bits of weights>a<bits of activations>, such as w8a8 or w4a8"
        )
    weight_bits, act_bits = int(found[1]), int(found[2])
    if not (2 <= weight_bits <= 8 and 2 <= act_bits <= 8):
        raise CalibrationError(f"bits {text!r}: weights and activations must have 2..8 bits each")
    return weight_bits, act_bits
