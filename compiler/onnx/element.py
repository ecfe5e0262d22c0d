"""Element types of ONNX by name."""

from __future__ import annotations

__all__ = ["FLOATS", "INTERVALS"]

FLOATS = ("float32", "float16", "bfloat16", "float64")
"""Types of real numbers; their own rounding is not reproduced."""

INTERVALS = {
    f"{prefix}int{bits}": (
        (0, 2**bits - 1) if prefix else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    for bits in (2, 4, 8, 16, 32, 64)
    for prefix in ("u", "")
}
"""Smallest and largest value of the integer types."""
