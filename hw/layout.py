"""How a tensor travels over a stream: which elements share a beat, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import Type
from hwc.compiler.graph.errors import HwcError

__all__ = ["Layout", "LayoutError"]

Ints = NDArray[np.int64]


class LayoutError(HwcError):
    """A tensor cannot travel in the tile that was asked for."""


@dataclass(frozen=True)
class Layout:
    """A tensor type cut into equal tiles, one tile a beat.

    Parameters
    ----------
    type
        What the stream carries, channels last, one frame.
    tile
        Elements of each axis that one beat carries. A feature map ``(H, W, C)`` with
        ``(1, m, l)`` moves ``m`` neighbouring pixels of ``l`` channels at once.

    Beats run over the axes in row-major order, ``ceil(shape / tile)`` steps an axis. Positions
    past the end of an axis are padding: their bits are arbitrary and a consumer ignores them.
    Inside a beat elements are row-major too, element 0 in the lowest bits.
    """

    type: Type
    tile: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = self.type.shape
        if len(self.tile) != len(shape):
            raise LayoutError(f"tile {self.tile} needs one entry per axis of {shape}")
        for axis, (t, n) in enumerate(zip(self.tile, shape, strict=True)):
            if not 1 <= t <= n:
                raise LayoutError(f"tile {self.tile}: axis {axis} of {shape} takes 1..{n}, not {t}")

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Beats along each axis."""
        return tuple(-(-n // t) for n, t in zip(self.type.shape, self.tile, strict=True))

    @property
    def beats(self) -> int:
        """Beats per frame."""
        return math.prod(self.steps)

    @property
    def elements(self) -> int:
        """Elements per beat, padding included."""
        return math.prod(self.tile)

    @property
    def lanes(self) -> int:
        """Elements of the last axis per beat."""
        return self.tile[-1]

    @property
    def width(self) -> int:
        """Bits per beat."""
        return self.elements * self.type.width

    @property
    def dense(self) -> bool:
        """Whether no beat carries padding."""
        return all(n % t == 0 for n, t in zip(self.type.shape, self.tile, strict=True))

    def valid(self) -> NDArray[np.bool_]:
        """Which elements of which beat are not padding: ``bool[beats, elements]``."""
        return self._cut(np.ones((1, *self.type.shape), bool), False)[0]

    def order(self) -> Ints:
        """Row-major index of each element, -1 for padding: ``int[beats, elements]``."""
        index = np.arange(self.type.size, dtype=np.int64).reshape(1, *self.type.shape)
        return self._cut(index, -1)[0]

    def beats_of(self, x: Ints) -> Ints:
        """Frames ``(batch, *shape)`` as element values ``(batch, beats, elements)``, padding 0."""
        return self._cut(np.asarray(x, np.int64), 0)

    def pack(self, x: Ints, rng: np.random.Generator | None = None) -> list[int]:
        """Frames ``(batch, *shape)`` as beats, each one integer of ``width`` bits.

        Padding bits are 0, or random if ``rng`` is given (nothing may depend on them).
        """
        return [int.from_bytes(row, "little") for row in self.pack_bytes(x, rng)]

    def pack_bytes(self, x: Ints, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        """As :meth:`pack`, but as little-endian bytes ``uint8[beats, ceil(width / 8)]``."""
        values = self.encode(self.beats_of(x)).reshape(-1, self.elements)
        if rng is not None:
            noise = rng.integers(0, 1 << min(self.type.width, 62), values.shape, dtype=np.int64)
            pad = np.tile(~self.valid(), (len(values) // self.beats, 1))
            values = np.where(pad, noise, values)
        bits = (values[:, :, None] >> np.arange(self.type.width)) & 1
        return np.packbits(
            bits.reshape(len(values), -1).astype(np.uint8), axis=1, bitorder="little"
        )

    def unpack(self, beats: Iterable[int]) -> Ints:
        """Beats as frames ``(batch, *shape)``: the inverse of :meth:`pack`."""
        size = -(-self.width // 8)
        raw = b"".join(int(b).to_bytes(size, "little") for b in beats)
        return self.unpack_bytes(np.frombuffer(raw, np.uint8).reshape(-1, size))

    def unpack_bytes(self, rows: NDArray[np.uint8]) -> Ints:
        """As :meth:`unpack`, from little-endian bytes ``uint8[beats, ceil(width / 8)]``."""
        bits = np.unpackbits(rows, axis=1, count=self.width, bitorder="little").astype(np.int64)
        codes = (bits.reshape(len(rows), self.elements, -1) << np.arange(self.type.width)).sum(-1)
        values = self.decode(codes).reshape(-1, self.beats * self.elements)
        order = self.order().ravel()
        out = np.zeros((len(values), self.type.size), np.int64)
        out[:, order[order >= 0]] = values[:, order >= 0]
        return out.reshape(-1, *self.type.shape)

    def encode(self, values: Ints) -> Ints:
        """Element values as the unsigned codes that go over the wire."""
        if self.type.bipolar:
            return (values > 0).astype(np.int64)
        return values & ((1 << self.type.width) - 1)

    def decode(self, codes: Ints) -> Ints:
        """The inverse of :meth:`encode`."""
        if self.type.bipolar:
            return 2 * codes - 1
        if self.type.signed:
            half = 1 << (self.type.width - 1)
            return (codes ^ half) - half
        return codes

    def _cut(self, x: NDArray, fill: int | bool) -> NDArray:
        """``(batch, *shape)`` as ``(batch, beats, elements)``."""
        batch, rank = x.shape[0], len(self.tile)
        if x.shape[1:] != self.type.shape:
            raise LayoutError(f"frames of {x.shape[1:]} do not fit a stream of {self.type.shape}")
        full = [s * t for s, t in zip(self.steps, self.tile, strict=True)]
        pad = [(0, 0), *((0, f - n) for f, n in zip(full, self.type.shape, strict=True))]
        x = np.pad(x, pad, constant_values=fill)
        split = [v for s, t in zip(self.steps, self.tile, strict=True) for v in (s, t)]
        x = x.reshape(batch, *split)
        outer = [1 + 2 * i for i in range(rank)]
        inner = [2 + 2 * i for i in range(rank)]
        return x.transpose(0, *outer, *inner).reshape(batch, self.beats, self.elements)
