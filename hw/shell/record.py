"""How frames lie in memory: records of streams of words; see docs/shell.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout

__all__ = ["WORD", "Record", "StreamRecord", "element_bytes"]

WORD = 8
"""Bytes of a word of the bus."""


def element_bytes(kind: Type) -> int:
    """Bytes of an element in memory: 1, 2, 4 or 8, the smallest that holds it."""
    return next(n for n in (1, 2, 4, 8) if kind.width <= 8 * n)


@dataclass(frozen=True)
class StreamRecord:
    """Where a stream's frame lies in a record; everything in bytes."""

    layout: Layout
    offset: int

    @property
    def element(self) -> int:
        """Bytes of an element."""
        return element_bytes(self.layout.type)

    @property
    def beat(self) -> int:
        """Bytes of a beat."""
        return self.element * self.layout.elements

    @property
    def words(self) -> int:
        """Words of a frame, the last one padded."""
        return -(-self.beat * self.layout.beats // WORD)


@dataclass(frozen=True)
class Record:
    """The streams of one side, one behind the other, each from a word on."""

    streams: Mapping[str, StreamRecord]

    @classmethod
    def of(cls, layouts: Mapping[str, Layout]) -> Record:
        """Streams in the order of the mapping."""
        streams: dict[str, StreamRecord] = {}
        offset = 0
        for name, layout in layouts.items():
            streams[name] = StreamRecord(layout, offset)
            offset += streams[name].words * WORD
        return cls(streams)

    @property
    def stride(self) -> int:
        """Bytes from one record to the next."""
        return sum(s.words for s in self.streams.values()) * WORD
