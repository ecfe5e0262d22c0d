"""Capture of pooling."""

from math import prod

from torch.fx import Node

from hwc.compiler.source import AvgPool, GlobalAvgPool, MaxPool, Reshape
from hwc.models.capture.arithmetic import affine
from hwc.models.capture.walk import Capture, Value


def max_pool(c: Capture, node: Node) -> Value:
    a = c.args(node)
    rank = node.meta["val"].ndim - 2
    kernel, dilation = sizes(a["kernel_size"], rank), sizes(a["dilation"], rank)
    stride = sizes(a["stride"] or kernel, rank)
    size = node.args[0].meta["val"].shape[2:]  # pyright: ignore
    padding = list(both(sizes(a["padding"], rank)))
    if a["ceil_mode"]:
        for i, count in enumerate(c.shape(node)[1:]):
            end = (count - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
            padding[2 * i + 1] = max(padding[2 * i + 1], end - size[i] - padding[2 * i])
    return c.emit(node, MaxPool(kernel, stride, tuple(padding), dilation), a["self"])


def avg_pool(c: Capture, node: Node) -> Value:
    a = c.args(node)
    rank = node.meta["val"].ndim - 2
    kernel = sizes(a["kernel_size"], rank)
    stride = sizes(a["stride"] or kernel, rank)
    padding = both(sizes(a["padding"], rank))
    extra = ()
    if a["ceil_mode"]:
        before = node.args[0].meta["val"].shape[2:]  # pyright: ignore
        ends = [(n - 1) * s + k for n, s, k in zip(c.shape(node)[1:], stride, kernel, strict=True)]
        have = [n + sum(padding[2 * i : 2 * i + 2]) for i, n in enumerate(before)]
        extra = tuple(max(end - n, 0) for end, n in zip(ends, have, strict=True))
    divisor = a.get("divisor_override")
    if divisor is None:
        op = AvgPool(kernel, stride, padding, bool(a["count_include_pad"]), extra)
        return c.emit(node, op, a["self"])
    if any(extra):
        c.fail(node, "ceil_mode with divisor_override is not supported")
    mean = c.emit(node, AvgPool(kernel, stride, padding), a["self"])
    return affine(c, node, mean, prod(kernel) / divisor, 0.0)


def adaptive_avg_pool(c: Capture, node: Node) -> Value:
    x = c.args(node)["self"]
    kernel = adaptive_kernel(c, node)
    size = tuple(node.args[0].meta["val"].shape[2:])  # pyright: ignore
    if kernel == size:
        return c.emit(node, Reshape(c.shape(node)), c.emit(node, GlobalAvgPool(), x))
    return c.emit(node, AvgPool(kernel, kernel, (0,) * (2 * len(kernel))), x)


def adaptive_max_pool(c: Capture, node: Node) -> Value:
    kernel = adaptive_kernel(c, node)
    ones = (1,) * len(kernel)
    return c.emit(
        node, MaxPool(kernel, kernel, (0,) * (2 * len(kernel)), ones), c.args(node)["self"]
    )


def adaptive_kernel(c: Capture, node: Node) -> tuple[int, ...]:
    size = tuple(int(n) for n in node.args[0].meta["val"].shape[2:])  # pyright: ignore
    value = node.meta["val"]
    out = tuple(int(n) for n in (value[0] if isinstance(value, tuple) else value).shape[2:])
    if any(n % k for n, k in zip(size, out, strict=True)):
        c.fail(node, f"output {out} must divide the input {size}")
    return tuple(n // k for n, k in zip(size, out, strict=True))


def mean(c: Capture, node: Node) -> Value:
    a = c.args(node)
    rank = node.args[0].meta["val"].ndim  # pyright: ignore
    axes = sorted(d % rank for d in (a["dim"] or range(rank)))
    if rank < 3 or axes != list(range(2, rank)):
        c.fail(
            node, f"the mean over axes {axes} is not supported; average all of {[*range(2, rank)]}"
        )
    pooled = c.emit(node, GlobalAvgPool(), a["self"])
    return c.emit(node, Reshape(c.shape(node)), pooled) if a["keepdim"] else pooled


def sizes(value, rank: int) -> tuple[int, ...]:
    """torch's "one integer or one per axis"."""
    values = [value] if isinstance(value, int) else list(value)
    return tuple(int(v) for v in (values * rank if len(values) == 1 else values))


def both(padding: tuple[int, ...]) -> tuple[int, ...]:
    """One padding per axis to one per side."""
    return tuple(p for p in padding for _ in range(2))
