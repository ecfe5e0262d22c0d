"""NumPy for the constant expressions that need more than one function, sizes bounded."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from hwc.compiler.onnx.node import Node, slice_bounds
from hwc.compiler.onnx.tensors import check_size

MOST_MADE = 1 << 22
"""Elements of a constant that is made larger than what it is made of."""

Folder = Callable[[Node, list[np.ndarray]], "np.ndarray | list[np.ndarray]"]


def bound(node: Node, shape: tuple[int, ...], xs: list[np.ndarray]) -> None:
    """Refuse what is large and larger than every operand."""
    check_size(node.title, shape)
    most = max([MOST_MADE, *(x.size for x in xs)])
    node.check(prod(shape) <= most, f"shape {shape} must have at most {most} elements")


def elementwise(function: Callable[..., np.ndarray]) -> Folder:
    def folder(node: Node, xs: list[np.ndarray]) -> np.ndarray:
        bound(node, np.broadcast_shapes(*(x.shape for x in xs)), xs)
        return function(*xs)

    return folder


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind in "iu":
        return np.trunc(a / b).astype(a.dtype)
    return a / b


def constant(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    value = node.tensor("value")
    if value is not None:
        return value
    if node.has("value_float"):
        return np.array(node.float("value_float", 0.0), np.float32)
    if node.has("value_int"):
        return np.array(node.int("value_int", 0), np.int64)
    if node.has("value_ints"):
        return np.array(node.ints("value_ints"), np.int64)
    if node.has("value_floats"):
        return np.array(list(node.attributes["value_floats"].floats), np.float32)
    node.fail("only numbers are supported as constants")


def constant_of_shape(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    shape = tuple(int(n) for n in xs[0].ravel())
    bound(node, shape, [])
    value = node.tensor("value")
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(shape, value.reshape(()), value.dtype)


def axes_of(node: Node, xs: list[np.ndarray], since: int) -> tuple[int, ...] | None:
    if node.opset >= since:
        return node.integers(1, "axes") if len(xs) > 1 else None
    return node.ints("axes") if node.has("axes") else None


def squeeze(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    return np.squeeze(xs[0], axis=axes_of(node, xs, 13))


def unsqueeze(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    return np.expand_dims(xs[0], axes_of(node, xs, 13) or ())


def reshape(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    target = list(node.integers(1, "shape"))
    if not node.flag("allowzero", False):
        target = [xs[0].shape[i] if n == 0 else n for i, n in enumerate(target)]
    return xs[0].reshape(target)


def flatten(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    axis = node.int("axis", 1)
    axis = axis + xs[0].ndim if axis < 0 else axis
    return xs[0].reshape(prod(xs[0].shape[:axis]), -1)


def slice_of(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    x = xs[0]
    starts, ends, axes, steps = slice_bounds(node)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        part = [slice(None)] * x.ndim
        part[node.position(axis, x.ndim)] = slice(start, end, step)
        x = x[tuple(part)]
    return x


def expand(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    shape = np.broadcast_shapes(xs[0].shape, node.integers(1, "shape"))
    bound(node, shape, xs)
    return np.broadcast_to(xs[0], shape)


def tile(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    repeats = node.integers(1, "repeats")
    bound(node, tuple(n * r for n, r in zip(xs[0].shape, repeats, strict=True)), xs)
    return np.tile(xs[0], repeats)


def gather(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    axis = node.axis("axis", 0, xs[0].ndim)
    bound(node, (*xs[0].shape[:axis], *xs[1].shape, *xs[0].shape[axis + 1 :]), xs)
    return np.take(xs[0], xs[1], axis=axis)


def arange(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    start, limit, step = (x.reshape(()).item() for x in xs)
    count = max(int(np.ceil((limit - start) / step)), 0) if step else 0
    bound(node, (count,), [])
    return (start + np.arange(count) * step).astype(xs[0].dtype)


def matmul(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    bound(node, (*xs[0].shape[:-1], *xs[1].shape[-1:]), xs)
    return xs[0] @ xs[1]


def cast(node: Node, xs: list[np.ndarray]) -> np.ndarray:
    from onnx.helper import tensor_dtype_to_np_dtype

    to = xs[1].dtype if node.type == "CastLike" else tensor_dtype_to_np_dtype(node.int("to", 1))
    node.check(np.dtype(to).kind in "fiub" or np.dtype(to).name == "bfloat16", "only to numbers")
    return xs[0].astype(np.float32 if np.dtype(to).name == "bfloat16" else to)


def split(node: Node, xs: list[np.ndarray]) -> list[np.ndarray]:
    axis, count = node.int("axis", 0), len(node.proto.output)
    sizes = (
        node.ints("split") if node.opset < 13 else node.integers(1, "split") if len(xs) > 1 else ()
    )
    return np.split(xs[0], np.cumsum(sizes)[:-1].tolist() if sizes else count, axis=axis)


def reduction(function: Callable[..., np.ndarray], since: int = 18) -> Folder:
    def folder(node: Node, xs: list[np.ndarray]) -> np.ndarray:
        axes = axes_of(node, xs, since)
        if not axes and node.flag("noop_with_empty_axes", False):
            return xs[0]
        made = function(xs[0], axis=axes or None, keepdims=node.flag("keepdims", True))
        return made.astype(xs[0].dtype)

    return folder
