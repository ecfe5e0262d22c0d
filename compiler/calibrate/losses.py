"""What quantization costs, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Loss", "sqnr_db", "table"]


@dataclass(frozen=True)
class Loss:
    """One quantizer, or an output of the network.

    kind "weight": the layer's output with quantized weights, on the float network's input, against
    the float output; `low`, `high` are the ends of the weights' codes times the largest scale.
    "activation": the float network's activation, quantized, against itself. "output": the quantized
    network against the float one (of an ArgMax or TopK: what it compares), `bits` 0.
    `sqnr_db` is 10 log10(signal power / error power), infinite without an error.
    """

    name: str
    kind: Literal["weight", "activation", "output"]
    bits: int
    low: float
    high: float
    sqnr_db: float

    def __str__(self) -> str:
        bits = str(self.bits) if self.bits else "-"
        span = f"{self.low:.4g} .. {self.high:.4g}"
        return f"{self.name:<28} {self.kind:<10} {bits:>4}  {span:<24} {self.sqnr_db:7.1f} dB"


def sqnr_db(signal: np.ndarray, quantized: np.ndarray) -> float:
    """Signal to quantization noise ratio in decibels."""
    noise = float(np.square(signal - quantized).sum())
    power = float(np.square(signal).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0 else -math.inf


def table(losses: Sequence[Loss]) -> str:
    """One line each, under a heading."""
    head = f"{'name':<28} {'kind':<10} {'bits':>4}  {'range':<24} {'SQNR':>10}"
    return "\n".join([head, *map(str, losses)])
