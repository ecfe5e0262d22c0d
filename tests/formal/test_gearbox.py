"""Every element keeps its bits and its place between words and beats."""

from __future__ import annotations

from typing import Literal

import pytest

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout
from hwc.hw.shell import gearbox
from hwc.sim.formal import prove

from .gearbox_proof import GearProof
from .look import broken, holds, red

pytestmark = pytest.mark.slow

Way = Literal["pack", "unpack"]
WAYS: tuple[Way, Way] = ("pack", "unpack")
LAYOUTS = {
    "serial": (Layout(Type((5,), -9, 8), (1,)), 4),
    "odd": (Layout(Type((7,), -9, 8), (3,)), 4),
    "two bytes": (Layout(Type((2, 3), -200, 80), (1, 3)), 8),
    "wide beats": (Layout(Type((6,), -1, 1, True), (6,)), 4),
    "short words": (Layout(Type((3,), 0, 7), (1,)), 2),
    "the bus": (Layout(Type((10,), -9, 8), (5,)), 8),
    "wider than the bus": (Layout(Type((3, 9), 0, 255), (1, 9)), 8),
    "no padding": (Layout(Type((4,), 0, 255), (1,)), 4),
    "byte by byte": (Layout(Type((3,), 0, 255), (1,)), 1),
}
"""Layout, and bytes of a word."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_order(name: str, way: Way) -> None:
    layout, word = LAYOUTS[name]
    holds(GearProof(way, layout, word))
    result = prove(GearProof(way, layout, word), depth=24, mode="cover", limit=60)
    assert result.proved, str(result)


BROKEN: list[tuple[Way, str, str, str]] = [
    ("unpack", "held[gears.beat * gears.bits :]", "held[gears.word * gears.bits :]", "element"),
    ("unpack", "Mux(last, 0, count - gears.beat)", "count - gears.beat", "element"),
    ("unpack", "count >= gears.beat", "count + 1 >= gears.beat", "nothing_early"),
    ("unpack", "left <= gears.room - gears.word", "left <= gears.room", "element"),
    ("unpack", "i * element + layout.type.width", "i * element + layout.type.width - 1", "element"),
    ("pack", "sign.replicate(size - kind.width)", "Const(0, size - kind.width)", "element"),
    ("pack", "padded, full))", "full, full))", "padding"),
    ("pack", "Mux(last, padded, full)", "padded", "nothing_early"),
    ("pack", "count >= gears.word", "count + 1 >= gears.word", "nothing_early"),
    ("pack", "self.ended.eq(take & last)", "self.ended.eq(give & last)", "ended"),
    ("pack", "gears.bits], whole)", "gears.bits], whole, whole)", "padding"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["no padding", "byte by byte"])
def test_a_word_taken_too_early_is_found(name: str) -> None:
    """In the cycle that makes a frame's last beat the next one to go."""
    layout, word = LAYOUTS[name]
    module = broken(
        gearbox,
        "(coming == layout.beats - 1) & (left >= gears.beat)",
        "last & self.beats.valid & ~give",
    )
    red(prove(GearProof("unpack", layout, word, module=module, inside=False), depth=14), "element")


@pytest.mark.parametrize(("way", "old", "new", "name"), BROKEN)
def test_broken_gears_are_found(way: Way, old: str, new: str, name: str) -> None:
    layout, word = LAYOUTS["odd"]
    design = GearProof(way, layout, word, module=broken(gearbox, old, new), inside=False)
    red(prove(design, depth=12), name)
