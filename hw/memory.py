"""What a memory costs in each of its forms on a 7-series part. Never bits divided by 36 k."""

from __future__ import annotations

__all__ = ["bram18", "lutram", "lutrom"]

BRAM18_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Legal ``(width, depth)`` of one RAMB18 as simple dual port or ROM (UG473, table 1-8)."""


def bram18(width: int, depth: int) -> int:
    """RAMB18 blocks of a ``depth`` x ``width`` memory, the best of all legal aspect ratios."""
    return min(-(-width // w) * -(-depth // d) for w, d in BRAM18_SHAPES)


def lutram(width: int, depth: int) -> int:
    """LUTs of a simple dual-port distributed RAM.

    Four LUTs make 32 x 6 bits (RAM32M) or 64 x 3 (RAM64M); deeper ones add a read multiplexer
    of one LUT6 for four blocks.
    """
    if depth <= 32:
        return 4 * -(-width // 6)
    blocks = -(-depth // 64)
    return 4 * -(-width // 3) * blocks + (width * -(-blocks // 4) if blocks > 1 else 0)


def lutrom(width: int, depth: int) -> int:
    """LUTs of a ROM: 64 bits a LUT6, two ROMs of 32 in one, wider muxes from F7 and F8.

    An upper bound: synthesis shares and removes what the contents allow.
    """
    if depth <= 1:
        return 0
    if depth <= 32:
        return -(-width // 2)
    blocks = -(-depth // 64)
    return width * (blocks + (-(-blocks // 4) if blocks > 4 else 0))
