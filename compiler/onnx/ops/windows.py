"""Attributes of sliding windows: kernel, strides, padding, automatic padding, ceil mode."""

from __future__ import annotations

from dataclasses import dataclass

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Shape

__all__ = ["Window", "spatial", "window"]

MOST = 1 << 24
"""Largest kernel, stride, dilation or padding that is accepted."""


@dataclass(frozen=True)
class Window:
    """Along each spatial axis. `padding` is (before, after) by axis, outer first; `extra` is what
    ceil mode reads beyond it."""

    kernel: Shape
    stride: Shape
    dilation: Shape
    padding: tuple[int, ...]
    extra: tuple[int, ...]

    @property
    def reach(self) -> Shape:
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))


def spatial(walk: Walk, node: Node, x: Value) -> Shape:
    """Sizes of the positions of x, which must be (N, C, L) or (N, C, H, W)."""
    size = walk.shape(x)[2:]
    node.check(
        len(size) in (1, 2) and x.rank > 2,
        f"input has shape {walk.shape(x)}; only one or two spatial axes are supported",
    )
    return size


def integers(node: Node, name: str, count: int, default: int, least: int) -> tuple[int, ...]:
    """A list attribute of `count` integers in least..2^24."""
    values = node.ints(name, (default,) * count) or (default,) * count
    node.check(
        len(values) == count and all(least <= v <= MOST for v in values),
        f"{name} {values} must be {count} integers in {least}..{MOST}",
    )
    return values


def window(node: Node, size: Shape, kernel: Shape | None = None) -> Window:
    """The window over positions of `size`; `kernel` of a weight must agree with the attribute."""
    rank = len(size)
    shape = integers(node, "kernel_shape", rank, 0, 0)
    if kernel is None or any(shape):
        node.check(
            all(shape) and kernel in (None, shape),
            f"kernel_shape {shape} must be positive and that of the weight {kernel}",
        )
        kernel = shape
    stride = integers(node, "strides", rank, 1, 1)
    dilation = integers(node, "dilations", rank, 1, 1)
    pads = integers(node, "pads", 2 * rank, 0, 0)
    padding = [pads[i + side * rank] for i in range(rank) for side in (0, 1)]
    auto = node.string("auto_pad", "NOTSET")
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for i, n in enumerate(size):
            need = max((-(-n // stride[i]) - 1) * stride[i] + reach[i] - n, 0)
            small, large = need // 2, need - need // 2
            padding[2 * i : 2 * i + 2] = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "VALID":
        padding = [0] * (2 * rank)
    else:
        node.check(auto in ("NOTSET", ""), f"auto_pad {auto!r} is unknown")
    extra = [0] * rank
    if node.flag("ceil_mode", False) and auto in ("NOTSET", ""):
        for i, n in enumerate(size):
            padded = n + padding[2 * i] + padding[2 * i + 1]
            count = -(-(padded - reach[i]) // stride[i]) + 1
            if (count - 1) * stride[i] >= n + padding[2 * i]:
                count -= 1  # a window must not start in the padding at the far side
            extra[i] = max((count - 1) * stride[i] + reach[i] - padded, 0)
    return Window(kernel, stride, dilation, tuple(padding), tuple(extra))
