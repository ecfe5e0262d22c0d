"""Any function of an element: a table of its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwc.compiler.graph.elementwise import check_channels
from hwc.compiler.graph.frozen import IntArray, IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type


@dataclass(frozen=True, init=False)
class Table(Op):
    """y = values[c, x - lo], c the channel (last axis) or 0 if all share one row.

    `values` is (C or 1, L); a plain (L,) is one row. The input must lie in [lo, lo + L - 1]. The
    type is the interval of the entries that the input's interval reaches (a bipolar input reaches
    those of -1 and +1), bipolar if these are -1 and +1 only.
    """

    values: IntArray
    lo: int

    def __init__(self, values: ArrayLike | IntArray, lo: int) -> None:
        table = IntArray(values, "Table: values")
        if len(table.shape) == 1:
            table = IntArray(table.values[None])
        self._set(values=table, lo=self.to_int("lo", lo))
        if len(table.shape) != 2 or 0 in table.shape:
            raise self.error(f"values must be (C or 1, L >= 1), got shape {table.shape}")

    def reached(self, x: Type) -> IntNd:
        """`[C or 1, n]`: the entries that inputs of type `x` can reach, from the lowest input up.

        GraphError if some input has no entry.
        """
        length = self.values.shape[1]
        if not self.lo <= x.lo <= x.hi < self.lo + length:
            raise self.error(
                f"{length} values from lo={self.lo} take inputs in "
                f"[{self.lo}, {self.lo + length - 1}], got {x}"
            )
        first = x.lo - self.lo
        return self.values.values[:, first : x.hi - self.lo + 1 : 2 if x.bipolar else 1]

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        check_channels(self, "values", len(self.values), x)
        found = self.reached(x)
        lo, hi = int(found.min()), int(found.max())
        return Type(x.shape, lo, hi, (lo, hi) == (-1, 1) and bool((found != 0).all()))

    def reference(self, *arrays: IntNd) -> IntNd:
        values, at = self.values.values, arrays[0] - self.lo
        return values[0, at] if len(values) == 1 else values[np.arange(len(values)), at]
