"""Integer weights as values: read-only, compared by content, and honest about their bits."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.frozen import IntNd, as_int64, compact, digest
from hwc.compiler.graph.types import int_tuple, shape_text, wire_width


class Weights(ABC):
    """A tensor of integer weights in some stored form.

    Every form stands for one dense integer tensor; two weights are equal if they are of the same
    form and content. `lo` and `hi` are the smallest and largest weight that occurs.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of `dense()`."""

    @property
    @abstractmethod
    def lo(self) -> int:
        """Smallest weight."""

    @property
    @abstractmethod
    def hi(self) -> int:
        """Largest weight."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """sha256 (hex) of form and content."""

    @abstractmethod
    def dense(self) -> IntNd:
        """The integers, int64 and read-only; built at each call, so keep it in a local."""

    @abstractmethod
    def bits(self) -> int:
        """Bits a memory needs for this form, indices and tables included."""

    @abstractmethod
    def reshape(self, shape: Iterable[int]) -> "Weights":
        """The same form and integers, in row-major order, in another shape."""

    @property
    def size(self) -> int:
        """Number of weights, zeros included."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({shape_text(self.shape)}, {self.lo}..{self.hi}, {self.digest[:8]})"


class Elementwise(Weights):
    """Forms that store each weight on its own; held in the smallest integer dtype."""

    def __init__(self, values: ArrayLike) -> None:
        name = type(self).__name__
        array = as_int64(values, name)
        if array.ndim == 0 or array.size == 0:
            raise GraphError(f"{name}: at least one weight is needed, got shape {array.shape}")
        self._stored = compact(array)
        self._lo, self._hi = int(array.min()), int(array.max())

    @property
    def shape(self) -> tuple[int, ...]:
        return self._stored.shape

    @property
    def lo(self) -> int:
        return self._lo

    @property
    def hi(self) -> int:
        return self._hi

    @property
    def kind(self) -> str:
        """The form and its options, as the digest names them."""
        return type(self).__name__

    @cached_property
    def digest(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return digest(self.kind, self._stored)

    def dense(self) -> IntNd:
        array = self._stored.astype(np.int64)
        array.setflags(write=False)
        return array

    def reshape(self, shape: Iterable[int]) -> Self:
        target = int_tuple(shape)
        if int(np.prod(target, dtype=np.int64)) != self.size or min(target) < 1:
            raise GraphError(f"{self!r}: cannot be reshaped to {target}; the size must stay")
        return self._again(self._stored.reshape(target))

    def _again(self, values: NDArray[Any]) -> Self:
        """The same form, of the same options, of other integers."""
        return type(self)(values)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._stored,)  # pickle alone would drop the read-only flag


class Dense(Elementwise):
    """Any integers, all stored at the width of the widest (two's complement if one is < 0)."""

    def bits(self) -> int:
        return self.size * wire_width(self.lo, self.hi)


class Binary(Elementwise):
    """-1 and +1: one bit each."""

    def __init__(self, values: ArrayLike) -> None:
        super().__init__(values)
        _only(self, (-1, 1))

    def bits(self) -> int:
        return self.size


class Ternary(Elementwise):
    """-1, 0 and +1: two bits each (sign and non-zero), as a datapath reads them."""

    def __init__(self, values: ArrayLike) -> None:
        super().__init__(values)
        _only(self, (-1, 0, 1))

    def bits(self) -> int:
        return 2 * self.size


def _only(weights: Weights, legal: tuple[int, ...]) -> None:
    values = weights.dense()
    wrong = values[~np.isin(values, legal)]
    if wrong.size:
        name = type(weights).__name__
        raise GraphError(
            f"{name}: weights must be among {legal}, got {int(wrong[0])} "
            f"({wrong.size} of {values.size}); use Dense for other integers"
        )
