"""What a memory costs in each of its forms on a 7-series part. Never bits divided by 36 k."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

__all__ = ["bram18", "bram_ways", "lutram", "lutram_single", "lutrom", "lutrom_mapped"]

BRAM18_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Legal ``(width, depth)`` of one RAMB18 as simple dual port or ROM (UG473, table 1-8)."""

ROM_LUTS = ((1, 0.0), (2, 1.0), (64, 1.0), (66, 1.5), (96, 3.5), (128, 3.6), (192, 4.4), (256, 6.2),
            (320, 9.0), (512, 14.5), (1024, 28.5), (2048, 58.0))  # fmt: skip
"""``(depth, LUTs a bit)`` of ROMs of random words."""


def bram18(width: int, depth: int) -> int:
    """RAMB18 blocks of a ``depth`` x ``width`` memory, the best of all legal shapes."""
    return _blocks(width, depth)[0]


def bram_ways(width: int, depth: int) -> int:
    """Words, side by side in a memory of :func:`bram18` blocks, that a multiplexer behind it
    chooses from; 1 where a block is deep enough."""
    return _blocks(width, depth)[1]


@lru_cache(maxsize=4096)
def _blocks(width: int, depth: int) -> tuple[int, int]:
    """RAMB18, and ways, of the cheapest shape.

    A memory deeper than a block has several words side by side, whose bits share blocks; two
    RAMB18 are a RAMB36 of twice the width or depth. What is cheapest is yosys' own measure: half a
    LUT a multiplexer, and 128 and 256 LUTs a block, one of either kind.
    """
    shapes = [(1, w, d) for w, d in BRAM18_SHAPES]
    shapes += [(2, 72, 512), *((2, w, 2 * d) for w, d in BRAM18_SHAPES)]
    found = []
    for size, w, d in shapes:
        ways = -(-depth // d)
        count = -(-width * ways // w)
        cost = count * (128 * size + 1) + width * (ways - 1) / 2
        found.append((cost, size * count, ways))
    return min(found)[1:]


def lutram(width: int, depth: int) -> int:
    """LUTs of a simple dual-port distributed RAM.

    Four LUTs make 32 x 6 bits (RAM32M) or 64 x 3 (RAM64M); deeper ones add a read multiplexer
    of one LUT6 for four blocks.
    """
    if depth <= 32:
        return 4 * -(-width // 6)
    blocks = -(-depth // 64)
    return 4 * -(-width // 3) * blocks + (width * -(-blocks // 4) if blocks > 1 else 0)


def lutram_single(width: int, depth: int) -> int:
    """LUTs of a distributed RAM whose reads and writes are at one address.

    Eight bits in the four LUTs of a RAM32M up to 32 words, then as many LUTs a bit as there are
    64 words, rounded up to a power of two; from 512 words on a read multiplexer joins blocks.
    """
    if depth <= 32:
        return min(4 * -(-width // 8), width)
    blocks = -(-depth // 64)
    if blocks <= 4:
        return width << (blocks - 1).bit_length()
    return width * (4 * -(-blocks // 4) + -(-blocks // 16))


def lutrom(width: int, depth: int) -> int:
    """LUTs of a ROM: 64 bits a LUT6, two ROMs of 32 in one, wider muxes from F7 and F8.

    What a vendor tool makes of it, and no more than that: what the contents allow is shared.
    """
    if depth <= 1:
        return 0
    if depth <= 32:
        return -(-width // 2)
    blocks = -(-depth // 64)
    return width * (blocks + (-(-blocks // 4) if blocks > 4 else 0))


def lutrom_mapped(depth: int) -> float:
    """LUTs a bit of a ROM of random words, as yosys maps it without F7 and F8.

    Half of them are multiplexers: measured at 8 bits for 66 to 2048 words, +-8 % between.
    """
    if depth >= ROM_LUTS[-1][0]:
        return ROM_LUTS[-1][1] * depth / ROM_LUTS[-1][0]
    for (low, few), (high, many) in pairwise(ROM_LUTS):
        if depth <= high:
            return few + (many - few) * (depth - low) / (high - low)
    raise AssertionError(depth)
