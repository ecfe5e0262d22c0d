"""Quantizers of inputs, moved in front of what only rearranges elements.

A float input must be quantized before anything else, since the codes are what the hardware gets.
Networks often flatten or transpose first; a quantizer with one scale gives the same either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwc.compiler.source import (
    Bipolar,
    Flatten,
    Input,
    Quant,
    Reshape,
    Slice,
    SourceNode,
    Transpose,
    Upsample,
)

__all__ = ["hoist_quantizers"]

MOVES = (Flatten, Reshape, Slice, Transpose, Upsample)


def hoist_quantizers(
    inputs: Sequence[Input], nodes: list[SourceNode], outputs: Sequence[str]
) -> list[SourceNode]:
    """The nodes, each float input followed by its quantizer at once where that is the same."""
    for item in inputs:
        chain = [] if item.scale is not None else _chain(item.name, nodes, outputs)
        if len(chain) > 1:
            nodes = _swapped(item.name, chain, nodes)
    return nodes


def _chain(name: str, nodes: Sequence[SourceNode], outputs: Sequence[str]) -> list[SourceNode]:
    """Movements from an input up to a quantizer with one scale, each the only user of the last."""
    chain: list[SourceNode] = []
    while name not in outputs:
        users = [node for node in nodes if name in node.args]
        if len(users) != 1:
            break
        chain.append(users[0])
        op = users[0].op
        if isinstance(op, (Quant, Bipolar)):
            return chain if op.axis is None else []
        if not isinstance(op, MOVES):
            break
        name = users[0].name
    return []


def _swapped(name: str, chain: list[SourceNode], nodes: list[SourceNode]) -> list[SourceNode]:
    """The quantizer first; the last movement takes its name, under which its users know it."""
    *moves, quantizer = chain
    taken = {node.name for node in nodes}
    code = f"{name}_codes"
    while code in taken:
        code += "_"
    first = replace(quantizer, name=code, args=(name, *quantizer.args[1:]))
    names = [*(move.name for move in moves[:-1]), quantizer.name]
    made = [first]
    for move, renamed in zip(moves, names, strict=True):
        made.append(replace(move, name=renamed, args=(made[-1].name,)))
    old = {node.name for node in chain}
    at = next(i for i, node in enumerate(nodes) if node.name == moves[0].name)
    head = [node for node in nodes[:at] if node.name not in old]
    tail = [node for node in nodes[at:] if node.name not in old]
    return [*head, *made, *tail]
