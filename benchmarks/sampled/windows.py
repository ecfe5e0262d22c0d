"""Line buffers: kernels, strides, pixels and taps at once, shift registers."""

from __future__ import annotations

from collections.abc import Iterator

from hwc.compiler.graph import Type, Window
from hwc.hw.units.window.unit import LineBuffer, WindowFold

__all__ = ["windows"]

U1, U4, U8 = Type((1,), -1, 1, bipolar=True), Type((1,), 0, 15), Type((1,), 0, 255)
EDGES = (1, 1, 1, 1)
SAME = Window((3, 3), padding=EDGES)
POOL = Window((2, 2), (2, 2), groups=16)


def windows() -> Iterator[LineBuffer]:
    """From a tap a beat to whole windows of two pixels."""
    for kind, shape, op, fold in (
        (U4, (28, 28, 16), SAME, WindowFold(16, taps=9)),
        (U4, (28, 28, 16), SAME, WindowFold(16, taps=9, shift=True)),
        (U4, (28, 28, 16), SAME, WindowFold(16)),
        (U4, (28, 28, 16), SAME, WindowFold(4)),
        (U4, (28, 28, 16), SAME, WindowFold(8, taps=3)),
        (U4, (32, 32, 64), SAME, WindowFold(8, taps=3)),
        (U4, (28, 28, 8), SAME, WindowFold(8, 2, 2, 3)),
        (U4, (28, 28, 8), SAME, WindowFold(8, 2, 2, 9)),
        (U8, (28, 28, 1), Window((5, 5)), WindowFold(1, taps=25)),
        (U8, (28, 28, 1), Window((5, 5)), WindowFold(1, taps=5)),
        (U8, (28, 28, 1), SAME, WindowFold(1, taps=9)),
        (U8, (32, 32, 3), SAME, WindowFold(3, taps=9)),
        (U8, (32, 32, 3), SAME, WindowFold(3)),
        (U4, (28, 28, 16), POOL, WindowFold(16, taps=4)),
        (U4, (28, 28, 16), POOL, WindowFold(4, taps=4)),
        (U4, (28, 28, 16), POOL, WindowFold(16)),
        (U4, (16, 16, 32), Window((3, 3), (2, 2), EDGES), WindowFold(16, taps=3)),
        (U4, (16, 16, 32), Window((3, 3), (2, 2), EDGES), WindowFold(8, taps=9)),
        (U4, (14, 14, 24), Window((3, 3), padding=EDGES, groups=24), WindowFold(4, taps=9)),
        (U1, (16, 16, 64), Window((3, 3), padding=EDGES, fill=-1), WindowFold(64, taps=9)),
        (U1, (16, 16, 64), Window((3, 3), padding=EDGES, fill=-1), WindowFold(32, taps=1)),
        (U4, (16, 16, 8), Window((3, 3), (2, 2), EDGES), WindowFold(8, taps=9, shift=True)),
        (U4, (1, 200, 8), Window((1, 5), padding=(0, 0, 2, 2)), WindowFold(8, taps=5)),
        (U4, (14, 14, 32), Window((1, 1), (2, 2)), WindowFold(8)),
        (U4, (20, 20, 8), Window((3, 3), dilation=(2, 2)), WindowFold(8, taps=3)),
        (U4, (24, 24, 6), SAME, WindowFold(2, taps=9)),
        (U8, (30, 30, 4), Window((3, 3)), WindowFold(4, taps=9)),
        (U4, (20, 20, 12), Window((5, 5), padding=(2, 2, 2, 2)), WindowFold(4, taps=5)),
        (U4, (28, 28, 8), SAME, WindowFold(8, 1, 2, 9)),
        (U8, (64, 64, 1), Window((7, 7), (2, 2), (3, 3, 3, 3)), WindowFold(1, taps=7)),
        (U4, (12, 12, 16), Window((3, 3), padding=EDGES, groups=16), WindowFold(4, taps=3)),
        (U4, (40, 40, 8), Window((3, 3), padding=EDGES), WindowFold(4, taps=3, shift=True)),
    ):  # fmt: skip
        yield LineBuffer(op, kind.with_shape(shape), fold)
