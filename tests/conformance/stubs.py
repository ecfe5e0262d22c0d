"""Toy units, one for each shape of schedule that a real unit needs: their arithmetic is only sums.

They are what the schedule, sequencer, queues, harness and timing engine were first tried on.
"""

from .stub import Stub
from .stubs_exit import Merge, Steer
from .stubs_memory import Lines, SparseRows, Streamed, Tiles
from .stubs_plain import Copy, Heads, Interleave, Join, Shared, TwoPixels
from .stubs_stop import Short

__all__ = [
    "STUBS",
    "Copy",
    "Heads",
    "Interleave",
    "Join",
    "Lines",
    "Merge",
    "Shared",
    "Short",
    "SparseRows",
    "Steer",
    "Streamed",
    "Stub",
    "Tiles",
    "TwoPixels",
]

STUBS: tuple[type[Stub], ...] = (
    Copy,
    Heads,
    Interleave,
    Join,
    Lines,
    Merge,
    Shared,
    Short,
    SparseRows,
    Steer,
    Streamed,
    Tiles,
    TwoPixels,
)
