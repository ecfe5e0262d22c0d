"""How tensors may enter and leave the chip, and what stands between two layouts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hwc.compiler.graph import Type
from hwc.compiler.graph.errors import HwcError
from hwc.hw.layout import Layout
from hwc.hw.queue import queue_resources
from hwc.hw.resources import Resources
from hwc.hw.shell.record import element_bytes
from hwc.hw.units.repack.unit import Repack

__all__ = ["Link", "link", "port_tiles"]

Tile = tuple[int, ...]
SHALLOW = 16
"""Depth that an edge is priced at before the timing engine has sized its queue."""


@dataclass(frozen=True)
class Link:
    """What an edge costs: its converter, if it needs one, and its queues at a shallow depth."""

    repack: Repack | None
    resources: Resources
    interval: int


def port_tiles(type: Type, width: int) -> list[Tile]:
    """Tiles of ``type`` that fit a stream of ``width`` bits and differ in beats per frame.

    Elements come and go in whole bytes, as they lie in memory: the bus could not feed more of them.
    Channels first; once all channels of a pixel fit, neighbouring pixels share a beat. One
    element a beat is always there, however wide it is.
    """
    most = max(1, width // (8 * element_bytes(type)))
    channels = type.shape[-1]
    head = (1,) * (len(type.shape) - 1)
    tiles = [(*head, lanes) for lanes in _steps(channels, most)]
    if head and channels <= most:
        row = type.shape[-2]
        tiles += [(*head[:-1], m, channels) for m in _steps(row, most // channels) if m > 1]
    return tiles


def _steps(count: int, most: int) -> list[int]:
    """The smallest tile for each number of beats that tiles of up to ``most`` can reach."""
    beats = {-(-count // lanes) for lanes in range(1, min(count, most) + 1)}
    return sorted({-(-count // b) for b in beats})


@lru_cache(maxsize=65536)
def link(src: Type, a: Tile, dst: Type, b: Tile, levels: int) -> Link | None:
    """What turns beats of ``src`` in tile ``a`` into beats of ``dst`` in tile ``b``, if anything.

    ``src`` and ``dst`` hold the same elements in the same row-major order.
    """
    width = Layout(src, a).width
    if Repack.free(src, a, dst, b):
        return Link(None, queue_resources(width, SHALLOW), 0)
    try:
        repack = Repack(src, a, dst, b)
        if repack.levels() > levels:
            return None
        cost = repack.resources()
        interval = max(p.firings for p in repack.schedule().processes)
    except HwcError:
        return None
    queues = queue_resources(width, SHALLOW) + queue_resources(Layout(dst, b).width, SHALLOW)
    return Link(repack, cost + queues, interval)
