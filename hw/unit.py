"""What every hardware unit states about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from numpy.typing import NDArray

from hwc.compiler.graph import Graph, Type
from hwc.compiler.graph.errors import HwcError
from hwc.hw.layout import Layout
from hwc.hw.resources import Resources
from hwc.hw.schedule import Schedule
from hwc.hw.sequencer import Control

__all__ = ["Datapath", "Resources", "Unit", "UnitError", "extremes"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class UnitError(HwcError):
    """A unit was asked for parameters that it cannot be built with."""


class Unit(ABC):
    """An integer operation together with one way of computing it.

    Units are frozen dataclasses: cheap to make by the thousand while exploring, hashable and
    printable. Nothing is elaborated until :meth:`component` is called.
    """

    @abstractmethod
    def graph(self) -> Graph:
        """The exact meaning; inputs and outputs are named as the ports, in port order.

        An output port of the unit is a node of the graph with the port's name.
        """

    @abstractmethod
    def inputs(self) -> dict[str, Layout]:
        """Layout of each input port."""

    @abstractmethod
    def outputs(self) -> dict[str, Layout]:
        """Layout of each output port."""

    @abstractmethod
    def schedule(self) -> Schedule:
        """When it works: the whole timing contract."""

    @abstractmethod
    def resources(self) -> Resources:
        """Estimated primitives on a 7-series part: datapath and control, queues excluded."""

    @abstractmethod
    def levels(self) -> int:
        """Worst register-to-register path of the datapath, in LUT and carry levels."""

    @abstractmethod
    def component(self) -> Datapath:
        """The datapath."""

    @property
    def variant(self) -> str:
        """How it computes, where an operation can be computed in several ways; ``--unit`` takes
        these names."""
        return ""

    def stored_bits(self) -> int:
        """Bits of weights in its memories; wired weights are none."""
        return 0

    def describe(self) -> str:
        """The fold in a few words, for reports; by default the tiles of input and output."""
        ports = (*self.inputs().values(), *self.outputs().values())
        tiles = dict.fromkeys("x".join(str(t) for t in p.tile if t > 1) or "1" for p in ports)
        return " -> ".join(tiles)

    @classmethod
    @abstractmethod
    def examples(cls) -> Iterator[Self]:
        """Small configurations, serial to parallel and with tails, that conformance builds."""

    def stimulus(self, rng: np.random.Generator, batch: int) -> dict[str, Ints]:
        """Frames per input port that exercise the unit: uniform ones and extreme ones.

        Override where the edges of the *output* (a threshold, a saturation) need aiming at.
        """
        return {name: extremes(layout.type, rng, batch) for name, layout in self.inputs().items()}

    def conditions(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        """Value of each condition in every firing: ``bool[batch * firings]`` of its process.

        Only units of which masks or the ends of loops depend on data override this. What is said of
        firings that are skipped does not matter.
        """
        del frames
        return {}

    def present(self, frames: dict[str, Ints]) -> dict[str, Bools]:
        """Per port that data may pass over: which of the frames travel through it, ``bool[batch]``.

        :meth:`graph` speaks of all frames, as if everything were computed; a unit that steers
        (an early exit) sends, or expects, only the frames that are present. All by default.
        """
        del frames
        return {}


def extremes(type: Type, rng: np.random.Generator, batch: int) -> Ints:
    """``batch`` tensors of ``type``: uniform, all lowest, all highest, and a mix of both ends."""
    x = rng.integers(type.lo, type.hi + 1, (batch, *type.shape), dtype=np.int64)
    ends = np.array([type.lo, type.hi])
    for i in range(1, batch, 2):
        match i // 2 % 3:
            case 0:
                x[i] = ends[rng.integers(0, 2, type.shape)]
            case 1:
                x[i] = type.lo
            case _:
                x[i] = type.hi
    if type.bipolar:
        x = np.where(x > 0, 1, -1)
    return x


class Datapath(wiring.Component):
    """The arithmetic of a unit and nothing else: it never sees valid, ready or a stall.

    ``ctl[process]`` carries the fire bit and the loop indices of the current firing, ``x[port]``
    the beat that this firing takes; ``y[port]`` has to hold the beat that a firing gives exactly
    ``latency[port]`` cycles later, and ``cond[name]`` each condition bit in the firing's cycle.
    """

    def __init__(self, unit: Unit) -> None:
        super().__init__({})
        schedule = unit.schedule()
        self.ctl = {p.name: Control.of(p) for p in schedule.processes}
        self.x = {k: Signal(v.width, name=f"x_{k}") for k, v in unit.inputs().items()}
        self.y = {k: Signal(v.width, name=f"y_{k}") for k, v in unit.outputs().items()}
        names = dict.fromkeys(c for p in schedule.processes for c in p.conditions)
        self.cond = {c: Signal(name=f"cond_{c}") for c in names}

    @abstractmethod
    def elaborate(self, platform: object) -> Module:
        """The logic between these signals."""
