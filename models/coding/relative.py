"""Relative indices of nonzeros (Han et al. 2016): the gap to the one before, in few bits.

A gap of b bits skips up to 2**b - 1 zeros. Where more lie between, a filler is stored: the largest
gap, and a zero as its value.
"""

import numpy as np

from hwc.compiler.graph.structured import GAP_BITS, entries
from hwc.models.coding.errors import CodingError


def gaps(flat: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(gaps, values) of a flat array with gaps of `bits` bits; zeros at its end are not stored."""
    reach = 2**bits
    positions = np.flatnonzero(flat)
    steps = np.diff(positions, prepend=-1)  # 1 + zeros skipped
    fillers = (steps - 1) // reach
    ends = np.cumsum(fillers + 1) - 1
    total = int(ends[-1]) + 1 if len(ends) else 0
    skipped = np.full(total, reach - 1, np.int64)
    values = np.zeros(total, np.int64)
    skipped[ends] = (steps - 1) % reach
    values[ends] = flat[positions]
    return skipped, values


def ungap(skipped: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """The flat array of `size` that `gaps` took apart; raises CodingError if it overflows."""
    positions = np.cumsum(skipped + 1) - 1
    if len(positions) and positions[-1] >= size:
        raise CodingError(f"relative indices reach {positions[-1]}, beyond {size} weights")
    flat = np.zeros(size, np.int64)
    flat[positions] = values
    return flat


def cost(flat: np.ndarray, bits: int, value_bits: int) -> int:
    """Bits of the fixed-length form: every entry, fillers too, a gap and a value."""
    runs = np.diff(np.flatnonzero(flat), prepend=-1) - 1
    return entries(runs, bits) * (bits + value_bits)


def best_width(flat: np.ndarray, value_bits: int) -> int:
    """The width of gaps with the least `cost`; the smaller one of equals."""
    return min(GAP_BITS, key=lambda bits: cost(flat, bits, value_bits))
