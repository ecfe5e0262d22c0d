"""What units that compute element by element on several streams have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from hwc.compiler.graph import Graph, Node, Op, Type
from hwc.hw.layout import Layout
from hwc.hw.schedule import Mask, Nest, Schedule
from hwc.hw.unit import Unit

__all__ = ["Joined"]


@dataclass(frozen=True)
class Joined(Unit):
    """``op`` on ports ``x0``, ``x1``, ... of ``types``, to port ``y``, all in one ``tile``.

    A firing takes one beat from each, and gives one ``delay`` cycles later.
    """

    op: Op
    types: tuple[Type, ...]
    tile: tuple[int, ...]

    @property
    @abstractmethod
    def delay(self) -> int:
        """Cycles from a firing to its beat."""

    def graph(self) -> Graph:
        names = tuple(self.inputs())
        inputs = tuple(zip(names, self.types, strict=True))
        return Graph(inputs, (Node("y", self.op, names),), ("y",))

    def inputs(self) -> dict[str, Layout]:
        return {f"x{i}": Layout(x, self.tile) for i, x in enumerate(self.types)}

    def outputs(self) -> dict[str, Layout]:
        return {"y": Layout(self.op.infer(*self.types), self.tile)}

    def schedule(self) -> Schedule:
        nest = Nest(
            loops=(("beat", self.outputs()["y"].beats),),
            takes={name: Mask.always() for name in self.inputs()},
            gives={"y": Mask.always()},
        )
        return Schedule.single(nest, self.delay)
