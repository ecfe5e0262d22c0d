"""Products with constant weights: matrix, grouped matrix, and convolutions."""

from dataclasses import dataclass
from functools import cached_property

from hwc.compiler.graph import exact
from hwc.compiler.graph.convolve import convolve
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.interval import accumulator_type
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type
from hwc.compiler.graph.weights import Weights
from hwc.compiler.graph.window import Window, window_type


@dataclass(frozen=True)
class MatMul(Op):
    """y[..., n] = sum_k weight[n, k] * x[..., k]: (..., K) -> (..., N)."""

    weight: Weights

    def __post_init__(self) -> None:
        check_weight(self, self.weight, "N, K")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        outputs, inputs = self.weight.shape
        if x.shape[-1] != inputs:
            raise self.error(
                f"the last axis of the input must be K={inputs} of the weight, got shape {x.shape}"
            )
        return accumulator_type(self, (*x.shape[:-1], outputs), self.weight.dense(), x)

    def reference(self, *arrays: IntNd) -> IntNd:
        return exact.matmul(arrays[0], self.weight.dense(), self._norm)

    @cached_property
    def _norm(self) -> int:
        return exact.norm(self.weight.dense())


@dataclass(frozen=True)
class GroupedMatMul(Op):
    """y[..., g*Ng + n] = sum_{t, c} weight[g, n, t, c] * x[..., g, t, c].

    (..., G, T, Cg) -> (..., G*Ng) with weight (G, Ng, T, Cg): a convolution after its Window.
    """

    weight: Weights

    def __post_init__(self) -> None:
        check_weight(self, self.weight, "G, Ng, T, Cg")

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        groups, outputs, taps, channels = self.weight.shape
        if x.shape[-3:] != (groups, taps, channels):
            raise self.error(
                f"the input must end in (G, T, Cg) = {(groups, taps, channels)} of the weight, "
                f"got shape {x.shape}"
            )
        rows = self.weight.dense().reshape(groups * outputs, -1)
        return accumulator_type(self, (*x.shape[:-3], groups * outputs), rows, x)

    def reference(self, *arrays: IntNd) -> IntNd:
        (x,) = arrays
        groups, outputs = self.weight.shape[:2]
        w = self.weight.dense().reshape(groups, outputs, -1)
        y = exact.grouped_matmul(x.reshape(-1, groups, w.shape[2]), w, self._norm)
        return y.reshape(*x.shape[:-3], groups * outputs)

    @cached_property
    def _norm(self) -> int:
        return exact.norm(self.weight.dense().reshape(*self.weight.shape[:2], -1))


@dataclass(frozen=True)
class Conv2d(Op):
    """2-D convolution (cross-correlation, as in PyTorch): (H, W, C) -> (OH, OW, N).

    weight is (N, Kh, Kw, C/groups); outputs [g*N/groups, (g+1)*N/groups) see the channels of
    group g. `padding` is (top, bottom, left, right) and pads the integer 0, also when the input is
    bipolar. Output sizes are those of Window. To pad another integer use Window with `fill`.
    """

    weight: Weights
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        check_weight(self, self.weight, "N, Kh, Kw, C/groups")
        self._set_ints("stride", 2, 1)
        self._set_ints("padding", 4, 0)
        self._set_ints("dilation", 2, 1)
        self._set(groups=check_groups(self, self.groups, self.weight))

    @property
    def window(self) -> Window:
        """The im2col of this convolution; `product` of it is the convolution."""
        kernel = self.weight.shape[1], self.weight.shape[2]
        return Window(kernel, self.stride, self.padding, self.dilation, self.groups)

    @property
    def product(self) -> GroupedMatMul:
        """The product that makes this convolution of its `window`."""
        outputs, kh, kw, channels = self.weight.shape
        shape = (self.groups, outputs // self.groups, kh * kw, channels)
        return GroupedMatMul(self.weight.reshape(shape))

    @property
    def pointwise(self) -> bool:
        """True if this is a MatMul over the channels: 1x1, stride 1, one group, no padding."""
        plain = self.stride == (1, 1) and self.groups == 1 and not any(self.padding)
        return plain and self.weight.shape[1:3] == (1, 1)

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        channels = self.groups * self.weight.shape[3]
        if len(x.shape) != 3 or x.shape[2] != channels:
            raise self.error(
                f"the input must be (H, W, {channels}) for weight {self.weight.shape} and "
                f"groups={self.groups}, got shape {x.shape}"
            )
        taps = window_type(self, self.window, x)
        outputs = self.weight.shape[0]
        rows = self.weight.dense().reshape(outputs, -1)
        return accumulator_type(self, (*taps.shape[:2], outputs), rows, taps)

    def reference(self, *arrays: IntNd) -> IntNd:
        w = self.weight.dense()
        if self.pointwise:
            return exact.matmul(arrays[0], w[:, 0, 0], self._norm)
        return convolve(arrays[0], w, self.window, self._norm)

    @cached_property
    def _norm(self) -> int:
        return exact.norm(self.weight.dense().reshape(self.weight.shape[0], -1))


@dataclass(frozen=True)
class Conv1d(Op):
    """1-D convolution: (L, C) -> (OL, N).

    weight is (N, K, C/groups), padding (left, right); the rest is that of Conv2d.
    """

    weight: Weights
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        check_weight(self, self.weight, "N, K, C/groups")
        self._set_ints("padding", 2, 0)
        self._set(
            stride=self.to_int("stride", self.stride, 1),
            dilation=self.to_int("dilation", self.dilation, 1),
            groups=check_groups(self, self.groups, self.weight),
        )

    @property
    def as_2d(self) -> Conv2d:
        """The same convolution on (1, L, C)."""
        outputs, taps, channels = self.weight.shape
        weight = self.weight.reshape((outputs, 1, taps, channels))
        padding = (0, 0, *self.padding)
        return Conv2d(weight, (1, self.stride), padding, (1, self.dilation), self.groups)

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        outputs, _, channels = self.weight.shape
        channels *= self.groups
        if len(x.shape) != 2 or x.shape[1] != channels:
            raise self.error(
                f"the input must be (L, {channels}) for weight {self.weight.shape} and "
                f"groups={self.groups}, got shape {x.shape}"
            )
        taps = window_type(self, self.as_2d.window, x.with_shape((1, *x.shape)))
        rows = self.weight.dense().reshape(outputs, -1)
        return accumulator_type(self, (taps.shape[1], outputs), rows, taps)

    def reference(self, *arrays: IntNd) -> IntNd:
        return self.as_2d.reference(arrays[0][:, None])[:, 0]


def check_weight(op: Op, weight: Weights, axes: str) -> None:
    """GraphError unless `weight` is a Weights with as many axes as the text `axes` names."""
    if not isinstance(weight, Weights):
        raise op.error(f"weight must be Weights, such as Dense(array), got {type(weight).__name__}")
    if len(weight.shape) != len(axes.split(",")):
        raise op.error(f"weight must be ({axes}), got shape {weight.shape}")


def check_groups(op: Op, groups: int, weight: Weights) -> int:
    """`groups` as a plain int >= 1 that divides the weight's N; GraphError otherwise."""
    groups = op.to_int("groups", groups, 1)
    if weight.shape[0] % groups:
        raise op.error(f"groups={groups} must divide the {weight.shape[0]} outputs of the weight")
    return groups
