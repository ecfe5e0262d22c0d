"""Scales of weights and places of biases, such that requantization is a short multiplication.

Codes of scale `source`, times weights of scale s, summed and brought to the scale `result`, are
multiplied by s * source / result. If that is m / 2**shift with a short m in every channel, and the
bias lies halfway between two multiples of result / 2**shift, no sum is near a tie: m itself is
proved exact by the lowering, and float64 evaluation cannot round to another code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.layers import Floats, canonical, channel_axis
from hwc.compiler.calibrate.scales import Seen, best_scale, round_mantissa
from hwc.compiler.source import SourceOp

__all__ = ["Grid", "grid", "ideal_scales"]

MULTIPLIER_BITS = 12
"""Bits of the largest channel's multiplier m; channels with smaller weights have fewer."""

OUTPUT_STEP = 2.0**-8
"""Where sums leave the network the host adds the bias, to this fraction of their unit."""

TENSOR_BITS = 8
"""Bits of m, or of the scale's mantissa, where one scale serves all channels."""


@dataclass(frozen=True)
class Grid:
    """Scales of a weight, (channels,) or (1,), and where biases may lie: (n + phase) * step.

    `step` None: anywhere.
    """

    scale: Floats
    step: Floats | None = None
    phase: float = 0.0

    def place(self, bias: Floats) -> Floats:
        """The nearest legal biases."""
        if self.step is None:
            return bias
        return (np.rint(bias / self.step - self.phase) + self.phase) * self.step


def ideal_scales(op: SourceOp, weight: np.ndarray, config: Config, shared: bool) -> Floats:
    """The best scale by `config.weight_ranges`: one for each output channel, or one (`shared`)."""
    most = 2 ** (config.weight_bits - 1) - 1
    form = canonical(op, weight)
    whole = shared or not config.per_channel or channel_axis(op) is None
    rows = form.reshape(1 if whole else form.shape[0] * form.shape[1], -1)
    return np.array([best_scale([Seen.of(row, -most, most)], config.for_weights) for row in rows])


def grid(
    ideal: Floats, source: float, result: float | None, exact: bool, compared: bool, config: Config
) -> Grid:
    """Scales near the ideal ones for a layer whose input has scale `source`.

    `result` is the scale of the quantizer behind (None: the sums leave the network), `exact` is
    whether nothing but clips lies between, `compared` whether sums are compared: their biases are
    integers then.
    """
    up = config.for_weights.ranges == "minmax"
    bits = TENSOR_BITS if len(ideal) == 1 else MULTIPLIER_BITS
    if result is None:
        scale = round_mantissa(ideal, TENSOR_BITS, up)
        return Grid(scale, scale * source * (1 if compared else OUTPUT_STEP))
    if not exact:
        return Grid(round_mantissa(ideal, TENSOR_BITS, up))
    ratio = ideal * source / result
    _, exponent = np.frexp(ratio.max())
    shift = bits - int(exponent)
    m = np.maximum((np.ceil if up else np.rint)(np.ldexp(ratio, shift)), 1.0)
    unit = np.ldexp(result, -shift)
    return Grid(np.ldexp(m, -shift) * result / source, np.array([unit]), 0.5)
