"""What stands between layers: joins, converters, selections, queues."""

from __future__ import annotations

from collections.abc import Iterator

from hwc.compiler.graph import ArgMax, Concat, TopK, Type
from hwc.hw.units.concat import ConcatUnit
from hwc.hw.units.repack.unit import Repack
from hwc.hw.units.select import SelectUnit

__all__ = ["QUEUES", "concats", "repacks", "selects"]

PM, U4, U8 = Type((1,), -1, 1, bipolar=True), Type((1,), 0, 15), Type((1,), 0, 255)
S4, S12, S20 = (Type((1,), -(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (4, 12, 20))

QUEUES = tuple(
    (width, depth)
    for width, depth in (
        (8, 1), (64, 1), (8, 2), (32, 2), (8, 5), (24, 16), (64, 20), (8, 33), (32, 64), (4, 100),
        (12, 200), (36, 512), (16, 700), (64, 1024), (100, 300), (8, 3000),
    )
)  # fmt: skip
"""``(width, depth)`` of queues in every form."""


def concats() -> Iterator[ConcatUnit]:
    """In turn and at once, equal and unequal types."""
    for kinds, channels, shape, lanes, pixels in (
        ((U4, U4), (16, 16), (14, 14), 4, 1),
        ((U4, U4), (16, 16), (14, 14), 16, 1),
        ((U4, U4), (16, 16), (14, 14), 32, 1),
        ((U4, S4), (16, 24), (14, 14), 8, 1),
        ((PM, U4), (8, 8), (7, 7), 2, 1),
        ((U4, U4, U4), (8, 16, 24), (10, 10), 8, 1),
        ((U4, U4, U4, U4), (16, 16, 16, 16), (10, 10), 16, 1),
        ((U8,) * 5, (4, 4, 8, 8, 8), (8, 8), 4, 1),
        ((U8, U8), (12, 20), (), 4, 1),
        ((U4, U8), (16, 16), (14, 14), 4, 2),
    ):
        types = tuple(k.with_shape((*shape, n)) for k, n in zip(kinds, channels, strict=True))
        yield ConcatUnit(Concat(), types, lanes, pixels)


def selects() -> Iterator[SelectUnit]:
    """One and several of few and many."""
    for op, size, kind, lanes in (
        (ArgMax(), 10, S12, 1),
        (ArgMax(), 10, S12, 2),
        (ArgMax(), 10, S12, 5),
        (ArgMax(), 10, S12, 10),
        (ArgMax(), 10, S20, 3),
        (ArgMax(), 1000, S20, 1),
        (ArgMax(), 1000, S20, 8),
        (ArgMax(), 100, U8, 4),
        (ArgMax(), 2, S12, 2),
        (TopK(5), 100, S12, 1),
        (TopK(5), 1000, S12, 2),
        (TopK(3), 10, S12, 4),
        (TopK(2), 40, U8, 8),
    ):
        yield SelectUnit(op, kind.with_shape((size,)), lanes)


def repacks() -> Iterator[Repack]:
    """Fewer and more elements a beat, whole ratios and others, pixels."""
    for kind, a_shape, a, b_shape, b in (
        (U4, (96,), (8,), (96,), (32,)),
        (U4, (96,), (32,), (96,), (8,)),
        (U4, (96,), (8,), (96,), (12,)),
        (U4, (96,), (12,), (96,), (8,)),
        (U8, (490,), (8,), (490,), (10,)),
        (PM, (256,), (16,), (256,), (64,)),
        (PM, (250,), (50,), (250,), (8,)),
        (U4, (14, 14, 16), (1, 1, 16), (14, 14, 16), (1, 1, 4)),
        (U4, (14, 14, 16), (1, 1, 4), (14, 14, 16), (1, 1, 16)),
        (U4, (14, 14, 16), (1, 1, 6), (14 * 14 * 16,), (4,)),
        (U4, (14, 14, 16), (1, 1, 16), (14, 14, 16), (1, 2, 16)),
        (U4, (14, 14, 16), (1, 2, 8), (14, 14, 16), (1, 1, 8)),
        (U4, (14, 14, 10), (1, 1, 4), (14, 14, 10), (1, 1, 5)),
        (U8, (7, 7, 12), (1, 1, 12), (588,), (21,)),
        (U8, (60,), (1,), (60,), (20,)),
    ):
        yield Repack(kind.with_shape(a_shape), a, kind.with_shape(b_shape), b)
