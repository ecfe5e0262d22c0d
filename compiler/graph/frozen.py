"""Read-only integer arrays that compare and hash by content, so that ops may hold them."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.types import shape_text

IntNd = NDArray[np.int64]


def as_int64(values: ArrayLike, what: str) -> IntNd:
    """`values` as a new int64 array of the same integers; GraphError for all but integers."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise GraphError(f"{what}: a rectangular array of integers is needed: {error}") from None
    if array.dtype == object and all(isinstance(v, int | np.integer) for v in array.flat):
        raise GraphError(f"{what}: integers must fit in int64, got some that do not")
    if array.dtype.kind not in "iu":
        raise GraphError(
            f"{what}: integers are needed, got dtype {array.dtype}; round first, then astype(int)"
        )
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise GraphError(f"{what}: integers must fit in int64, got {array.max()}")
    return array.astype(np.int64)


def compact(array: IntNd) -> NDArray[Any]:
    """A read-only, C-ordered copy in the smallest signed dtype that holds the values."""
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    dtype = np.result_type(np.min_scalar_type(min(lo, -1)), np.min_scalar_type(min(~hi, -1)))
    stored = np.array(array, dtype=dtype, order="C")
    stored.setflags(write=False)
    return stored


def digest(kind: str, *arrays: NDArray[Any]) -> str:
    """sha256 (hex) of a kind and of dtype, shape and bytes (little endian) of the arrays."""
    state = hashlib.sha256(kind.encode())
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        state.update(f"|{little.dtype.str}{little.shape}|".encode())
        state.update(little.data)
    return state.hexdigest()


class IntArray:
    """An immutable int64 array: constants of ops (thresholds, multipliers).

    Equality and hash are those of the content (shape and values). `values` is the array itself;
    indexing and `np.asarray` work too.
    """

    def __init__(self, values: "ArrayLike | IntArray", what: str = "IntArray") -> None:
        array = values.values if isinstance(values, IntArray) else as_int64(values, what)
        array = np.ascontiguousarray(array)
        array.setflags(write=False)
        self._values: IntNd = array
        self._digest = digest("IntArray", array)

    @property
    def values(self) -> IntNd:
        """The integers, read-only."""
        return self._values

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self._values.shape

    @property
    def digest(self) -> str:
        """sha256 of the content."""
        return self._digest

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._values, dtype=dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntArray) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return IntArray, (self._values,)  # pickle alone would drop the read-only flag

    def __repr__(self) -> str:
        if self._values.size <= 4:
            return f"IntArray({self._values.tolist()})"
        lo, hi = self._values.min(), self._values.max()
        return f"IntArray({shape_text(self.shape)}, {lo}..{hi}, {self._digest[:8]})"
