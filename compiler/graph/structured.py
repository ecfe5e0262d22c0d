"""Weights with structure: few values, powers of two, many zeros.

A method of compression leaves its mark on the integers themselves (a pruned weight is 0, a shared
one equals others), so nothing else has to travel with a network: `recognize` finds the structure
again, in networks of any origin.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.types import wire_width
from hwc.compiler.graph.weights import Binary, Dense, Elementwise, Ternary, Weights

__all__ = [
    "GAP_BITS",
    "Codebook",
    "NMSparse",
    "PowerOfTwo",
    "Sparse",
    "entries",
    "recognize",
    "recognize_values",
]

GAP_BITS = range(1, 17)
PATTERNS = ((1, 2), (2, 4), (1, 4), (4, 8), (2, 8), (1, 8))
"""N:M patterns that `recognize` looks for."""


class PowerOfTwo(Elementwise):
    """0 and +-2**e: a sign and the number of the exponent (or of zero) each."""

    def __init__(self, values: ArrayLike) -> None:
        super().__init__(values)
        sizes = np.abs(np.unique(self._stored).astype(object))
        wrong = [int(v) for v in sizes if v & (v - 1)]
        if wrong:
            raise GraphError(
                f"PowerOfTwo: weights must be 0 or +-2**e, got {wrong[0]}; use Codebook or Dense"
            )
        exponents = [int(v).bit_length() for v in sizes if v]
        span = max(exponents) - min(exponents) + 1 if exponents else 0
        self._codes = span + (0 in sizes)

    def bits(self) -> int:
        return self.size * (1 + _index_bits(self._codes))


class Codebook(Elementwise):
    """A few values: an index each, and the table of values."""

    def __init__(self, values: ArrayLike) -> None:
        super().__init__(values)
        self._table = np.unique(self._stored).astype(np.int64)
        self._table.setflags(write=False)

    @property
    def table(self) -> IntNd:
        """The values that occur, in rising order, read-only."""
        return self._table

    def indices(self) -> IntNd:
        """Places in `table`, in the shape of the weights."""
        return np.searchsorted(self._table, self.dense())

    def bits(self) -> int:
        return self.size * _index_bits(len(self._table)) + _table_bits(self._table)


class _Rows(Elementwise):
    """Weights in `rows` rows of equal length; the shape may group rows and columns further."""

    def __init__(self, values: ArrayLike, rows: int | None = None) -> None:
        super().__init__(values)
        self.rows = self.shape[0] if rows is None else rows
        if self.rows < 1 or self.size % self.rows:
            raise GraphError(
                f"{type(self).__name__}: {self.size} weights do not make {self.rows} equal rows"
            )

    @property
    def kind(self) -> str:
        return f"{super().kind} {self.rows}"

    @property
    def matrix(self) -> IntNd:
        """The rows, (rows, length)."""
        return self.dense().reshape(self.rows, -1)

    def _again(self, values: NDArray[Any]) -> Self:
        return type(self)(values, self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._stored, self.rows)


class Sparse(_Rows):
    """The weights other than 0 of each row, each with the number of zeros before it (EIE,
    arXiv 1602.01528).

    A gap of `gap_bits` bits counts to 2**gap_bits - 1; a longer run stores a weight 0. `gap_bits`
    is the number that makes the fewest bits. A value is stored plainly or as an index into a table,
    whichever is less. Each row has a count of its entries.
    """

    def __init__(self, values: ArrayLike, rows: int | None = None) -> None:
        super().__init__(values, rows)
        runs, table = self._runs(), np.unique(self._stored)
        self.nonzeros = len(runs)
        """Weights other than 0."""
        plain, index, shared = (
            wire_width(self.lo, self.hi),
            _index_bits(len(table)),
            _table_bits(table),
        )
        worth = (plain - index) * self.nonzeros > shared
        self._value_bits, self._table_bits = (index, shared) if worth else (plain, 0)
        self.gap_bits = min(GAP_BITS, key=lambda g: entries(runs, g) * (g + self._value_bits))
        self.entries = entries(runs, self.gap_bits)
        """Stored weights: those other than 0, and the zeros that break long runs."""

    def bits(self) -> int:
        counts = self.rows * int(self.matrix.shape[1]).bit_length()
        return self.entries * (self.gap_bits + self._value_bits) + self._table_bits + counts

    def _runs(self) -> IntNd:
        """Zeros before each weight other than 0, within its row."""
        row, column = np.nonzero(self.matrix)
        before = np.where(np.diff(row, prepend=-1) > 0, -1, np.roll(column, 1))
        return column - before - 1


class NMSparse(_Rows):
    """At most `n` weights other than 0 among each `m` neighbours of a row: `n` values with their
    places in the group."""

    def __init__(self, values: ArrayLike, rows: int | None = None, n: int = 2, m: int = 4) -> None:
        super().__init__(values, rows)
        self.n, self.m = n, m
        if not 0 < n < m or self.size // self.rows % m:
            raise GraphError(
                f"NMSparse: {n}:{m} needs 0 < n < m and rows whose length m divides, "
                f"got rows of {self.size // self.rows}"
            )
        full = np.count_nonzero(self._stored.reshape(-1, m), axis=1)
        if full.max() > n:
            raise GraphError(
                f"NMSparse: a group of {m} has {int(full.max())} weights other than 0, "
                f"{n} are allowed; use Sparse"
            )

    @property
    def kind(self) -> str:
        return f"{super().kind} {self.n}:{self.m}"

    def bits(self) -> int:
        entry = wire_width(self.lo, self.hi) + _index_bits(self.m)
        return self.size // self.m * self.n * entry

    def _again(self, values: NDArray[Any]) -> Self:
        return type(self)(values, self.rows, self.n, self.m)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._stored, self.rows, self.n, self.m)


def recognize(values: ArrayLike) -> Weights:
    """The form of these integers that needs the fewest bits; of equal ones the plainest.

    -1 and +1 alone are always Binary, which has units of its own. Axis 0 counts rows.
    """
    plain = recognize_values(values)
    stored, forms = plain.dense(), [plain]
    if not isinstance(plain, Binary) and (stored == 0).any():
        rows = stored.reshape(len(stored), -1)
        forms += [NMSparse(stored, n=n, m=m) for n, m in PATTERNS if _fits(rows, n, m)]
        forms.append(Sparse(stored))
    return min(forms, key=lambda form: form.bits())


def recognize_values(values: ArrayLike) -> Weights:
    """`recognize` by which values occur alone, wherever the zeros are."""
    dense = Dense(values)
    stored = dense.dense()
    kinds = np.unique(stored)
    if np.isin(kinds, (-1, 1)).all():
        return Binary(stored)
    forms: list[Weights] = [Ternary(stored)] if np.isin(kinds, (-1, 0, 1)).all() else [dense]
    if all(int(v) & (int(v) - 1) == 0 for v in np.abs(kinds)):
        forms.append(PowerOfTwo(stored))
    if len(kinds) < dense.size:
        forms.append(Codebook(stored))
    return min(forms, key=lambda form: form.bits())


def entries(runs: IntNd, gap_bits: int) -> int:
    """What relative indices of so many bits store for runs of zeros that each end in a weight other
    than 0: these weights, and a zero for every 2**gap_bits of a run."""
    return len(runs) + int((runs >> gap_bits).sum())


def _fits(rows: IntNd, n: int, m: int) -> bool:
    if rows.shape[1] % m:
        return False
    return int(np.count_nonzero(rows.reshape(-1, m), axis=1).max()) <= n


def _index_bits(count: int) -> int:
    """Bits that number `count` things: 0 for one."""
    return max(count - 1, 0).bit_length()


def _table_bits(table: np.ndarray) -> int:
    return len(table) * wire_width(int(table.min()), int(table.max()))
