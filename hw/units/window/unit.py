"""Line buffer: a feature map comes in once, pixel by pixel; its sliding windows go out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from hwc.compiler.graph import Graph, Node, Type, Window
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Mask, Nest, Process, Schedule, Sum
from hwc.hw.unit import Datapath, Unit, UnitError
from hwc.hw.units.control import control_resources
from hwc.hw.units.window.cost import datapath_levels, datapath_resources
from hwc.hw.units.window.needs import emit_needs, load_needs
from hwc.hw.units.window.path import WindowPath
from hwc.hw.units.window.plan import WindowFold, WindowPlan, lane_tiles, legal_lanes

__all__ = ["LineBuffer", "WindowFold"]


@dataclass(frozen=True)
class LineBuffer(Unit):
    """Graph op ``Window``: (H, W, C) -> (OH, OW, G, T, C/G), see :class:`WindowFold`.

    Two processes. ``load`` writes input beats into banked row slots; it waits only for windows
    that still read what it would overwrite. ``emit`` gives one tile ``(1, pixels, groups, taps,
    lanes)`` per firing, in row-major order, as soon as the last pixel of its windows (and of its
    channel step) is there; with shift registers, some firings at the start of each row only fill
    them. Rows take the slots in turn without a gap between frames.

    Latency from an ``emit`` firing to its beat: 1 cycle to read the memory, 1 more to add the slot
    to the address where slots share a bank, 1 more if the multiplexers behind are too deep for a
    cycle. A window is visible that much and two cycles after the transfer of its last pixel.
    """

    op: Window
    x: Type
    fold: WindowFold

    def __post_init__(self) -> None:
        self.op.infer(self.x)
        fold, channels = self.fold, self.x.shape[2]
        kh, kw = self.op.kernel
        if fold.lanes not in (legal := list(legal_lanes(self.op, channels))):
            raise UnitError(
                "LineBuffer: lanes must divide the channels of a group, or the other way round, "
                f"got {fold.lanes} and {channels // self.op.groups}; legal: {legal}"
            )
        if fold.taps not in (1, kw, kh * kw):
            raise UnitError(
                f"LineBuffer: taps must be 1, a kernel row or the kernel, got {fold.taps}; "
                f"legal: {sorted({1, kw, kh * kw})}"
            )
        for name, n, most in (
            ("pixels_in", fold.pixels_in, self.x.shape[1]),
            ("pixels", fold.pixels, self.op.infer(self.x).shape[1]),
        ):
            if not 1 <= n <= most:
                raise UnitError(f"LineBuffer: {name} must be 1..{most}, got {n}")
        if fold.shift and (
            fold.taps == 1 or kw == 1 or fold.pixels > 1 or fold.pixels_in > 1 or self.plan.lead < 0
        ):
            raise UnitError(
                "LineBuffer: shift registers take a kernel row or the kernel as taps (of more than "
                "one column), one pixel a beat on both sides, and less padding on the left than "
                f"the window spans; got {fold} and {self.op}"
            )
        if fold.rows and fold.rows < self.plan.span_rows:
            raise UnitError(
                f"LineBuffer: the window spans {self.plan.span_rows} rows, so rows must be 0 "
                f"(automatic) or at least that, got {fold.rows}"
            )

    @cached_property
    def plan(self) -> WindowPlan:
        """The numbers behind it."""
        return WindowPlan(self.op, self.x, self.fold)

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, (1, self.fold.pixels_in, self.fold.lanes))}

    def outputs(self) -> dict[str, Layout]:
        p, fold = self.plan, self.fold
        tile = (1, fold.pixels, p.group_tile, p.par_rows * p.par_columns, p.lane_tile)
        return {"y": Layout(self.op.infer(self.x), tile)}

    def schedule(self) -> Schedule:
        p = self.plan
        rows, columns = load_needs(p)
        used = p.used_rows()
        load = Nest(
            loops=p.load_loops,
            takes={"x": Mask.always()},
            needs={"emit": Sum.table(row=tuple(rows), col=tuple(columns))},
            addresses={"used": Sum.table(row=tuple(used))} if p.ring and not all(used) else {},
        )
        rows, columns = emit_needs(p)
        places = {}
        if any(p.padded_column(i, k) for i in range(p.fold.pixels) for k in range(p.read_taps)):
            places["x"] = Sum.affine(-p.left, ox=p.step, kx=p.dw)
        if any(p.padded_row(k) for k in range(p.par_rows)):
            places["y"] = Sum.affine(-p.top, oy=p.sh, ky=p.dh)
        emit = Nest(
            loops=p.loops,
            gives={"y": Mask.table(ox=tuple(p.gives))},
            needs={
                "load": Sum.table(1, oy=tuple(rows), ox=tuple(columns))
                + Sum.affine(g=p.counts["c"], c=1)
            },
            addresses=places,
        )
        return Schedule((Process("load", (load,)), Process("emit", (emit,))), {"y": self.latency})

    @property
    def latency(self) -> int:
        """Cycles from an ``emit`` firing to its beat."""
        return self.plan.address_stages + 1 + self.plan.cut

    def levels(self) -> int:
        return math.ceil(datapath_levels(self.plan))

    def resources(self) -> Resources:
        width = self.op.infer(self.x).width
        return control_resources(self.schedule()) + datapath_resources(self.plan, width)

    def component(self) -> Datapath:
        return WindowPath(self, self.plan)

    @classmethod
    def candidates(
        cls, op: Window, x: Type, wanted: Collection[tuple[int, ...]] = ()
    ) -> Iterator[Self]:
        """Line buffers that give the ``wanted`` tiles of the window tensor, as far as they can.

        If there is none, all sensible lanes and taps of one pixel. Each comes with one pixel an
        input beat and, where the loader would then be the slower half, with as many as it takes;
        and with shift registers where that saves LUTs.
        """
        folds = [fold for tile in wanted if (fold := _fold(op, x, tile)) is not None]
        if not folds:
            legal = reversed(list(legal_lanes(op, x.shape[2])))
            lanes = {-(-x.shape[2] // n): n for n in legal}
            kh, kw = op.kernel
            folds = [
                WindowFold(n, taps=taps)
                for n in sorted(lanes.values())
                for taps in sorted({1, kw, kh * kw})
            ]
        for fold in dict.fromkeys(folds):
            for n in _pixels_in(op, x, fold):
                yield (plain := cls(op, x, replace(fold, pixels_in=n)))
                try:
                    shift = cls(op, x, replace(plain.fold, shift=True))
                except UnitError:
                    continue
                if shift.resources().lut < 0.9 * plain.resources().lut:
                    yield shift

    @classmethod
    def examples(cls) -> Iterator[Self]:
        u2, s3, pm = Type((1,), 0, 3), Type((1,), -4, 3), Type((1,), -1, 1, bipolar=True)
        same, two = (1, 1, 1, 1), (2, 2)
        pool = Window(two, two, groups=3, fill=-4)
        for x, shape, op, fold in (
            (u2, (5, 6, 3), Window((3, 3), padding=same), WindowFold(2)),
            (s3, (5, 6, 3), Window((3, 3), padding=same), WindowFold(3, taps=3)),
            (u2, (5, 6, 3), Window((3, 3), padding=same), WindowFold(2, taps=9)),
            (pm, (4, 7, 2), Window((3, 3), padding=same), WindowFold(2, 2, 2, 9)),
            (pm, (4, 7, 2), Window((2, 3), padding=same, fill=-1), WindowFold(1, 3, 2, 3)),
            (s3, (6, 6, 3), pool, WindowFold(3, taps=4)),
            (s3, (6, 6, 3), pool, WindowFold(2)),
            (u2, (5, 5, 4), Window((3, 3), padding=same, groups=4, fill=5), WindowFold(3, taps=3)),
            (u2, (5, 5, 6), Window(two, padding=(0, 1, 1, 0), groups=2), WindowFold(3, 1, 2, 2)),
            (u2, (5, 5, 6), Window(two, (1, 2), groups=3), WindowFold(4, 2)),
            (u2, (8, 8, 2), Window((3, 3), two, same, two), WindowFold(1, 1, 1, 9, 6)),
            (s3, (7, 8, 2), Window((3, 2), (2, 1), dilation=(1, 3)), WindowFold(2, 1, 3)),
            (u2, (8, 5, 2), Window((3, 2), padding=same, dilation=(2, 1)), WindowFold(2)),
            (s3, (9, 4, 2), Window((2, 3), (2, 1), dilation=(3, 1)), WindowFold(1, taps=3)),
            (u2, (6, 9, 2), Window((1, 1), two), WindowFold(2)),
            (s3, (1, 90, 2), Window((1, 3), padding=(0, 0, 2, 0)), WindowFold(1, taps=3)),
            (u2, (1, 90, 2), Window((1, 4), (1, 3), dilation=(1, 2)), WindowFold(2, 2, 2)),
            (u2, (3, 70, 2), Window((1, 5), (2, 1)), WindowFold(2, 1, 2, 5)),
            (u2, (12, 1, 2), Window((5, 1), padding=(2, 2, 0, 0)), WindowFold(2, taps=5)),
            (u2, (6, 12, 1), Window((5, 5)), WindowFold(1, taps=25)),
            (u2, (5, 6, 3), Window((3, 3), padding=same), WindowFold(2, taps=9, shift=True)),
            (pm, (6, 7, 4), Window((3, 3), two, same), WindowFold(2, taps=3, shift=True)),
            (s3, (2, 90, 2), Window((1, 3), dilation=(1, 2)), WindowFold(1, taps=3, shift=True)),
        ):
            yield cls(op, x.with_shape(shape), fold)


def _fold(op: Window, x: Type, tile: tuple[int, ...]) -> WindowFold | None:
    """The fold that gives ``tile``, if there is one."""
    if len(tile) != 5:
        return None
    _, pixels, groups, taps, lanes = tile
    kh, kw = op.kernel
    most, channels = op.infer(x).shape[1], x.shape[2]
    legal = groups * lanes <= channels and pixels <= most and taps in (1, kw, kh * kw)
    if not legal or lane_tiles(op, channels, groups * lanes) != (groups, lanes):
        return None
    return WindowFold(groups * lanes, 1, pixels, taps)


def _pixels_in(op: Window, x: Type, fold: WindowFold) -> list[int]:
    """One, and the fewest pixels with which loading takes no longer than giving the windows."""
    height, width, channels = x.shape
    plan = WindowPlan(op, x, fold)
    emits = plan.out_rows * plan.per_row
    chunks = height * -(-channels // fold.lanes)
    enough = (n for n in range(1, width + 1) if chunks * -(-width // n) <= emits)
    return sorted({1, next(enough, width)})
