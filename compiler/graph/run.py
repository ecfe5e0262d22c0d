"""Runs an integer graph on NumPy arrays: the oracle everything else is compared with."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.frozen import IntNd, as_int64
from hwc.compiler.graph.graph import Graph
from hwc.compiler.graph.types import Type

SLICE = 1 << 20
"""Elements of the largest value computed at once, so that memory is bounded and caches help."""

FEWEST = 8
"""Samples computed at once all the same, so that weights are not prepared for each alone."""


def run(
    graph: Graph, x: ArrayLike | Mapping[str, ArrayLike], taps: tuple[str, ...] = ()
) -> dict[str, IntNd]:
    """Values of the graph's outputs (and of the names in `taps`), int64, batch axis first.

    `x` is one array per input name, or the array itself if the graph has one input. GraphError if a
    name, dtype, shape or value is not what the graph's inputs say.
    """
    values = check_inputs(graph, x)
    wanted = tuple(dict.fromkeys((*graph.outputs, *taps)))
    for name in wanted:
        if name not in graph.types:
            raise GraphError(f"tap '{name}' does not exist; the graph has {list(graph.types)[:8]}")
    step = max(FEWEST, SLICE // max(type_.size for type_ in graph.types.values()))
    parts = [
        _run_slice(graph, {name: array[i : i + step] for name, array in values.items()}, wanted)
        for i in range(0, len(next(iter(values.values()))), step)
    ]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in wanted}


def _run_slice(graph: Graph, values: dict[str, IntNd], wanted: tuple[str, ...]) -> dict[str, IntNd]:
    """Values of the wanted names for some samples; others are dropped after their last use."""
    last = {arg: i for i, node in enumerate(graph.nodes) for arg in node.args}
    for i, node in enumerate(graph.nodes):
        values[node.name] = node.op.reference(*(values[arg] for arg in node.args))
        for arg in set(node.args):
            if last[arg] == i and arg not in wanted:
                del values[arg]
    return {name: values[name] for name in wanted}


def check_inputs(graph: Graph, x: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, IntNd]:
    """The input arrays as int64 by name, checked against the graph's input types."""
    names = [name for name, _ in graph.inputs]
    _ = graph.types
    if not isinstance(x, Mapping):
        if len(names) != 1:
            raise GraphError(f"the graph has inputs {names}: give a dict with one array for each")
        x = {names[0]: x}
    if set(x) != set(names):
        raise GraphError(f"inputs must be {names}, got {sorted(map(str, x))}")
    arrays = {name: check_value(name, type_, x[name]) for name, type_ in graph.inputs}
    batches = {name: len(array) for name, array in arrays.items()}
    if len(set(batches.values())) > 1:
        raise GraphError(f"inputs must have one batch size, got {batches}")
    return arrays


def check_value(name: str, type_: Type, value: ArrayLike) -> IntNd:
    """`value` as int64 if it is a batch of `type_`; GraphError with the first wrong element."""
    array = as_int64(value, f"input '{name}'")
    if array.shape[1:] != type_.shape or array.ndim != len(type_.shape) + 1:
        hint = "; add a batch axis: x[None]" if array.shape == type_.shape else ""
        raise GraphError(
            f"input '{name}': shape (batch, {', '.join(map(str, type_.shape))}) is needed, "
            f"got {array.shape}{hint}"
        )
    if len(array) == 0:
        raise GraphError(f"input '{name}': at least one sample is needed, got {array.shape}")
    wrong = (array < type_.lo) | (array > type_.hi)
    if type_.bipolar:
        wrong |= array == 0
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        legal = "-1 or +1" if type_.bipolar else f"in [{type_.lo}, {type_.hi}]"
        raise GraphError(
            f"input '{name}': values must be {legal}, got {array[index]} at index {index}"
        )
    return array
