"""Evaluation of the source operations that move, add or compare elements."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from hwc.compiler.source import moving, spatial
from hwc.compiler.source.ops import SourceError
from hwc.compiler.source.source import SourceNode

__all__ = ["rearrange"]

Array = np.ndarray


def rearrange(node: SourceNode, args: list[Array]) -> Array:
    """The value of a node that moves, adds or compares elements; SourceError for any other."""
    op, x = node.op, args[0]
    match op:
        case spatial.Add():
            return sum(args[1:], start=x)
        case spatial.Multiply():
            return x * args[1]
        case spatial.Concat():
            return np.concatenate(args, axis=1)
        case spatial.GlobalAvgPool():
            flat = x.reshape(*x.shape[:2], -1)
            return flat.sum(axis=-1) / flat.shape[-1]
        case spatial.Flatten():
            return x.reshape(len(x), -1)
        case spatial.Reshape():
            return x.reshape(len(x), *op.shape)
        case moving.Pad():
            pads = zip(op.padding[::2], op.padding[1::2], strict=True)
            fill: Any = Fraction(op.value) if x.dtype == object else op.value
            return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
        case moving.Slice():
            part = slice(op.start, op.stop, op.step)
            return x[(slice(None),) * op.axis + (part,)]
        case moving.Transpose():
            return x.transpose(0, *op.perm)
        case moving.Upsample():
            for axis, factor in enumerate(op.factors, 2):
                x = x.repeat(factor, axis=axis)
            return x
        case spatial.ArgMax():
            return x.argmax(axis=1)[:, None].astype(np.int64)
        case spatial.TopK():
            return np.argsort(-x, axis=1, kind="stable")[:, : op.k]
        case _:
            raise SourceError(f"node {node.name}: evaluate does not know {type(op).__name__}")
