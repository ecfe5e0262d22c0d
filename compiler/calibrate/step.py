"""Evaluation of one node on many frames, in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwc.compiler.calibrate.observe import BATCH_BYTES, frame_bytes
from hwc.compiler.source import Input, Source, SourceNode, evaluate

__all__ = ["activations", "apply"]


def activations(node: SourceNode) -> tuple[str, ...]:
    """The arguments of a node that are activations."""
    count = node.op.activations
    return node.args if count is None else node.args[:count]


def apply(
    node: SourceNode, xs: Sequence[np.ndarray], constants: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The node's value for activations `xs` (frames, *shape), in float64."""
    count = len(activations(node))
    rest = {name: constants[name] for name in node.args[count:]}
    names = [f"x{i}" for i in range(count)]
    while set(names) & set(rest):
        names = [f"{name}x" for name in names]
    inputs = [Input(name, x.shape[1:]) for name, x in zip(names, xs, strict=True)]
    y = "y"
    while y in rest or y in names:
        y += "y"
    alone = Source(tuple(inputs), (SourceNode(y, node.op, (*names, *rest)),), (y,), rest)
    size = max(1, BATCH_BYTES // frame_bytes(alone))
    parts = []
    for start in range(0, len(xs[0]), size):
        part = {name: x[start : start + size] for name, x in zip(names, xs, strict=True)}
        parts.append(evaluate(alone, part)[y])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
