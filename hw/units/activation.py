"""Activations as a unit of their own: thresholds or requantization of a stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
from amaranth.hdl import Cat, Module

from hwc.compiler.graph import Graph, MultiThreshold, Node, Requant, TwoSlope, Type
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Schedule, Sum
from hwc.hw.unit import Datapath, Ints, Resources, Unit, UnitError, extremes
from hwc.hw.units.act import ActOp, ActSpec, Form, edges
from hwc.hw.units.control import control_resources
from hwc.hw.units.multiply import Style
from hwc.hw.units.parts import distinct, pipe

__all__ = ["Activation"]

Made = TypeVar("Made", bound="Activation")


@dataclass(frozen=True)
class Activation(Unit):
    """``op`` (MultiThreshold, Requant or TwoSlope) on each beat of ``x``, beat by beat.

    Ports ``x`` and ``y`` have the same tile: ``tile[-1]`` channels side by side, the rest pixels.
    Latency: one cycle (none for requantization in DSP blocks, which have a register of their own)
    plus that of the :class:`~hwc.hw.units.act.ActSpec`.
    """

    op: ActOp
    x: Type
    tile: tuple[int, ...]
    style: Style = "auto"
    form: Form = "auto"
    max_levels: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.op, ActOp):
            raise UnitError(
                "Activation: the op is MultiThreshold, Requant or TwoSlope, not "
                f"{type(self.op).__name__}"
            )
        _ = Layout(self.x, self.tile), self.spec

    @cached_property
    def spec(self) -> ActSpec:
        """The pipeline."""
        copies = math.prod(self.tile[:-1])
        return ActSpec(
            self.op, self.x, self.tile[-1], copies, self.style, self.form, self.max_levels
        )

    def graph(self) -> Graph:
        return Graph((("x", self.x),), (Node("y", self.op, ("x",)),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {"x": Layout(self.x, self.tile)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.spec.y, self.tile)}

    def schedule(self) -> Schedule:
        *outer, channel = self.inputs()["x"].steps
        nest = Nest(
            loops=(("pixel", math.prod(outer)), ("channel", channel)),
            takes={"x": Mask.always()},
            gives={"y": Mask.always()},
            addresses={"step": Sum.affine(channel=1)},
        )
        return Schedule.single(nest, self.spec.lead + self.spec.latency)

    def resources(self) -> Resources:
        spec = self.spec
        held = spec.copies * spec.lanes * spec.reads if spec.lead else 0
        schedule = self.schedule()
        if not spec.addressed:
            nest = schedule.processes[0].nests[0]
            schedule = Schedule.single(replace(nest, addresses={}), schedule.latency["y"])
        return spec.resources() + control_resources(schedule, ()) + Resources(0, held, 0, 0)

    def levels(self) -> int:
        return math.ceil(self.spec.worst_levels)

    def component(self) -> Datapath:
        return _Path(self)

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        x = extremes(self.x, rng, batch)
        if not self.x.bipolar:
            channel = np.broadcast_to(np.arange(self.x.shape[-1]), x.shape)
            aimed = edges(self.op, self.x, channel, rng)
            x = np.where(rng.random(x.shape) < 0.75, aimed, x)
        return {"x": x}

    @classmethod
    def candidates(
        cls, op: ActOp, x: Type, *, max_levels: int = 6, limit: int = 60
    ) -> Iterator[Self]:
        """From one element a beat to a whole row of pixels, one for each distinct beat count."""
        channels = x.shape[-1]
        row = x.shape[-2] if len(x.shape) > 1 else 1
        folds = [(1, lanes) for lanes in distinct(channels)]
        folds += [(pixels, channels) for pixels in distinct(row)[1:]]
        for pixels, lanes in folds[:limit]:
            tile = (lanes,) if len(x.shape) == 1 else (*_ones(x), pixels, lanes)
            yield cls(op, x, tile, max_levels=max_levels)

    @classmethod
    def examples(cls) -> Iterator[Self]:
        yield from _examples(cls)


def _ones(x: Type) -> tuple[int, ...]:
    return (1,) * (len(x.shape) - 2)


class _Path(Datapath):
    def __init__(self, unit: Activation) -> None:
        self.unit = unit
        super().__init__(unit)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, layout = self.unit.spec, self.unit.inputs()["x"]
        beat = pipe(m, self.x["x"], spec.lead, "x")
        width = layout.type.width
        x = [beat[i * width : (i + 1) * width] for i in range(layout.elements)]
        y = spec.build(m, x, self.ctl["main"].address["step"])
        m.d.comb += self.y["y"].eq(Cat(*y))
        return m


def _examples(make: type[Made]) -> Iterator[Made]:
    rng = np.random.default_rng(7)

    def thresholds(
        channels: int,
        count: int,
        span: tuple[int, int],
        descending: tuple[bool, ...] = (False,),
        lo: int = 0,
        step: int = 1,
    ) -> MultiThreshold:
        table = np.sort(rng.integers(*span, (channels, count)), axis=1)
        return MultiThreshold(table, descending, lo, step)

    signs = tuple(bool(b) for b in rng.integers(0, 2, 7))
    acc = Type((3, 2, 7), -300, 290)
    yield make(thresholds(7, 1, (-250, 250), signs, lo=-1, step=2), acc, (1, 1, 3))
    yield make(thresholds(7, 1, (-250, 250), lo=-1, step=2), acc, (1, 2, 7))
    yield make(thresholds(7, 3, (-250, 250), signs), acc, (1, 2, 2))
    yield make(thresholds(7, 15, (-320, 320), signs), acc, (1, 1, 2))
    yield make(thresholds(7, 7, (-280, 280), lo=-8), acc, (3, 2, 3), form="parallel")
    yield make(thresholds(7, 6, (-400, 400), signs, lo=-5, step=3), acc, (1, 1, 1))
    yield make(thresholds(7, 6, (-40, 40), signs, lo=-5, step=3), acc, (1, 2, 3), form="parallel")
    yield make(thresholds(1, 255, (0, 4000)), Type((10,), 0, 4095), (4,))
    yield make(thresholds(10, 77, (0, 4000), (True,), lo=3), Type((10,), 0, 4095), (4,))
    yield make(thresholds(1, 15, (-200, 200)), acc, (1, 2, 4), max_levels=3)
    yield make(thresholds(2, 1, (0, 1), (True, False)), Type((2,), -1, 1, True), (2,))
    yield make(thresholds(600, 3, (-280, 280)), Type((600,), -300, 290), (1,))
    yield from _requants(make, rng)


def _requants(make: type[Made], rng: np.random.Generator) -> Iterator[Made]:
    acc = Type((3, 2, 5), -3000, 2900)
    m, b = rng.integers(-90, 90, 5), rng.integers(-9000, 9000, 5)
    for rounding in ("half_even", "half_up", "floor"):
        yield make(Requant(m, b, 10, -128, 127, rounding), acc, (1, 1, 2))
    # Small multipliers make ties common, odd limits make them matter at saturation.
    ties = Requant(rng.integers(1, 4, 5) * 2 + 1, rng.integers(-3, 3, 5) * 2, 4, -127, 127)
    yield make(ties, acc, (1, 2, 5))
    yield make(ties, acc, (1, 1, 3), style="lut")
    yield make(ties, acc, (1, 1, 3), style="dsp")
    yield make(Requant(m, b, 10, -7, 8), acc, (1, 2, 3), max_levels=3)
    yield make(Requant([1], [0], 4, 0, 255), acc, (1, 1, 5))
    yield make(Requant([48], [16], 4, -128, 127, "half_even"), acc, (3, 1, 4))
    yield make(Requant([3], [-7], 0, -100, 200), acc, (1, 1, 1))
    wide = Type((4,), -(2**33), 2**33 - 5)
    big = rng.integers(-(2**17), 2**17, 4)
    yield make(Requant(big, rng.integers(-(2**40), 2**40, 4), 40, -128, 127), wide, (3,))
    steep = Requant(rng.integers(-(2**24), 2**24, 4), [2**20], 36, 0, 255)
    yield make(steep, Type((4,), 0, 2**21), (2,), style="dsp")
    yield make(Requant([2**27 + 1], [5], 30, 0, 255), Type((4,), 0, 2**9), (2,))
    yield from _two_slopes(make, rng)


def _two_slopes(make: type[Made], rng: np.random.Generator) -> Iterator[Made]:
    acc = Type((3, 2, 5), -3000, 2900)
    m, b = rng.integers(40, 90, 5), rng.integers(-900, 900, 5)
    rise = Requant(m, b, 10, -128, 127)
    yield make(TwoSlope(rise, Requant(m // 4, b // 4, 10, -128, 127)), acc, (1, 1, 2))
    mixed = (True, False, True, True, False)
    fall = Requant([7], [0], 6, -128, 127, "floor")
    yield make(TwoSlope(rise, fall, mixed), acc, (1, 1, 2))
    yield make(TwoSlope(rise, fall, mixed), acc, (1, 2, 5), style="dsp")
    flat = Requant([0], [9], 0, 0, 255)
    yield make(TwoSlope(Requant([1], [0], 4, 0, 255), flat, (False,)), acc, (1, 1, 3))
