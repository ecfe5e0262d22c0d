"""Padding with a number other than 0, which the codes that are padded must have."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hwc.compiler.calibrate.draft import Draft
from hwc.compiler.calibrate.needs import moves
from hwc.compiler.source import Pad, Quant

__all__ = ["snap_padding"]


def snap_padding(draft: Draft) -> None:
    """Give such padding the nearest code of the quantizer in front of it."""
    for node in list(draft.nodes):
        found = _grid(draft, node.args[0]) if isinstance(node.op, Pad) and node.op.value else None
        if found is not None:
            quantizer, scale = found
            assert isinstance(node.op, Pad)
            code = round(Fraction(node.op.value) / Fraction(scale))
            code = min(max(code, quantizer.lo - quantizer.zero), quantizer.hi - quantizer.zero)
            draft.replace(node.name, replace(node.op, value=code * scale), *node.args)


def _grid(draft: Draft, value: str) -> tuple[Quant, float] | None:
    """The quantizer that a value has its codes from, and its scale if it has one."""
    nodes = {node.name: node for node in draft.nodes}
    while value in nodes and moves(nodes[value].op):
        value = nodes[value].args[0]
    made = nodes.get(value)
    if made is None or not isinstance(made.op, Quant):
        return None
    scale = draft.tensors[made.args[1]]
    return (made.op, float(scale.item())) if scale.size == 1 else None
