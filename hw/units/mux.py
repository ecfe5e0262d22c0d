"""Multiplexers by index, and what they cost on a 7-series part."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value

__all__ = ["mux_levels", "mux_luts", "pick"]


def mux_levels(ways: int) -> int:
    """Levels of a multiplexer: four ways a LUT6, up to sixteen with F7 and F8."""
    return 0 if ways <= 1 else 1 if ways <= 4 else 2 if ways <= 16 else 3


def mux_luts(ways: int) -> int:
    """LUTs of one bit of a multiplexer: each LUT6 joins three ways to what is there."""
    return -(-(ways - 1) // 3)


def pick(m: Module, select: Value, ways: Mapping[int, Value], name: str) -> Value:
    """``ways[select]``; other values of ``select`` do not occur."""
    *some, last = ways.items()
    if all(way is last[1] for _, way in some):
        return last[1]
    out = Signal(len(last[1]), name=name)
    with m.Switch(select):
        for key, way in some:
            with m.Case(key):
                m.d.comb += out.eq(way)
        with m.Default():
            m.d.comb += out.eq(last[1])
    return out
