"""Operators that leave the numbers as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from hwc.compiler.onnx.element import FLOATS, INTERVALS
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk

__all__ = ["cast", "identity"]


def identity(walk: Walk, node: Node) -> list[Value]:
    """Of tensors; Dropout only at inference, its mask unused."""
    node.check(not node.wants(1), "the mask of a Dropout is not supported; export for inference")
    if node.type == "Dropout":
        training = node.optional(2, "training_mode")
        node.check(
            training is None or not training.value.any(),
            "training mode is not supported; export for inference",
        )
    return [node.activation()]


def cast(walk: Walk, node: Node) -> Value | Constant:
    """Float to float, quantized codes to wider integers or floats. A float to an integer would
    truncate, and is refused."""
    first = node.operand(0)
    if isinstance(first, Constant):  # made like an activation
        return Constant(first.value.astype(np.float32))
    x = node.activation()
    if node.type == "CastLike":
        like = node.operand(1)
        assert like is not None
        to = like.dtype if isinstance(like, Value) else like.value.dtype
    else:
        to = np.dtype(tensor_dtype_to_np_dtype(node.int("to", 1)))
    if to.name in FLOATS:
        return replace(x, dtype=np.dtype(np.float32))
    narrow, wide = INTERVALS.get(x.dtype.name), INTERVALS.get(to.name)
    wider = narrow is not None and wide is not None and wide[0] <= narrow[0] <= narrow[1] <= wide[1]
    node.check(wider, f"a cast of {x.dtype.name} to {to.name} is not supported; use QuantizeLinear")
    return replace(x, dtype=to)
