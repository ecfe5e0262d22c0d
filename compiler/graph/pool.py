"""Maximum and sum over windows or whole maps. An average is a sum; 1/k belongs to what follows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import INT64_MIN, Type
from hwc.compiler.graph.window import Window, window_type

Reduction = Literal["max", "sum"]


@dataclass(frozen=True)
class WindowReduce(Op):
    """Maximum or sum over the taps of a window of single channels: (..., C, T, 1) -> (..., C)."""

    kind: Reduction

    def __post_init__(self) -> None:
        if self.kind not in ("max", "sum"):
            raise self.error(f"kind must be 'max' or 'sum', got {self.kind!r}")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        if len(x.shape) < 3 or x.shape[-1] != 1:
            raise self.error(
                f"the input must be (..., C, T, 1), got shape {x.shape}; use Window with groups=C"
            )
        taps, shape = x.shape[-2], x.shape[:-2]
        if self.kind == "max":
            return x.with_shape(shape)
        return self.result(shape, taps * x.lo, taps * x.hi)

    def reference(self, *arrays: IntNd) -> IntNd:
        taps = arrays[0][..., 0]
        return taps.max(axis=-1) if self.kind == "max" else taps.sum(axis=-1)


@dataclass(frozen=True)
class MaxPool2d(Op):
    """Maximum of each channel over windows: (H, W, C) -> (OH, OW, C), sizes as Window.

    `padding` is (top, bottom, left, right); padded places hold the lowest code of the input's type
    and so never win: every window must hold at least one place of the input.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        self._set_ints("kernel", 2, 1)
        self._set_ints("stride", 2, 1)
        self._set_ints("padding", 4, 0)
        self._set_ints("dilation", 2, 1)

    def window(self, x: Type) -> Window:
        """The windows of an input of type `x`, one group per channel."""
        return Window(self.kernel, self.stride, self.padding, self.dilation, x.shape[-1], x.lo)

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        taps = window_type(self, self.window(x), x)
        real = Window(self.kernel, self.stride, self.padding, self.dilation)
        inside = real.patches(np.ones((1, *x.shape[:2], 1), np.int8)).any(axis=(-2, -1))
        if not inside.all():
            row, column = (int(i) for i in np.argwhere(~inside)[0][1:3])
            raise self.error(
                f"every window must hold a place of the input {x.shape}, but the one at "
                f"({row}, {column}) holds padding only; use less padding than {self.padding}"
            )
        return x.with_shape((*taps.shape[:2], x.shape[2]))

    def reference(self, *arrays: IntNd) -> IntNd:
        window = Window(self.kernel, self.stride, self.padding, self.dilation, 1, INT64_MIN)
        return _slide(np.maximum, window, arrays[0])


@dataclass(frozen=True)
class SumPool2d(Op):
    """Sum of each channel over windows: (H, W, C) -> (OH, OW, C), sizes as Window.

    `padding` is (top, bottom, left, right) and pads the integer 0.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        self._set_ints("kernel", 2, 1)
        self._set_ints("stride", 2, 1)
        self._set_ints("padding", 4, 0)

    def window(self, x: Type) -> Window:
        """The windows of an input of type `x`, one group per channel."""
        return Window(self.kernel, self.stride, self.padding, (1, 1), x.shape[-1], 0)

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        window = self.window(x)
        taps = window_type(self, window, x)
        shape = (*taps.shape[:2], x.shape[2])
        return self.result(shape, window.taps * taps.lo, window.taps * taps.hi)

    def reference(self, *arrays: IntNd) -> IntNd:
        return _slide(np.add, Window(self.kernel, self.stride, self.padding), arrays[0])


def _slide(reduce: np.ufunc, window: Window, x: IntNd) -> IntNd:
    """`reduce` over the windows of x[B, H, W, C]: over their rows, then over their columns."""
    rows, columns = window.positions(*x.shape[1:3])
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    x = window.pad(x)
    tall = x[:, : sh * (rows - 1) + 1 : sh].copy()
    for k in range(1, kh):
        reduce(tall, x[:, k * dh : k * dh + sh * (rows - 1) + 1 : sh], out=tall)
    y = tall[:, :, : sw * (columns - 1) + 1 : sw].copy()
    for k in range(1, kw):
        reduce(y, tall[:, :, k * dw : k * dw + sw * (columns - 1) + 1 : sw], out=y)
    return y


@dataclass(frozen=True)
class GlobalSumPool(Op):
    """Sum of each channel over the whole map: (..., C) -> (C,)."""

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        places = map_places(self, x)
        return self.result(x.shape[-1:], places * x.lo, places * x.hi)

    def reference(self, *arrays: IntNd) -> IntNd:
        (x,) = arrays
        return x.reshape(len(x), -1, x.shape[-1]).sum(axis=1)


@dataclass(frozen=True)
class GlobalMaxPool(Op):
    """Maximum of each channel over the whole map: (..., C) -> (C,)."""

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        map_places(self, x)
        return x.with_shape(x.shape[-1:])

    def reference(self, *arrays: IntNd) -> IntNd:
        (x,) = arrays
        return x.reshape(len(x), -1, x.shape[-1]).max(axis=1)


def map_places(op: Op, x: Type) -> int:
    """Places of a map (..., C), all axes but the last; GraphError if there is none."""
    if len(x.shape) < 2:
        raise op.error(f"the input must be (..., C) with at least 2 axes, got {x.shape}")
    return x.size // x.shape[-1]
