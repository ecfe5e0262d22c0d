"""What lowering returns: the integer graph, and how its inputs and values relate to the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Graph, Type
from hwc.compiler.lower.exact import Vector
from hwc.compiler.lower.geometry import channels_last
from hwc.compiler.lower.steps import Step
from hwc.compiler.lower.value import LowerError, Second, Value
from hwc.compiler.source import Shape

__all__ = ["Encoding", "Lowered", "Reading"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Encoding:
    """How values given to a source input become the integers of the graph input `name`.

    kind "raw": they are integers already. "quantize": code = clip(round_half_even(x / scale) +
    zero, lo, hi) in float64, with the zero inside the rounding if `joint`; "sign": +1 if x >= 0
    else -1. Channels move to the last axis. `scale`
    has one entry or one per channel.
    """

    name: str
    kind: Literal["raw", "quantize", "sign"]
    shape: Shape
    type: Type
    scale: tuple[float, ...] = (1.0,)
    zero: int = 0
    joint: bool = False

    def encode(self, x: Any) -> Ints:
        """(batch, *shape) in torch's layout -> (batch, *type.shape) int64."""
        x = np.asarray(x)
        if x.shape[1:] != self.shape:
            raise LowerError(f"input {self.name}: shape {x.shape} must be (batch, *{self.shape})")
        x = np.moveaxis(x, 1, -1)
        if self.kind == "sign":
            return np.where(x >= 0, 1, -1).astype(np.int64)
        if self.kind == "quantize":
            x = x.astype(np.float64) / np.array(self.scale)
            x = np.rint(x + self.zero) if self.joint else np.rint(x) + self.zero
            return np.clip(x, self.type.lo, self.type.hi).astype(np.int64)
        codes = x.astype(np.int64)
        if (codes != x).any() or codes.min() < self.type.lo or codes.max() > self.type.hi:
            raise LowerError(
                f"input {self.name}: values must be integers in [{self.type.lo}, {self.type.hi}]"
            )
        return codes

    def decode(self, codes: Ints) -> np.ndarray:
        """Values in torch's layout that `encode` turns into these codes."""
        if self.kind == "raw":
            return np.moveaxis(codes, -1, 1)
        return np.moveaxis((codes - self.zero) * np.array(self.scale), -1, 1)


@dataclass(frozen=True, eq=False)
class Reading:
    """How the codes of graph value `node` are read as the source value `source`, exactly.

    real = clip(slope * code + offset, low, high) with one entry, or one per index of the graph's
    last axis; then element j of torch is element order[j] of the graph (flat values; None: the
    same), or the channels move first (maps). `shape` is torch's. With a `second` line the larger
    or smaller of both is clipped; `steps` follow, in floats.
    """

    source: str
    node: str
    shape: Shape
    slope: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    low: tuple[Fraction | float, ...]
    high: tuple[Fraction | float, ...]
    order: tuple[int, ...] | None = None
    second: Second | None = None
    steps: tuple[Step, ...] = ()

    @staticmethod
    def of(source: str, value: Value, shape: Shape) -> Reading:
        """The reading of a pending value."""
        order = None if value.order is None else tuple(int(i) for i in value.order)
        vectors: list[Vector] = [value.slope, value.offset, value.low, value.high]
        slope, offset, low, high = (tuple(v.tolist()) for v in vectors)
        return Reading(
            source,
            value.node,
            shape,
            slope,
            offset,
            low,
            high,
            order,
            value.second,
            value.steps,
        )

    def decode(self, codes: Ints) -> NDArray[np.float64]:
        """(batch, *graph shape) -> (batch, *shape) in float64.

        Exact where the constants and the result are float64 numbers.
        """
        slope, offset, low, high = (
            np.array([float(v) for v in vector])
            for vector in (self.slope, self.offset, self.low, self.high)
        )
        real = codes * slope + offset
        if self.second is not None:
            slope, offset = (np.array([float(v) for v in w]) for w in self.second.vectors[:2])
            other = codes * slope + offset
            largest = self.second.largest.astype(bool)
            real = np.where(largest, np.maximum(real, other), np.minimum(real, other))
        real = np.clip(real, low, high)
        for step in self.steps:
            real = step.floats(real)
        return self.arrange(real)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Any values in the graph's layout, in torch's."""
        if self.order is not None:
            return values[:, list(self.order)]
        return np.moveaxis(values, -1, 1) if values.ndim > 2 else values

    @property
    def step(self) -> np.ndarray:
        """|slope| in torch's layout, shaped to broadcast against (batch, *shape), float64."""
        graph_shape = channels_last(self.shape)
        width = np.array([abs(float(v)) for v in self.slope])
        return self.arrange(np.broadcast_to(width, (1, *graph_shape)))


@dataclass(frozen=True, eq=False)
class Lowered:
    """An integer graph that computes a source.

    `inputs` are in the source's order; `outputs` are the source's outputs, `values` every
    activation of the source whose codes the graph holds (name -> reading), `notes` what a user
    should know (wide multipliers, thresholds in place of multipliers ...).
    """

    graph: Graph
    inputs: tuple[Encoding, ...]
    outputs: tuple[Reading, ...]
    values: Mapping[str, Reading]
    notes: tuple[str, ...] = ()

    def encode(self, inputs: Mapping[str, Any]) -> dict[str, Ints]:
        """Source inputs as the graph's."""
        return {e.name: e.encode(inputs[e.name]) for e in self.inputs}
