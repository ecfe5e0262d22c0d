"""How integers that enter and leave the hardware relate to what the network's author knows."""

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

    @classmethod
    def of(cls, stream: Stream, section: dict[str, Any]) -> "Encoding":
        """From the input's section of the manifest."""
        scale = np.array(section["scale"], np.float64)
        return cls(stream, section["encoding"], scale, section["zero"])

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
            codes = np.clip(np.rint(x / self.scale) + self.zero, self.stream.lo, self.stream.hi)
        return codes.reshape(len(x), -1).astype(np.int64)


@dataclass(frozen=True)
class Reading:
    """An output: `clip(slope * code + offset, low, high)`, in the order of the network's author."""

    shape: tuple[int, ...]
    order: tuple[int, ...] | None
    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, section: dict[str, Any]) -> "Reading":
        """From the output's section of the manifest."""
        values = [
            np.array([float(Fraction(v)) if "inf" not in v else float(v) for v in section[key]])
            for key in ("slope", "offset", "low", "high")
        ]
        order = section["order"]
        return cls(tuple(section["source_shape"]), None if order is None else tuple(order), *values)

    def real(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Codes (batch, ...) as real values (batch, *source)."""
        last = (*self.shape[1:], self.shape[0]) if self.order is None else (len(self.order),)
        codes = codes.reshape(-1, *last)
        y = np.clip(self.slope * codes + self.offset, self.low, self.high)
        if self.order is not None:
            return y[:, list(self.order)].reshape(-1, *self.shape)
        return np.moveaxis(y, -1, 1)
