"""What the contents of a truth table cost in LUTs of six inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["padded", "truth_bits", "truth_levels", "truth_luts"]

Ints = NDArray[np.int64]

LUT_INPUTS = 6
MULTIPLEXER = 0.8
"""LUTs of a multiplexer behind others, as yosys finds them: some take two levels at once. Smooth
functions of nine inputs and more come out up to a fourth smaller."""


def _columns(table: Ints, width: int) -> set[bytes]:
    """The distinct functions among the bits of a table's words, constants left out."""
    bits = (np.asarray(table)[:, None] >> np.arange(width)) & 1
    found = {column.astype(np.uint8).tobytes() for column in bits.T}
    return {f for f in found if len(set(f)) > 1}


def truth_bits(table: Ints, width: int) -> int:
    """Registers behind a table of ``width`` bits: equal bits share one, constants need none."""
    return len(_columns(table, width))


def truth_luts(table: Ints, width: int) -> int:
    """LUTs of ``table[index]``, a word of ``width`` bits for each of 2^n indices, in front of
    registers: one that a single input sets or resets takes only what is left of its function."""
    known: dict[bytes, float] = {}
    for column in sorted(_columns(table, width)):
        low, high = _halves(column)
        gated = len(set(low)) == 1 or len(set(high)) == 1
        if not (gated and (_is_input(low) or _is_input(high))):
            _count(column, known)
    return round(sum(known.values()))


def padded(words: Ints, size: int) -> Ints:
    """A table of ``size`` words, a power of two, that costs no more than these: what is missing
    is like what is there."""
    if len(words) == size:
        return words
    half = size // 2
    if len(words) <= half:
        return np.tile(padded(words, half), 2)
    return np.concatenate([words[:half], padded(words[half:], half)])


def truth_levels(inputs: int) -> float:
    """Levels of it, as yosys maps it: one for each of two inputs above six, then for each two."""
    return 1 + max(0, min(inputs - 6, 2)) + max(0, inputs - 8) / 2


def _halves(f: bytes) -> tuple[bytes, bytes]:
    """By the upper input of those that it depends on."""
    half = len(f) // 2
    return (f[:half], f[half:]) if f[:half] != f[half:] else _halves(f[:half])


def _is_input(f: bytes) -> bool:
    """Whether it is an input itself or one inverted, both of which are free."""
    if len(set(f)) == 1:
        return False
    low, high = _halves(f)
    return len(set(low)) == len(set(high)) == 1


def _count(f: bytes, known: dict[bytes, float]) -> None:
    """Adds to ``known`` what the function takes that is not there yet: by halves of its upper
    input until six are left."""
    if len(set(f)) == 1 or f in known or _is_input(f):
        return
    low, high = _halves(f)
    size = len(low).bit_length()
    if size <= LUT_INPUTS:
        known[low + high] = 1
        return
    known[low + high] = 1 if size == LUT_INPUTS + 1 else MULTIPLEXER
    _count(low, known)
    _count(high, known)
