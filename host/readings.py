"""How integers that enter and leave the hardware relate to what the network's author knows."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import Stream


@dataclass(frozen=True)
class Encoding:
    """An input: `raw` integers as they are, real values to `quantize`, or their `sign`."""

    stream: Stream
    kind: str
    scale: NDArray[np.float64]
    zero: int
    joint: bool = False

    @classmethod
    def of(cls, stream: Stream, section: dict[str, Any]) -> "Encoding":
        """From the input's section of the manifest."""
        scale = np.array(section["scale"], np.float64)
        return cls(stream, section["encoding"], scale, section["zero"], section["joint"])

    def encode(self, x: Any) -> NDArray[Any]:
        """(batch, *source) to the integers (batch, size) of the stream."""
        x = np.asarray(x)
        if self.kind == "raw":
            x = np.moveaxis(self.stream.checked(x), 1, -1)
            return x.reshape(len(x), -1)
        x = np.moveaxis(x.astype(np.float64), 1, -1)
        if self.kind == "sign":
            codes = np.where(x >= 0, 1, -1)
        else:
            x = x / self.scale
            codes = np.rint(x + self.zero) if self.joint else np.rint(x) + self.zero
            codes = np.clip(codes, self.stream.lo, self.stream.hi)
        return codes.reshape(len(x), -1).astype(np.int64)


def _numbers(texts: list[str]) -> NDArray[np.float64]:
    """Fractions as text, infinities among them."""
    return np.array([float(t) if "inf" in t else float(Fraction(t)) for t in texts])


def _softmax(y: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(y - y.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _sigmoid(y: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(y))  # never overflows
    return np.where(y >= 0, 1, small) / (1 + small)


STEPS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "normalize": _softmax,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "leak": lambda y, slope: np.where(y >= 0, y, y * slope),
    "line": lambda y, scale, shift: y * scale + shift,
    "clip": lambda y, low, high: np.minimum(np.maximum(y, low), high),
}
"""What may follow the integers of an output, by its name in the manifest; channels are last."""


@dataclass(frozen=True)
class Reading:
    """An output: `clip(slope * code + offset, low, high)`, then `steps`, in the order of the
    network's author. A `second` line (slope, offset, largest) is that of a leaky ReLU: where
    `largest`, the larger of both counts, elsewhere the smaller."""

    shape: tuple[int, ...]
    order: tuple[int, ...] | None
    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    second: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None = None
    steps: tuple[tuple[str, tuple[NDArray[np.float64], ...]], ...] = ()

    @classmethod
    def of(cls, section: dict[str, Any]) -> "Reading":
        """From the output's section of the manifest."""
        line = _numbers(section["slope"]), _numbers(section["offset"])
        clip = _numbers(section["low"]), _numbers(section["high"])
        order, second = section["order"], section["second"]
        if second is not None:
            largest = np.array(second["largest"], np.bool_)
            second = _numbers(second["slope"]), _numbers(second["offset"]), largest
        steps = tuple((name, tuple(map(_numbers, rest))) for name, *rest in section["steps"])
        shape, order = tuple(section["source_shape"]), None if order is None else tuple(order)
        return cls(shape, order, *line, *clip, second, steps)

    def real(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Codes (batch, ...) as real values (batch, *source)."""
        last = (*self.shape[1:], self.shape[0]) if self.order is None else (len(self.order),)
        codes = codes.reshape(-1, *last)
        y = self.slope * codes + self.offset
        if self.second is not None:
            slope, offset, largest = self.second
            other = slope * codes + offset
            y = np.where(largest, np.maximum(y, other), np.minimum(y, other))
        y = np.clip(y, self.low, self.high)
        for name, numbers in self.steps:
            y = STEPS[name](y, *numbers)
        if self.order is not None:
            return y[:, list(self.order)].reshape(-1, *self.shape)
        return np.moveaxis(y, -1, 1)
