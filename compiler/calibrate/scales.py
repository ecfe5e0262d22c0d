"""Scales of quantizers from what they will see: closed forms, and numbers of few mantissa bits.

A quantizer is clip(round(x / scale), lo, hi) with lo <= 0 < hi. Several may share one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.calibrate.config import Config

__all__ = ["Seen", "best_scale", "mantissa_bits", "round_mantissa", "squared_error"]

Floats = NDArray[np.float64]

COARSE, FINE = 60, 30
"""Candidates of the search for the least error: over all scales, then around the best."""

SMALLEST_RATIO = 2.0**-5
"""Scales down to this share of the covering one are tried."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Values for a quantizer of codes lo..hi: their extremes, and all or a sample of them."""

    low: float
    high: float
    sample: Floats
    lo: int
    hi: int

    @staticmethod
    def of(x: Any, lo: int, hi: int) -> Seen:
        """All values of an array."""
        flat = np.asarray(x, np.float64).ravel()
        return Seen(float(flat.min()), float(flat.max()), flat, lo, hi)

    def cover(self, low: float, high: float) -> float:
        """The least scale that clips nothing in [low, high]; values that have no code of their
        sign do not count."""
        need = [high / self.hi]
        if self.lo < 0:
            need.append(low / self.lo)
        return max(need)


def best_scale(seen: Sequence[Seen], config: Config) -> float:
    """The one scale for quantizers that share it, by the rule of `config.ranges`.

    minmax: no value is clipped. percentile: nothing between the two percentiles is. mse: the least
    sum of squared errors, within the resolution of the search (0.2 %). 1.0 if all values are 0.
    """
    widest = max(s.cover(s.low, s.high) for s in seen)
    if widest <= 0:
        return 1.0
    if config.ranges == "minmax":
        return widest
    if config.ranges == "percentile":
        ends = [100 - config.percentile, config.percentile]
        found = max(s.cover(*np.percentile(s.sample, ends)) for s in seen)
        return found if found > 0 else widest
    return _least_error(seen, widest)


def squared_error(seen: Seen, scale: float) -> float:
    """Sum of squared differences between the sample and its quantized values."""
    codes = np.clip(np.rint(seen.sample / scale), seen.lo, seen.hi)
    return float(np.square(codes * scale - seen.sample).sum())


def _least_error(seen: Sequence[Seen], widest: float) -> float:
    def best(candidates: Floats) -> float:
        errors = [sum(squared_error(s, float(c)) for s in seen) for c in candidates]
        return float(candidates[int(np.argmin(errors))])

    coarse = widest * np.geomspace(SMALLEST_RATIO, 1.0, COARSE)
    ratio = coarse[1] / coarse[0]
    scale = best(coarse)
    return best(scale * np.geomspace(1 / ratio, min(ratio, widest / scale), FINE))


def round_mantissa(x: Any, bits: int, up: bool = False) -> Floats:
    """The nearest value m * 2**e with integer |m| <= 2**bits, or (`up`) the least not below x."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    whole = np.ceil if up else np.rint
    return np.ldexp(whole(mantissa * 2.0**bits), exponent - bits)


def mantissa_bits(x: float) -> int:
    """Bits from the leading to the last one of x."""
    numerator, _ = float(abs(x)).as_integer_ratio()
    return (numerator // (numerator & -numerator)).bit_length() if numerator else 0
