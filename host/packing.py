"""Frames to records of memory and back; the format is that of docs/shell.md.

All work is done by numpy on whole batches: one gather and one copy each way.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DriverError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """One input or output of the network, as its section of the manifest describes it.

    `shape` is the hardware's (channels last), `source` the network's own (channels first, without
    batch). `tile` elements make a beat; `offset`, `nbytes` and `element` are bytes in a record.
    """

    name: str
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    source: tuple[int, ...]
    lo: int
    hi: int
    signed: bool
    bipolar: bool
    offset: int
    nbytes: int
    element: int

    @classmethod
    def of(cls, name: str, section: dict[str, Any]) -> "Stream":
        """From `manifest["inputs"][name]` or `manifest["outputs"][name]`."""
        memory = section["memory"]
        return cls(
            name,
            tuple(section["shape"]),
            tuple(section["tile"]),
            tuple(section["source_shape"]),
            section["lo"],
            section["hi"],
            section["signed"],
            section["bipolar"],
            memory["offset"],
            memory["bytes"],
            memory["element_bytes"],
        )

    @property
    def size(self) -> int:
        """Elements of a frame."""
        return int(np.prod(self.shape))

    @cached_property
    def order(self) -> Ints:
        """Which element of the tensor lies at each place of memory; -1 for padding."""
        steps = [-(-n // t) for n, t in zip(self.shape, self.tile, strict=True)]
        full = [s * t for s, t in zip(steps, self.tile, strict=True)]
        index = np.full(full, -1, np.int64)
        index[tuple(map(slice, self.shape))] = np.arange(self.size).reshape(self.shape)
        split = [n for pair in zip(steps, self.tile, strict=True) for n in pair]
        axes = [*range(0, len(split), 2), *range(1, len(split), 2)]
        return index.reshape(split).transpose(axes).ravel()

    @cached_property
    def places(self) -> Ints:
        """Where in memory each element of the tensor lies."""
        real = np.flatnonzero(self.order >= 0)
        out = np.empty(self.size, np.int64)
        out[self.order[real]] = real
        return out

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an element in memory."""
        kind = "i" if self.signed and not self.bipolar else "u"
        return np.dtype(f"<{kind}{self.element}")

    def pack(self, values: NDArray[Any], records: NDArray[np.uint8]) -> None:
        """Integers (batch, size) of the tensor into `records` (batch, stride)."""
        codes = (values > 0) if self.bipolar else values
        padded = np.zeros((len(values), len(self.order)), self.dtype)
        padded[:, self.places] = codes
        part = records[:, self.offset : self.offset + len(self.order) * self.element]
        part[:] = padded.view(np.uint8)

    def unpack(self, records: NDArray[np.uint8]) -> Ints:
        """The integers (batch, *shape) in `records` (batch, stride)."""
        end = self.offset + len(self.order) * self.element
        part = np.ascontiguousarray(records[:, self.offset : end])
        values = part.view(self.dtype)[:, self.places].astype(np.int64)
        if self.bipolar:
            values = 2 * values - 1
        return values.reshape(-1, *self.shape)

    def checked(self, x: Any) -> NDArray[Any]:
        """A batch as integers; DriverError if shape, kind or range are not the network's."""
        x = np.asarray(x)
        if x.shape[1:] != self.source or not len(x):
            raise DriverError(
                f"input {self.name!r} takes (batch, {', '.join(map(str, self.source))}), "
                f"got {x.shape}"
            )
        if x.dtype.kind not in "iub":
            raise DriverError(f"input {self.name!r} takes raw integers, got {x.dtype}")
        if x.min() < self.lo or x.max() > self.hi:
            raise DriverError(
                f"input {self.name!r} takes {self.lo}..{self.hi}, got {x.min()}..{x.max()}"
            )
        return x
