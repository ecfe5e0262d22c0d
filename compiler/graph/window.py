"""Sliding windows: geometry shared by convolutions and pools, and im2col as an op."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type


@dataclass(frozen=True)
class Window(Op):
    """im2col: (H, W, C) -> (OH, OW, G, T, C/G), T = Kh*Kw taps in row-major order.

    OH = (H + top + bottom - dilation*(Kh - 1) - 1) // stride + 1, OW likewise. `padding` is (top,
    bottom, left, right); padded places hold the integer `fill`. Group g holds the channels
    [g*C/G, (g+1)*C/G). A bipolar input stays bipolar unless `fill` is neither -1 nor +1.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    fill: int = 0

    def __post_init__(self) -> None:
        self._set_ints("kernel", 2, 1)
        self._set_ints("stride", 2, 1)
        self._set_ints("padding", 4, 0)
        self._set_ints("dilation", 2, 1)
        self._set(groups=self.to_int("groups", self.groups, 1), fill=self.to_int("fill", self.fill))

    @property
    def taps(self) -> int:
        """Places of one window: Kh * Kw."""
        return self.kernel[0] * self.kernel[1]

    @property
    def spans(self) -> tuple[int, int]:
        """Rows and columns from the first to the last place of one window, both included."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    @property
    def padded(self) -> bool:
        """True if any side is padded."""
        return any(self.padding)

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """(OH, OW) for an unpadded input of this size; 0 or less if no window fits."""
        top, bottom, left, right = self.padding
        (sh, sw), (rows, columns) = self.stride, self.spans
        return (height + top + bottom - rows) // sh + 1, (width + left + right - columns) // sw + 1

    def infer(self, *types: Type) -> Type:
        return window_type(self, self, self.one(types))

    def pad(self, x: NDArray[Any]) -> NDArray[Any]:
        """x[A, H, W, Z] (any dtype) with `fill` all round; x itself if nothing is padded."""
        if not self.padded:
            return x
        top, bottom, left, right = self.padding
        sides = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(x, sides, constant_values=self.fill)

    def patches(self, x: NDArray[Any]) -> NDArray[Any]:
        """Windows of x[A, H, W, Z] (any dtype) as a read-only view [A, OH, OW, Z, Kh, Kw]."""
        (dh, dw), (sh, sw) = self.dilation, self.stride
        view = sliding_window_view(self.pad(x), self.spans, axis=(1, 2))
        return view[:, ::sh, ::sw, :, ::dh, ::dw]

    def reference(self, *arrays: IntNd) -> IntNd:
        (x,) = arrays
        channels = x.shape[-1] // self.groups
        view = self.patches(x)
        batch, rows, columns, _, kh, kw = view.shape
        view = view.reshape(batch, rows, columns, self.groups, channels, kh, kw)
        taps = view.transpose(0, 1, 2, 3, 5, 6, 4)
        return taps.reshape(batch, rows, columns, self.groups, kh * kw, channels)


def window_type(op: Op, window: Window, x: Type) -> Type:
    """What `window` makes of `x`; errors name `op`, which may be a convolution or pool."""
    if len(x.shape) != 3:
        raise op.error(f"the input must be (H, W, C), got shape {x.shape}; use Reshape")
    height, width, channels = x.shape
    if channels % window.groups:
        raise op.error(f"groups={window.groups} must divide the {channels} input channels")
    top, bottom, left, right = window.padding
    sizes = (height + top + bottom, width + left + right)
    for axis, span, size in zip(("rows", "columns"), window.spans, sizes, strict=True):
        if span > size:
            raise op.error(
                f"the window spans {span} {axis}, but the padded input {x.shape} has {size}; "
                "use a smaller kernel or dilation, or more padding"
            )
    rows, columns = window.positions(height, width)
    shape = (rows, columns, window.groups, window.taps, channels // window.groups)
    if not window.padded or (x.bipolar and window.fill in (-1, 1)):
        return x.with_shape(shape)
    return Type(shape, min(x.lo, window.fill), max(x.hi, window.fill))
