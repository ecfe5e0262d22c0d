"""Operations of a source as functions of PyTorch, which capture takes back."""

import functools
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from hwc.compiler.source import (
    Add,
    AvgPool,
    Concat,
    Flatten,
    Function,
    GlobalAvgPool,
    HardTanh,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
    Slice,
    Softmax,
    SourceOp,
    Transpose,
    Upsample,
)

__all__ = ["Call", "call_of", "padded"]

Call = Callable[..., Tensor]
CURVES: dict[str, Call] = {
    "abs": torch.abs,
    "erf": torch.erf,
    "exp": torch.exp,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "log": torch.log,
    "reciprocal": torch.reciprocal,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}


def call_of(op: SourceOp) -> Call | None:
    """The function of an operation without constants, or None."""
    match op:
        case HardTanh():
            return partial(torch.clamp, min=op.lo, max=op.hi)
        case Function():
            return _curve(op)
        case Softmax():
            return partial(torch.softmax, dim=1)
        case Add():
            return lambda *x: functools.reduce(torch.add, x[1:], x[0])
        case Multiply():
            return torch.mul
        case MaxPool() if op.padding[::2] == op.padding[1::2]:
            most = F.max_pool2d if len(op.kernel) == 2 else F.max_pool1d
            return lambda x: most(x, op.kernel, op.stride, op.padding[::2], op.dilation)
        case AvgPool() if op.padding[::2] == op.padding[1::2]:
            pool = F.avg_pool2d if len(op.kernel) == 2 else F.avg_pool1d
            ceil = any(op.extra)
            return lambda x: pool(
                x, op.kernel, op.stride, op.padding[::2], ceil, op.count_include_pad
            )
        case GlobalAvgPool():
            return lambda x: x.flatten(2).mean(2)
        case _:
            return _move(op)


def padded(padding: tuple[int, ...], value: float = 0.0) -> Call:
    """The function that pads positions, sides as in a source: (before, after), outer axis first."""
    sides = [padding[i : i + 2] for i in range(0, len(padding), 2)]
    flat = [n for side in reversed(sides) for n in side]
    return lambda x: F.pad(x, flat, value=value)


def _move(op: SourceOp) -> Call | None:
    match op:
        case Concat():
            return lambda *x: torch.cat(x, op.axis)
        case Flatten():
            return partial(torch.flatten, start_dim=1)
        case Reshape():
            return lambda x: x.reshape(-1, *op.shape)
        case Pad():
            return padded(op.padding, op.value)
        case Slice():
            cut = (slice(None),) * op.axis + (slice(op.start, op.stop, op.step),)
            return lambda x: x[cut]
        case Transpose():
            return lambda x: x.permute(0, *op.perm)
        case Upsample():
            return lambda x: F.interpolate(x, scale_factor=list(map(float, op.factors)))
        case _:
            return None


def _curve(op: Function) -> Call | None:
    match op.curve:
        case "hard_sigmoid":
            return lambda x: torch.clamp(op.alpha * x + op.beta, 0.0, 1.0)
        case "pow":
            return lambda x: torch.pow(x, op.alpha)
        case "elu":
            return partial(F.elu, alpha=op.alpha)
        case "selu":
            return lambda x: op.beta * F.elu(x, op.alpha)
        case _:
            return CURVES.get(op.curve)
