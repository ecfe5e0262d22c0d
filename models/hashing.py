"""The hash behind every pseudo-random choice that has to be the same everywhere.

32-bit integer arithmetic that a circuit does as well: two rounds of multiply and xor-shift.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash32", "shared_places"]

_LOW = 0xFFFFFFFF


def hash32(numbers: NDArray[np.integer], seed: int) -> NDArray[np.uint32]:
    """A 32-bit hash of non-negative integers below 2**32, each on its own; of `seed` the low 32
    bits count."""
    x = numbers.astype(np.uint64) ^ np.uint64(seed & _LOW)
    for factor, shift in ((0x7FEB352D, 15), (0x846CA68B, 16)):
        x ^= x >> np.uint64(16)
        x = (x * np.uint64(factor)) & np.uint64(_LOW)
        x ^= x >> np.uint64(shift)
    return x.astype(np.uint32)


def shared_places(size: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(place, sign) of `size` weights that share `count` values: with h = hash32(i, seed) weight
    number i is value `(h >> 1) * count >> 31`, negated if h is odd."""
    h = hash32(np.arange(size), seed).astype(np.int64)
    return ((h >> 1) * count) >> 31, 1 - 2 * (h & 1)
