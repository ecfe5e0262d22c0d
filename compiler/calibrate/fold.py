"""What is rewritten before anything is quantized; the float function stays the same.

Batch-norms and affine functions next to a linear operation go into its weights, in float64, and
max-pools move behind the monotone functions that follow them (an integer of 8 bits is pooled there,
not a sum), as do reshapes and transpositions. Only what one node alone reads is touched, and only
constants that no quantizer holds.
"""

from __future__ import annotations

import numpy as np

from hwc.compiler.calibrate.draft import Draft
from hwc.compiler.calibrate.layers import (
    Floats,
    canonical,
    is_linear,
    scale_inputs,
    scale_outputs,
)
from hwc.compiler.calibrate.scales import round_mantissa
from hwc.compiler.source import (
    Affine,
    BatchNorm,
    Conv,
    ConvTranspose,
    Flatten,
    HardTanh,
    MaxPool,
    PRelu,
    Relu,
    Reshape,
    Source,
    SourceNode,
    Transpose,
)
from hwc.compiler.source.evaluate import batch_norm_constants

__all__ = ["fold", "snap_slopes"]

SLOPE_BITS = 8
"""Mantissa bits of the slopes of leaky functions, so that they multiply exactly."""


def fold(source: Source) -> Source:
    """The same float function with fewer nodes."""
    draft = Draft(source)
    draft.change(_into_layer_before)
    draft.change(_behind_flatten)
    draft.change(_into_layer_after)
    draft.change(_pool_last)
    draft.change(_movement_last)
    return draft.source()


def snap_slopes(source: Source) -> Source:
    """Slopes of PRelu with few mantissa bits; relative error at most 2**-9."""
    draft = Draft(source)
    for node in source.nodes:
        if isinstance(node.op, PRelu) and node.args[1] in source.tensors:
            slope = np.asarray(source.tensors[node.args[1]], np.float64)
            draft.set_constant(node.name, 1, round_mantissa(slope, SLOPE_BITS), "slope")
    return draft.source()


def line(draft: Draft, node: SourceNode) -> tuple[Floats, Floats] | None:
    """(scale, shift) of an affine function or batch-norm with plain constants, else None."""
    names = node.args[1:]
    if not isinstance(node.op, (Affine, BatchNorm)) or any(n not in draft.tensors for n in names):
        return None
    values = [np.asarray(draft.tensors[n], np.float64) for n in names]
    if isinstance(node.op, BatchNorm):
        return batch_norm_constants(*values, eps=node.op.eps)
    return values[0].ravel(), values[1].ravel()


def _layer(draft: Draft, name: str) -> tuple[SourceNode, Floats, Floats] | None:
    """A linear node with plain constants, its weight, and its bias (zeros if it has none)."""
    node = next((n for n in draft.nodes if n.name == name), None)
    if node is None or not is_linear(node.op) or any(a not in draft.tensors for a in node.args[1:]):
        return None
    weight = np.asarray(draft.tensors[node.args[1]], np.float64)
    groups, outputs = canonical(node.op, weight).shape[:2]
    bias = np.zeros(groups * outputs)
    if len(node.args) > 2:
        bias = np.asarray(draft.tensors[node.args[2]], np.float64)
    return node, weight, bias


def _into_layer_before(draft: Draft, node: SourceNode) -> bool:
    found = line(draft, node)
    layer = _layer(draft, node.args[0])
    if found is None or layer is None or draft.sole_reader(node.args[0]) is None:
        return False
    before, weight, bias = layer
    scale, shift = (np.broadcast_to(v, bias.shape) for v in found)
    draft.set_constant(before.name, 1, scale_outputs(before.op, weight, scale), "weight")
    draft.set_constant(before.name, 2, bias * scale + shift, "bias")
    if node.name in draft.outputs:  # outputs keep their names
        draft.replace(node.name, before.op, *draft.node(before.name).args)
        draft.nodes = [n for n in draft.nodes if n.name != before.name]
    else:
        draft.remove(node.name)
    return True


def _behind_flatten(draft: Draft, node: SourceNode) -> bool:
    """Affine then Flatten becomes Flatten then Affine, where all channels are alike."""
    found, reader = line(draft, node), draft.sole_reader(node.name)
    if found is None or reader is None or not isinstance(reader.op, Flatten):
        return False
    if any((v != v[0]).any() for v in found):
        return False
    scale, shift = (draft.unique(f"{node.name}.{what}") for what in ("scale", "shift"))
    draft.tensors |= {scale: found[0][:1], shift: found[1][:1]}
    draft.replace(node.name, reader.op, node.args[0])
    draft.replace(reader.name, Affine(), node.name, scale, shift)
    return True


def _into_layer_after(draft: Draft, node: SourceNode) -> bool:
    found, reader = line(draft, node), draft.sole_reader(node.name)
    layer = _layer(draft, reader.name) if reader else None
    if found is None or layer is None:
        return False
    after, weight, bias = layer
    scale, shift = found
    op = after.op
    pads = isinstance(op, ConvTranspose) or (isinstance(op, Conv) and any(op.padding))
    if pads and shift.any():  # padding inserts zeros behind the shift, not in front of it
        return False
    form = canonical(op, weight)
    channels = form.shape[0] * form.shape[2]
    scale, shift = (np.broadcast_to(v, (channels,)) for v in (scale, shift))
    if shift.any():
        sums = form.sum(axis=3) * shift.reshape(form.shape[0], 1, -1)
        draft.set_constant(after.name, 2, bias + sums.sum(axis=2).ravel(), "bias")
    draft.set_constant(after.name, 1, scale_inputs(op, weight, scale), "weight")
    draft.remove(node.name)
    return True


def _pool_last(draft: Draft, node: SourceNode) -> bool:
    """A maximum commutes with functions that do not decrease."""
    reader = draft.sole_reader(node.name)
    if not isinstance(node.op, MaxPool) or reader is None:
        return False
    rising = isinstance(reader.op, (Relu, HardTanh))
    if isinstance(reader.op, PRelu) and reader.args[1] in draft.tensors:
        rising = bool((draft.tensors[reader.args[1]] >= 0).all())
    if not rising:
        return False
    draft.replace(node.name, reader.op, node.args[0], *reader.args[1:])
    draft.replace(reader.name, node.op, node.name)
    return True


def _movement_last(draft: Draft, node: SourceNode) -> bool:
    """A movement commutes with what is the same for every element."""
    reader = draft.sole_reader(node.name)
    if not isinstance(node.op, (Reshape, Transpose)) or reader is None:
        return False
    alike = isinstance(reader.op, (Relu, HardTanh))
    if isinstance(reader.op, PRelu) and reader.args[1] in draft.tensors:
        alike = draft.tensors[reader.args[1]].size == 1
    if not alike:
        return False
    draft.replace(node.name, reader.op, node.args[0], *reader.args[1:])
    draft.replace(reader.name, node.op, node.name)
    return True
