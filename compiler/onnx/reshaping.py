"""Reshape of a value: of its axes alone where possible, else by a source Reshape."""

from __future__ import annotations

import math
from dataclasses import replace

from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Flatten, Reshape, Shape

__all__ = ["permuted", "reshaped", "resolve_shape"]


def permuted(x: Value, perm: tuple[int, ...]) -> Value:
    """Axis i of the result is axis perm[i] of x; no data moves."""
    coding = x.coding
    if coding is not None and coding.axis is not None:
        coding = replace(coding, axis=perm.index(coding.axis))
    return replace(x, axes=tuple(x.axes[a] for a in perm), coding=coding)


def resolve_shape(
    walk: Walk, shape: Shape, target: tuple[int, ...], *, zero_copies: bool = True
) -> Shape:
    """ONNX's reshape rules (0 copies, -1 is what remains), with a literal 1 in front of an open
    batch read as the batch. Empty if the elements do not fit."""
    out = list(target)
    for i, n in enumerate(out):
        if n == 0 and zero_copies and i < len(shape):
            out[i] = shape[i]
    total = math.prod(shape)
    dynamic = walk.batch.dynamic and shape and shape[0] == walk.batch.size
    if dynamic and out and out[0] == 1:
        rest = math.prod(abs(n) for n in out[1:])
        if -1 in out[1:] or rest * (walk.batch.size or 1) == total:
            out[0] = walk.batch.size or 1
            walk.notes.append("a reshape to a batch of 1 is read as one that keeps the open batch")
    known = math.prod(n for n in out if n != -1)
    if out.count(-1) > 1 or any(n < -1 for n in out):
        return ()
    if -1 in out:
        if known == 0 or total % known:
            return ()
        out[out.index(-1)] = total // known
    return tuple(out) if math.prod(out) == total else ()


def reshaped(walk: Walk, x: Value, target: Shape) -> Value:
    """x with ONNX shape `target`, which has as many elements."""
    if x.coding is not None and x.coding.axis is not None:
        walk.fail("reshaping codes with a scale per channel is not supported; dequantize first")
    shape = walk.shape(x)
    view = _view(walk, x, shape, target)
    if view is not None:
        return view
    batched = 0 in x.axes and walk.batch.size != 1
    if batched and (x.axes[0] != 0 or not target or target[0] != walk.batch.size):
        walk.mixes(f"reshaping {shape} to {target} moves elements across the batch")
    lead = bool(target) and (batched or (target[0] == 1 and len(target) > 1))
    rest = target[1:] if lead else target
    inner = walk.inner(x)
    y = walk.arranged(x, inner)
    flat = len(rest) == 1
    name = (
        y.name
        if walk.shapes[y.name] == rest
        else walk.move(y.name, Flatten() if flat else Reshape(rest or (1,)))
    )
    first = (0 if 0 in x.axes else None,) if lead else ()
    axes = (*first, *range(1, len(rest) + 1))
    return replace(x, name=name, axes=axes)


def _view(walk: Walk, x: Value, shape: Shape, target: Shape) -> Value | None:
    """The same data under `target` if the shapes differ only in axes of size 1."""
    large = [a for a, n in enumerate(shape) if n != 1 or walk.is_batch(x, a)]
    if [shape[a] for a in large] != [n for n in target if n != 1]:
        return None
    places, axes = iter(large), []
    for n in target:
        axes.append(None if n == 1 else x.axes[next(places)])
    if 0 in x.axes and 0 not in axes and target and target[0] == 1:
        axes[0] = 0  # a single sample
    return replace(x, axes=tuple(axes))
