"""Counts how often a floating-point forward and the integer graph give different codes.

In float64 a snapped network gives none. In float32 sums and products round, so values next to a
quantizer's tie may fall on the other side; how many is a property of the data, so it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwc.compiler.graph import run
from hwc.compiler.lower.result import Lowered, Reading
from hwc.compiler.lower.value import LowerError
from hwc.compiler.source import Bipolar, Quant, Source, evaluate

__all__ = ["Agreement", "Difference", "agree"]

Forward = Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """One source value: elements compared, and how many read as another code."""

    name: str
    total: int
    differing: int


@dataclass(frozen=True)
class Agreement:
    """The comparison of `samples` inputs, value by value."""

    samples: int
    outputs: tuple[Difference, ...]
    activations: tuple[Difference, ...]

    @property
    def differing(self) -> int:
        """Differing elements of all outputs."""
        return sum(d.differing for d in self.outputs)

    @property
    def activation_rate(self) -> float:
        """Differing share of the quantized activations."""
        total = sum(d.total for d in self.activations)
        return sum(d.differing for d in self.activations) / total if total else 0.0

    def __str__(self) -> str:
        rows = [
            f"{d.name}: {d.differing} of {d.total} differ" for d in self.outputs + self.activations
        ]
        return "\n".join([f"{self.samples} samples", *rows])


def agree(
    source: Source,
    lowered: Lowered,
    inputs: Mapping[str, Any],
    dtype: Any = np.float64,
    forward: Forward | None = None,
    batch: int = 64,
) -> Agreement:
    """Compare the integer graph with `evaluate(source, ..., dtype)`, or with `forward`.

    `forward` takes source inputs and returns values by source name: the outputs at least (a torch
    module, say). Every output and every quantizer's value that is present is compared: an element
    differs if it lies more than half a step from the value of its code.
    """
    arrays = {name: np.asarray(x) for name, x in inputs.items()}
    count = len(next(iter(arrays.values())))
    outputs = [r.source for r in lowered.outputs]
    quantizers = [
        node.name
        for node in source.nodes
        if isinstance(node.op, (Quant, Bipolar)) and node.name in lowered.values
    ]
    names = tuple(dict.fromkeys(outputs + quantizers))
    totals, differing = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    taps = tuple(dict.fromkeys(lowered.values[name].node for name in names))
    for start in range(0, count, batch):
        part = {name: x[start : start + batch] for name, x in arrays.items()}
        integers = run(lowered.graph, lowered.encode(part), taps)
        expected = forward(part) if forward else evaluate(source, part, dtype, names)
        for name in names:
            if name in expected:
                reading = lowered.values[name]
                wrong = _differs(reading, integers[reading.node], np.asarray(expected[name]))
                totals[name] += wrong.size
                differing[name] += int(wrong.sum())
            elif name in outputs:
                raise LowerError(f"forward gave no output '{name}', only {sorted(expected)}")
    found = {n: Difference(n, totals[n], differing[n]) for n in names if totals[n]}
    return Agreement(
        count,
        tuple(found[n] for n in outputs),
        tuple(found[n] for n in quantizers if n in found),
    )


def _differs(reading: Reading, codes: np.ndarray, expected: np.ndarray) -> np.ndarray:
    value = reading.decode(codes)
    expected = expected.astype(np.float64).reshape(value.shape)
    # A constant channel has no step: allow for the rounding of float32.
    tolerance = np.maximum(reading.step / 2, 1e-6 * np.abs(value))
    return np.abs(expected - value) > tolerance
