"""What each ATen operator does to the labels of channels: `function(walk, node) -> labels`, or None
where channels are mixed in a way that pruning does not follow."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.fx import Node

from hwc.models.pruning.dependencies import Labels

if TYPE_CHECKING:
    from hwc.models.pruning.dependency_walk import Walk

__all__ = ["OPERATORS", "item"]

Handler = Callable[["Walk", Node], Labels | None]
PASSING = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d alias "
    "avg_pool1d avg_pool2d celu clamp clamp_max clamp_min clone contiguous detach dropout elu exp "
    "feature_dropout gelu hardsigmoid hardswish hardtanh leaky_relu max_pool1d max_pool2d "
    "max_pool1d_with_indices max_pool2d_with_indices mish neg relu relu6 selu sigmoid silu "
    "softplus tanh to _to_copy upsample_bilinear2d upsample_nearest1d upsample_nearest2d abs erf"
).split()
CUTTING = ("split", "split_with_sizes", "chunk", "slice", "narrow", "select")


def arguments(node: Node, *names: str) -> list[Any]:
    """Arguments by position or name; None where left out."""
    schema = [a.name for a in node.target._schema.arguments]  # pyright: ignore
    given = dict(zip(schema, node.args, strict=False)) | dict(node.kwargs)
    return [given.get(name) for name in names]


def passing(walk: Walk, node: Node) -> Labels | None:
    """Channel by channel: what goes in comes out."""
    return next(walk.labels[a] for a in node.all_input_nodes if a in walk.labels)


def joined(walk: Walk, node: Node) -> Labels | None:
    """Two operands element by element: activations of one shape, or one and a parameter."""
    one, two = node.args[:2]
    if one in walk.labels and two in walk.labels:
        a, b = walk.labels[one], walk.labels[two]  # pyright: ignore
        if len(a) != len(b) or len(walk.shape(one)) != len(walk.shape(two)):  # pyright: ignore
            return None
        walk.channels.unite(a, b)
        return a
    known, other = (one, two) if one in walk.labels else (two, one)
    labels = walk.labels[known]  # pyright: ignore
    return labels if not isinstance(other, Node) or broadcast(walk, node, other, labels) else None


def broadcast(walk: Walk, node: Node, other: Node, labels: Labels) -> bool:
    """Does a constant have one value for all channels, or is it a parameter with one for each?"""
    shape = walk.shape(other)
    axis = 1 - (len(walk.shape(node)) - len(shape))
    if axis < 0 or shape[axis] == 1:
        return True
    return walk.use(other, axis, labels)


def quantizer(walk: Walk, node: Node) -> Labels | None:
    labels, scale = passing(walk, node), node.args[1]
    assert labels is not None
    return labels if not isinstance(scale, Node) or broadcast(walk, node, scale, labels) else None


def linear(walk: Walk, node: Node) -> Labels | None:
    x, weight, bias = arguments(node, "input", "weight", "bias")
    if len(walk.shape(x)) != 2 or not walk.use(weight, 1, walk.labels[x]):
        return None
    return made(walk, node, weight, bias)


def made(walk: Walk, node: Node, weight: Node, bias: object, axis: int = 0) -> Labels | None:
    """New channels, which index an axis of the weight and the bias."""
    out = walk.channels.new(walk.size(node))
    walk.use(weight, axis, out, makes=True)
    return out if bias is None or walk.use(bias, 0, out) else None


def conv(walk: Walk, node: Node) -> Labels | None:
    x, weight, bias, groups = arguments(node, "input", "weight", "bias", "groups")
    labels, groups = walk.labels[x], groups or 1
    if groups == 1:
        return made(walk, node, weight, bias) if walk.use(weight, 1, labels) else None
    if groups == len(labels):  # depthwise
        out = np.repeat(labels, walk.size(node) // groups)
        if not walk.use(weight, 0, out):
            return None
        return out if bias is None or walk.use(bias, 0, out) else None
    # All groups keep as many: the same place of each goes.
    each = labels.reshape(groups, -1)
    for part in each[1:]:
        walk.channels.unite(each[0], part)
    if not walk.use(weight, 1, each[0]):
        return None
    out = made(walk, node, weight, bias)
    if out is None:
        return None
    for part in out.reshape(groups, -1)[1:]:
        walk.channels.unite(out.reshape(groups, -1)[0], part)
    return out


def conv_transpose(walk: Walk, node: Node) -> Labels | None:
    x, weight, bias, groups = arguments(node, "input", "weight", "bias", "groups")
    if (groups or 1) != 1 or not walk.use(weight, 0, walk.labels[x]):
        return None
    return made(walk, node, weight, bias, axis=1)


def batch_norm(walk: Walk, node: Node) -> Labels | None:
    x, *rest = arguments(node, "input", "weight", "bias", "running_mean", "running_var")
    labels = walk.labels[x]
    fine = [walk.use(item, 0, labels) for item in rest if item is not None]
    return labels if all(fine) else None


def prelu(walk: Walk, node: Node) -> Labels | None:
    x, weight = arguments(node, "self", "weight")
    labels = walk.labels[x]
    one = walk.shape(weight) == (1,)
    return labels if one or walk.use(weight, 0, labels) else None


def concat(walk: Walk, node: Node) -> Labels | None:
    tensors, dim = arguments(node, "tensors", "dim")
    if not all(x in walk.labels for x in tensors):
        return None
    parts = [walk.labels[x] for x in tensors]
    if (dim or 0) % len(walk.shape(node)) == 1:
        return np.concatenate(parts)
    for part in parts[1:]:
        walk.channels.unite(parts[0], part)
    return parts[0]


def reshape(walk: Walk, node: Node) -> Labels | None:
    """Flattening repeats each channel for its positions."""
    x = node.all_input_nodes[0]
    before, after, labels = walk.shape(x), walk.shape(node), walk.labels[x]
    if len(after) < 2 or after[0] != before[0]:
        return None
    if after[1] == before[1]:
        return labels
    if after[1] == before[1] * prod(before[2:]):
        return np.repeat(labels, prod(before[2:]))
    return None


def reduced(walk: Walk, node: Node) -> Labels | None:
    """A mean over positions."""
    x, dims = arguments(node, "self", "dim")
    rank = len(walk.shape(x))
    axes = [d % rank for d in (dims if isinstance(dims, (list, tuple)) else [dims or 0])]
    return walk.labels[x] if min(axes, default=0) > 1 else None


def cut(walk: Walk, node: Node) -> Labels | None:
    """Positions may be cut; where channels are cut is written into the forward, so they stay."""
    x, dim = arguments(node, "self", "dim")
    axis = (dim or 0) % len(walk.shape(x))
    behind = axis > 1 or walk.shape(node) == walk.shape(x)  # or nothing is cut off the batch
    return walk.labels[x] if behind else None


def pad(walk: Walk, node: Node) -> Labels | None:
    x, sides = arguments(node, "self", "pad")
    return walk.labels[x] if not any(sides[2 * (len(walk.shape(x)) - 2) :]) else None


def item(walk: Walk, node: Node) -> Labels | None:
    """One of several results: a part of positions that were cut, the first of all others."""
    of, index = node.args
    assert isinstance(of, Node)
    several = str(of.target).split(".")[1] in CUTTING
    return walk.labels[of] if several or index == 0 else None


OPERATORS: dict[str, Handler] = {
    **dict.fromkeys(PASSING, passing),
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum"), joined),
    **dict.fromkeys(("quant", "bipolar"), quantizer),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten"), reshape),
    **dict.fromkeys(CUTTING, cut),
    "_native_batch_norm_legit_no_training": batch_norm,
    "batch_norm": batch_norm,
    "cat": concat,
    "constant_pad_nd": pad,
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "linear": linear,
    "mean": reduced,
    "pad": pad,
    "prelu": prelu,
}
