"""Constant expressions, computed with NumPy in the file's own types."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwc.compiler.onnx import folding
from hwc.compiler.onnx.folding import Folder
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.values import Constant

__all__ = ["FOLDS", "GRID_KEEPING", "fold"]


def fold(node: Node) -> list[Constant]:
    """The outputs of a node whose inputs are all constants."""
    operands = [o for o in node.operands if isinstance(o, Constant)]
    arrays = [o.value for o in operands]
    if node.type in GRID_KEEPING and operands[0].grid is not None:
        return [operands[0].moved(lambda a: np.asarray(FOLDS[node.type](node, [a, *arrays[1:]])))]
    with np.errstate(all="ignore"):
        made = FOLDS[node.type](node, arrays)
    return [Constant(np.asarray(a)) for a in (made if isinstance(made, list) else [made])]


FOLDS: Mapping[str, Folder] = {
    "Abs": folding.elementwise(np.abs),
    "Add": folding.elementwise(np.add),
    "And": folding.elementwise(np.logical_and),
    "Cast": folding.cast,
    "CastLike": folding.cast,
    "Ceil": folding.elementwise(np.ceil),
    "Concat": lambda node, xs: np.concatenate(xs, axis=node.int("axis", 0)),
    "Constant": folding.constant,
    "ConstantOfShape": folding.constant_of_shape,
    "Div": folding.elementwise(folding.divide),
    "Dropout": lambda node, xs: xs[0],
    "Equal": folding.elementwise(np.equal),
    "Exp": folding.elementwise(np.exp),
    "Expand": folding.expand,
    "Flatten": folding.flatten,
    "Floor": folding.elementwise(np.floor),
    "Gather": folding.gather,
    "Greater": folding.elementwise(np.greater),
    "Identity": lambda node, xs: xs[0],
    "Less": folding.elementwise(np.less),
    "Log": folding.elementwise(np.log),
    "MatMul": folding.matmul,
    "Max": folding.elementwise(lambda *xs: np.maximum.reduce(np.broadcast_arrays(*xs))),
    "Min": folding.elementwise(lambda *xs: np.minimum.reduce(np.broadcast_arrays(*xs))),
    "Mod": folding.elementwise(np.mod),
    "Mul": folding.elementwise(np.multiply),
    "Neg": folding.elementwise(np.negative),
    "Not": folding.elementwise(np.logical_not),
    "Or": folding.elementwise(np.logical_or),
    "Pow": folding.elementwise(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Range": folding.arange,
    "Reciprocal": folding.elementwise(lambda a: (1 / a).astype(a.dtype)),
    "ReduceMax": folding.reduction(np.max),
    "ReduceMean": folding.reduction(np.mean),
    "ReduceMin": folding.reduction(np.min),
    "ReduceProd": folding.reduction(np.prod),
    "ReduceSum": folding.reduction(np.sum, since=13),
    "Relu": folding.elementwise(lambda a: np.maximum(a, 0)),
    "Reshape": folding.reshape,
    "Round": folding.elementwise(np.rint),
    "Shape": lambda node, xs: np.array(
        xs[0].shape[slice(node.int("start", 0), node.int("end", xs[0].ndim))], np.int64
    ),
    "Sign": folding.elementwise(np.sign),
    "Size": lambda node, xs: np.array(xs[0].size, np.int64),
    "Slice": folding.slice_of,
    "Split": folding.split,
    "Sqrt": folding.elementwise(np.sqrt),
    "Squeeze": folding.squeeze,
    "Sub": folding.elementwise(np.subtract),
    "Tile": folding.tile,
    "Transpose": lambda node, xs: np.transpose(
        xs[0], node.ints("perm", tuple(reversed(range(xs[0].ndim))))
    ),
    "Unsqueeze": folding.unsqueeze,
    "Where": folding.elementwise(np.where),
}

GRID_KEEPING = frozenset(
    {"Dropout", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
"""Operators that only move elements: their results stay on the grid of a quantizer."""
