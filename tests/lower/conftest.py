"""Builds small source graphs, and checks their lowering against exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import run
from hwc.compiler.lower import Lowered, Reading, hardware, lower
from hwc.compiler.source import Input, Quant, Source, SourceNode, SourceOp, evaluate


class Net:
    """A source graph under construction, with a seeded generator for its constants."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Input] = []
        self.nodes: list[SourceNode] = []
        self.tensors: dict[str, np.ndarray] = {}

    def input(self, *shape: int, scale: float | None = 1 / 256, lo: int = 0, hi: int = 255) -> str:
        """Add an input; returns its name."""
        name = f"in{len(self.inputs)}"
        self.inputs.append(Input(name, shape, scale, lo, hi))
        return name

    def tensor(self, values: Any) -> str:
        """Add a tensor; returns its name."""
        name = f"t{len(self.tensors)}"
        self.tensors[name] = np.asarray(values, dtype=np.float64)
        return name

    def op(self, op: SourceOp, *args: str) -> str:
        """Apply an op; returns the node's name."""
        name = f"n{len(self.nodes)}_{type(op).__name__.lower()}"
        self.nodes.append(SourceNode(name, op, args))
        return name

    def quant(self, x: str, lo: int, hi: int, scale: Any = 1.0, zero: int = 0) -> str:
        """Quantize an activation, per channel if the scale is a vector."""
        axis = 1 if np.ndim(scale) else None
        return self.op(Quant(lo, hi, zero, axis), x, self.tensor(scale))

    def weight(self, *shape: int, top: int = 3, scale: Any = 0.25) -> str:
        """Random weight codes in [-top, top] behind a Quant; per output channel for a vector."""
        axis = 0 if np.ndim(scale) else None
        codes = self.rng.integers(-top, top + 1, shape)
        spread = np.reshape(scale, (-1,) + (1,) * (len(shape) - 1))
        return self.op(Quant(-top, top, 0, axis), self.tensor(codes * spread), self.tensor(scale))

    def source(self, *outputs: str) -> Source:
        """The graph with these outputs."""
        return Source(tuple(self.inputs), tuple(self.nodes), outputs, self.tensors)

    def lower(self, *outputs: str) -> Lowered:
        """Lowering of the graph with these outputs."""
        return lower(self.source(*outputs))

    def samples(self, source: Source, batch: int) -> dict[str, np.ndarray]:
        """Random inputs, the extremes among them."""
        found = {}
        for item in source.inputs:
            if item.scale is None:
                found[item.name] = np.round(self.rng.normal(size=(batch, *item.shape)) * 8) / 8
                continue
            x = self.rng.integers(item.lo, item.hi + 1, (batch, *item.shape))
            x[0], x[-1] = item.lo, item.hi
            found[item.name] = x
        return found


def read_exactly(reading: Reading, codes: np.ndarray) -> np.ndarray:
    """The rationals that codes stand for, in torch's layout."""
    slope, offset, low, high = (
        np.array(v, dtype=object)
        for v in (reading.slope, reading.offset, reading.low, reading.high)
    )
    codes = codes.astype(object)
    real = codes * slope + offset
    if reading.second is not None:
        other = codes * reading.second.slope + reading.second.offset
        largest = reading.second.largest.astype(bool)
        real = np.where(largest, np.maximum(real, other), np.minimum(real, other))
    real = np.minimum(np.maximum(real, low), high)
    channels: int = codes.shape[-1]
    for step in reading.steps:
        values = [
            step.exact(v if v in (-np.inf, np.inf) else Fraction(v), i % channels)
            for i, v in enumerate(real.ravel())
        ]
        out = np.empty(len(values), dtype=object)
        out[:] = values
        real = out.reshape(codes.shape)
    return reading.arrange(real)


def check_exact(net: Net, *outputs: str, batch: int = 12) -> Lowered:
    """Every value that the graph holds equals the source in exact arithmetic; so do the passes."""
    source = net.source(*outputs)
    lowered = lower(source)
    x = net.samples(source, batch)
    names = tuple(lowered.values)
    expected = evaluate(source, x, object, names)
    codes = lowered.encode(x)
    got = run(lowered.graph, codes, tuple(r.node for r in lowered.values.values()))
    for name, reading in lowered.values.items():
        real = read_exactly(reading, got[reading.node])
        wrong = np.argwhere(real != expected[name])
        assert not wrong.size, (
            f"{name}: {len(wrong)} of {real.size} differ, first at {wrong[0]}: "
            f"got {real[tuple(wrong[0])]}, expected {expected[name][tuple(wrong[0])]}\n{source}"
        )
    after = run(hardware(lowered.graph), codes)
    for name, value in after.items():
        np.testing.assert_array_equal(value, got[name])
    return lowered


@pytest.fixture(scope="session")
def new_net() -> Callable[[int], Net]:
    """Makes an empty net from a seed."""
    return Net


@pytest.fixture
def net() -> Net:
    """An empty net."""
    return Net()


@pytest.fixture(scope="session")
def check() -> Callable[..., Lowered]:
    """`check_exact`."""
    return check_exact
