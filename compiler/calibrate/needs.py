"""Which operations want integers, and which only pass them on: all that placement knows of ops.

An operation that is named nowhere here works on values of any form (a pending function in the
lowering), and what it gives is quantized when something else wants integers. `takes_codes` and
`code_bits` are where operations with tables connect.
"""

from __future__ import annotations

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.layers import is_linear
from hwc.compiler.source import (
    Add,
    ArgMax,
    AvgPool,
    Bipolar,
    Concat,
    Flatten,
    Function,
    GlobalAvgPool,
    MaxPool,
    Multiply,
    Pad,
    Quant,
    Reshape,
    Slice,
    Softmax,
    Source,
    SourceNode,
    SourceOp,
    Threshold,
    TopK,
    Transpose,
    Upsample,
)
from hwc.compiler.source.arrange import rearrange

__all__ = [
    "TABLE_BITS", "code_bits", "gives_codes", "mixes", "moves", "shares_scale", "takes_codes",
]  # fmt: skip

TABLE_BITS = 10
"""Widest codes in front of a function that becomes a table."""


def takes_codes(source: Source, node: SourceNode) -> bool:
    """True if the activations of a node must be integers of one scale each.

    A softmax needs them unless only outputs and comparisons read it: the host computes that.
    """
    if isinstance(node.op, Softmax):
        return _wanted(source, node.name)
    return is_linear(node.op) or isinstance(
        node.op, (Add, Concat, AvgPool, GlobalAvgPool, Function, Multiply)
    )


def _wanted(source: Source, value: str) -> bool:
    """True if something wants integers of a value, or makes them of it."""
    for node in source.consumers(value):
        if takes_codes(source, node) or gives_codes(node.op):
            return True
        if not isinstance(node.op, (ArgMax, TopK)) and _wanted(source, node.name):
            return True
    return False


def shares_scale(op: SourceOp) -> bool:
    """True if all activations of `op` must have the same scale."""
    return isinstance(op, (Add, Concat))


def gives_codes(op: SourceOp) -> bool:
    """True if the result is integers of a known scale already."""
    return isinstance(op, (Quant, Bipolar, Threshold))


def moves(op: SourceOp) -> bool:
    """True if the elements of the result are elements of the argument (or one number, which takes
    the nearest code), so that a quantizer may stand in front as well as behind."""
    return isinstance(op, (Flatten, Reshape, MaxPool, Pad, Slice, Transpose, Upsample))


def mixes(source: Source, node: SourceNode) -> bool:
    """True if a channel of the result has elements of several channels of the argument, which then
    must have one scale."""
    if not isinstance(node.op, (Reshape, Transpose)):
        return False
    shape = source.shapes[node.args[0]]
    channels = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    moved = rearrange(node, [np.broadcast_to(channels, shape)[None]])[0]
    rows = moved.reshape(len(moved), -1)
    return bool((rows != rows[:, :1]).any())


def code_bits(op: SourceOp, config: Config) -> int:
    """Bits of the codes that `op` takes: 8 or more before a table, whose curve may be steep."""
    if isinstance(op, (Function, Softmax)):
        return min(TABLE_BITS, max(8, config.act_bits))
    return config.act_bits
