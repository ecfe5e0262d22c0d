"""Export of what makes codes: thresholds, requantization, and monotone tables as thresholds."""

from __future__ import annotations

import numpy as np

from hwc.compiler.graph import MultiThreshold, Node, Requant
from hwc.compiler.onnx.export.writer import DOMAIN, Writer

__all__ = ["monotone", "multi_threshold", "requant"]

MOST_INPUTS = 1 << 16
"""A table or two-slope quantizer is evaluated on its whole input interval up to this size."""


def _thresholds(
    w: Writer, node: Node, x: str, rows: np.ndarray, falls: np.ndarray, lo: int, step: int
) -> str:
    """lo + step * (thresholds reached); channels that fall are negated first."""
    type = w.types[node.args[0]]
    rows = np.asarray(rows)
    if falls.any():
        signs = np.where(falls, -1, 1)
        x = w.emit("Mul", x, w.number(w.along_channels(signs, type)), hint=f"{node.name}_signs")
        rows = np.broadcast_to(rows, (max(len(rows), len(signs)), rows.shape[1]))
        rows = np.sort(np.where(falls[:, None], -rows, rows), axis=1)
    table = w.number(rows, f"{node.name}_thresholds")
    layout = {1: "NC", 2: "NCW", 3: "NCHW"}[len(type.shape)]
    if (lo, step, rows.shape[1]) == (-1, 2, 1):
        name = "BIPOLAR"
    else:
        name = "INT32" if lo < 0 else "UINT32"
    return w.emit(
        "MultiThreshold", x, table, hint=node.name, domain=DOMAIN, out_dtype=name,
        out_scale=float(step), out_bias=float(lo), data_layout=layout,
    )  # fmt: skip


def multi_threshold(w: Writer, node: Node, args: list[str]) -> str:
    op = node.op
    assert isinstance(op, MultiThreshold)
    falls = np.array(op.descending)
    return _thresholds(w, node, args[0], op.thresholds.values, falls, op.lo, op.step)


def requant(w: Writer, node: Node, args: list[str]) -> str:
    """clip(round(m / 2^shift * x + b / 2^shift)): both factors are dyadic, hence exact."""
    op = node.op
    assert isinstance(op, Requant)
    type, unit = w.types[node.args[0]], 2.0**-op.shift
    scale = op.multiplier.values * unit
    offset = op.offset.values * unit + (0.5 if op.rounding == "half_up" else 0.0)
    x = args[0]
    if (scale != 1).any():
        x = w.emit("Mul", x, w.number(w.along_channels(scale, type)), hint=f"{node.name}_scaled")
    if offset.any():
        x = w.emit("Add", x, w.number(w.along_channels(offset, type)), hint=f"{node.name}_offset")
    mode = "ROUND" if op.rounding == "half_even" else "FLOOR"
    if op.lo == op.hi:
        x = w.quant(x, op.lo, op.lo + 1, mode, node.name)
        return w.emit("Clip", x, *(w.number(np.array(op.lo)) for _ in "ab"), hint=node.name)
    return w.quant(x, op.lo, op.hi, mode, node.name)


def monotone(w: Writer, node: Node, args: list[str]) -> str:
    """A table or two-slope quantizer whose channels rise or fall, as thresholds."""
    x = w.types[node.args[0]]
    if x.hi - x.lo >= MOST_INPUTS:
        raise ValueError(f"inputs in [{x.lo}, {x.hi}] are too many to write as thresholds")
    channels = x.shape[-1]
    inputs = np.arange(x.lo, x.hi + 1)
    y = node.op.reference(np.repeat(inputs[:, None], channels, axis=1))  # (inputs, C)
    steps = np.diff(y, axis=0)
    falls = np.asarray((steps < 0).any(axis=0))
    if (falls & (steps > 0).any(axis=0)).any():
        raise ValueError("its function rises and falls, which QONNX's thresholds cannot say")
    y = np.where(falls, y[::-1], y)  # of -x, which counts up
    inputs = np.where(falls, -inputs[::-1, None], inputs[:, None])
    lo, hi = int(y.min()), int(y.max())
    if lo == hi:
        raise ValueError(f"its result is always {lo}")
    far = 2 * max(abs(x.lo), abs(x.hi)) + 2  # never reached
    rows = np.full((channels, hi - lo), far)
    for c in range(channels):
        at = np.searchsorted(y[:, c], np.arange(lo + 1, hi + 1))
        reached = at < len(inputs)
        rows[c, reached] = inputs[at[reached], c]
    rows = np.where(falls[:, None], -rows, rows)  # as a falling channel's own thresholds
    return _thresholds(w, node, args[0], rows, falls, lo, 1)
