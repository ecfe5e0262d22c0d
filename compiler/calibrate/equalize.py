"""Cross-layer equalization (Nagel et al. 2019, arXiv 1906.04721, section 4.1).

Between two linear layers with only positively homogeneous functions between them, f(s x) = s f(x)
for s > 0, channel i of the first may be divided by s_i and the second's weights that read it
multiplied: the float function stays the same. s_i = sqrt(r1_i * r2_i) / r2_i makes the largest
weight of the channel equal in both, r being the largest magnitudes. Pairs are visited again until
nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwc.compiler.calibrate.draft import Draft
from hwc.compiler.calibrate.layers import (
    Floats,
    canonical,
    input_channels,
    is_linear,
    scale_inputs,
    scale_outputs,
)
from hwc.compiler.source import (
    AvgPool,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    PRelu,
    Relu,
    Source,
    SourceNode,
    SourceOp,
    Upsample,
)

__all__ = ["equalize"]

SWEEPS = 50
SETTLED = 1e-3
"""Relative change of a factor below which a pair counts as equal."""


@dataclass(frozen=True)
class _Pair:
    """Layers `first` and `second`; every channel of the first is `spread` inputs of the second."""

    first: str
    second: str
    spread: int


def equalize(source: Source) -> Source:
    """The same float function with the ranges of neighbouring layers' weights brought together."""
    draft = Draft(source)
    pairs = [pair for node in source.nodes if (pair := _pair(draft, node)) is not None]
    for _ in range(SWEEPS):
        moved = max((_balance(draft, pair) for pair in pairs), default=0.0)
        if moved < SETTLED:
            break
    return draft.source()


def _homogeneous(op: SourceOp) -> bool:
    return isinstance(op, (Relu, PRelu, MaxPool, AvgPool, GlobalAvgPool, Flatten, Upsample))


def _plain(draft: Draft, node: SourceNode) -> bool:
    return is_linear(node.op) and all(arg in draft.tensors for arg in node.args[1:])


def _pair(draft: Draft, first: SourceNode) -> _Pair | None:
    """The pair that begins with a layer, if it has one."""
    if not _plain(draft, first):
        return None
    reader = draft.sole_reader(first.name)
    while reader is not None and _homogeneous(reader.op):
        reader = draft.sole_reader(reader.name)
    if reader is None or not _plain(draft, reader):
        return None
    outputs = _outputs(draft, first).size
    inputs = input_channels(reader.op, draft.tensors[reader.args[1]]).size
    return _Pair(first.name, reader.name, inputs // outputs)


def _outputs(draft: Draft, node: SourceNode) -> Floats:
    """Largest magnitude of the weights of each output channel."""
    return np.abs(canonical(node.op, draft.tensors[node.args[1]])).max(axis=(2, 3)).ravel()


def _balance(draft: Draft, pair: _Pair) -> float:
    """Equalize one pair; returns the largest change of a channel, |log s|."""
    first, second = draft.node(pair.first), draft.node(pair.second)
    weight, after = (np.asarray(draft.tensors[n.args[1]], np.float64) for n in (first, second))
    r1 = _outputs(draft, first)
    r2 = input_channels(second.op, after).reshape(-1, pair.spread).max(axis=1)
    alive = (r1 > 0) & (r2 > 0)
    s = np.where(alive, np.sqrt(np.where(alive, r1 / np.where(alive, r2, 1), 1)), 1.0)
    draft.set_constant(pair.first, 1, scale_outputs(first.op, weight, 1 / s), "weight")
    if len(first.args) > 2:
        bias = np.asarray(draft.tensors[first.args[2]], np.float64)
        draft.set_constant(pair.first, 2, bias / s, "bias")
    factors = np.repeat(s, pair.spread)
    draft.set_constant(pair.second, 1, scale_inputs(second.op, after, factors), "weight")
    return float(np.abs(np.log(s)).max())
