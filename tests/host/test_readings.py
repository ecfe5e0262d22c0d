"""The driver reads integers as the compiler does: second lines, steps, orders."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.bundle import check_outputs, reading_section
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import lower
from hwc.compiler.source import (
    Affine,
    Flatten,
    Function,
    HardTanh,
    Input,
    PRelu,
    Softmax,
    Source,
    SourceNode,
)
from hwc.host.readings import Reading

CHAINS = {
    "leaky": [(PRelu(), ["slope"])],
    "leaky_both_ways": [(Affine(), ["signs", "shift"]), (PRelu(), ["mixed"])],
    "falling": [(PRelu(), ["falling"]), (Affine(), ["signs", "shift"])],
    "sigmoid": [(Function("sigmoid"), []), (Affine(), ["signs", "shift"])],
    "tanh": [(Function("tanh"), []), (HardTanh(-0.5, 0.75), [])],
    "softmax": [(Softmax(), [])],
    "flat": [(Affine(), ["signs", "shift"]), (Flatten(), [])],
}
TENSORS = {
    "slope": np.array(0.25),
    "mixed": np.array([0.25, 1.5, 1.0]),
    "falling": np.array([0.5, -0.5, 0.0]),
    "signs": np.array([1.0, -2.0, 0.5]),
    "shift": np.array([0.25, -1.0, 0.125]),
}


def chained(name: str) -> Source:
    """A source that applies one chain to an integer map."""
    nodes, last = [], "x"
    for i, (op, constants) in enumerate(CHAINS[name]):
        nodes.append(SourceNode(f"n{i}", op, (last, *constants)))
        last = f"n{i}"
    return Source((Input("x", (3, 2, 4), 1 / 16, -60, 60),), tuple(nodes), (last,), TENSORS)


@pytest.mark.parametrize("name", CHAINS)
def test_the_driver_reads_what_the_compiler_means(name: str) -> None:
    lowered = lower(chained(name))
    (reading,) = lowered.outputs
    check_outputs(lowered)
    codes = np.random.default_rng(0).integers(
        -60, 61, (50, *lowered.graph.types[reading.node].shape)
    )
    got = Reading.of(reading_section(reading)).real(codes)
    np.testing.assert_allclose(got, reading.decode(codes), rtol=1e-12)


def test_curves_that_the_driver_does_not_know_are_refused() -> None:
    nodes = (SourceNode("y", Function("gelu"), ("x",)),)
    lowered = lower(Source((Input("x", (3,), 1 / 16, -60, 60),), nodes, ("y",)))
    with pytest.raises(HwcError, match=r"output 'y' ends in gelu, .* knows sigmoid, tanh and"):
        check_outputs(lowered)
