"""Builds float source graphs, and checks that what calibration makes of them is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate import Calibrated, Config, calibrate
from hwc.compiler.graph import MultiThreshold
from hwc.compiler.lower import Lowered, agree, lower
from hwc.compiler.source import BatchNorm, Conv, Input, Linear, Source, SourceNode, SourceOp


class FloatNet:
    """A float source under construction, with a seeded generator for its constants."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Input] = []
        self.nodes: list[SourceNode] = []
        self.tensors: dict[str, np.ndarray] = {}

    def input(self, *shape: int, scale: float | None = 1 / 255, lo: int = 0, hi: int = 255) -> str:
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

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value."""
        return self.source(name).shapes[name]

    def linear(self, x: str, outputs: int, bias: bool = True) -> str:
        """A Linear with random weights."""
        (inputs,) = self.shape(x)
        weight = self.rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        args = [self.tensor(weight)]
        args += [self.tensor(self.rng.normal(size=outputs) / 4)] if bias else []
        return self.op(Linear(), x, *args)

    def conv(self, x: str, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        """A padded Conv with random weights of uneven channels."""
        inputs = self.shape(x)[0] // groups
        weight = self.rng.normal(size=(outputs, inputs, kernel, kernel))
        weight *= self.rng.uniform(0.3, 3, (outputs, 1, 1, 1)) / (kernel * np.sqrt(inputs))
        bias = self.tensor(self.rng.normal(size=outputs) / 4)
        op = Conv((stride, stride), (kernel // 2,) * 4, (1, 1), groups)
        return self.op(op, x, self.tensor(weight), bias)

    def norm(self, x: str) -> str:
        """A batch-norm with slopes of both signs."""
        c = self.shape(x)[0]
        gamma = self.rng.normal(1, 0.5, c)
        beta, mean = self.rng.normal(size=(2, c)) / 4
        var = self.rng.uniform(0.3, 2, c)
        return self.op(BatchNorm(), x, *(self.tensor(v) for v in (gamma, beta, mean, var)))

    def source(self, *outputs: str) -> Source:
        """The graph with these outputs, and no unused tensors."""
        used = {arg for node in self.nodes for arg in node.args}
        tensors = {k: v for k, v in self.tensors.items() if k in used}
        return Source(tuple(self.inputs), tuple(self.nodes), outputs, tensors)

    def frames(self, count: int, seed: int = 1) -> dict[str, np.ndarray]:
        """Random inputs, the extremes of raw ones among them."""
        rng = np.random.default_rng(seed)
        found = {}
        for item in self.inputs:
            if item.scale is None:
                found[item.name] = rng.normal(size=(count, *item.shape))
                continue
            x = rng.integers(item.lo, item.hi + 1, (count, *item.shape))
            x[0], x[-1] = item.lo, item.hi
            found[item.name] = x
        return found


def check_calibrated(
    net: FloatNet, config: Config, *outputs: str, count: int = 24
) -> tuple[Calibrated, Lowered]:
    """Calibrate and lower; the integers must be those of float64 on other frames, and activations
    of 5 bits or more must not need threshold tables."""
    calibrated = calibrate(net.source(*outputs), net.frames(count), config)
    lowered = lower(calibrated.source)
    report = agree(calibrated.source, lowered, net.frames(count, seed=2))
    assert report.differing == 0, f"{report}\n{calibrated.source}"
    assert report.activation_rate == 0, f"{report}\n{calibrated.source}"
    if config.act_bits > 4:
        wide = [
            node.name
            for node in lowered.graph.nodes
            if isinstance(node.op, MultiThreshold) and node.op.levels > 15
        ]
        assert not wide, f"{wide}\n{calibrated.source}"
    return calibrated, lowered


@pytest.fixture
def net() -> FloatNet:
    """An empty net."""
    return FloatNet()


@pytest.fixture(scope="session")
def new_net() -> Callable[[int], FloatNet]:
    """Makes an empty net from a seed."""
    return FloatNet


@pytest.fixture(scope="session")
def check() -> Callable[..., tuple[Calibrated, Lowered]]:
    """`check_calibrated`."""
    return check_calibrated
