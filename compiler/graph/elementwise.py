"""Operations on each element: thresholds, requantization, weighted sums of tensors."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hwc.compiler.graph.channels import join_rows
from hwc.compiler.graph.frozen import IntArray, IntNd
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.thresholds import count_reached
from hwc.compiler.graph.types import INT64_MAX, INT64_MIN, Type, int_tuple

Rounding = Literal["half_even", "half_up", "floor"]


@dataclass(frozen=True, init=False)
class MultiThreshold(Op):
    """y = lo + step * (number of thresholds reached), per channel c of the last axis.

    `thresholds` is (C or 1, L), each row sorted ascending (equal ones count each). An ascending
    channel reaches t if x >= t, a descending one if x <= t. Thresholds outside the input's interval
    are legal: never or always reached. The type is [lo, lo + step*L], whatever can occur;
    lo=-1, step=2, L=1 gives a bipolar type.
    """

    thresholds: IntArray
    descending: tuple[bool, ...] = (False,)
    lo: int = 0
    step: int = 1

    def __init__(
        self,
        thresholds: ArrayLike | IntArray,
        descending: tuple[bool, ...] = (False,),
        lo: int = 0,
        step: int = 1,
    ) -> None:
        table = IntArray(thresholds, "MultiThreshold: thresholds")
        self._set(
            thresholds=table,
            descending=tuple(bool(flag) for flag in descending),
            lo=self.to_int("lo", lo),
            step=self.to_int("step", step, 1),
        )
        if len(table.shape) != 2 or 0 in table.shape:
            raise self.error(f"thresholds must be (C or 1, L >= 1), got shape {table.shape}")
        falls = np.flatnonzero((table.values[:, 1:] < table.values[:, :-1]).any(axis=1))
        if falls.size:
            row = ", ".join(map(str, table.values[falls[0], :8]))
            raise self.error(
                f"each row of thresholds must ascend (also if `descending`), row {falls[0]} is "
                f"{row}{', ...' if self.levels > 8 else ''}"
            )
        self.result((1,), self.lo, self.lo + self.step * self.levels)

    @property
    def levels(self) -> int:
        """Thresholds per channel (one less than the number of output codes)."""
        return self.thresholds.shape[1]

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        check_channels(self, "thresholds", len(self.thresholds), x)
        check_channels(self, "descending", len(self.descending), x)
        hi = self.lo + self.step * self.levels
        return Type(x.shape, self.lo, hi, (self.lo, self.step, self.levels) == (-1, 2, 1))

    def reference(self, *arrays: IntNd) -> IntNd:
        y = count_reached(arrays[0], self.thresholds.values, np.array(self.descending))
        if self.step != 1:
            y *= self.step
        if self.lo:
            y += self.lo
        return y


@dataclass(frozen=True, init=False)
class Requant(Op):
    """y = clip(round((m*x + b) / 2**shift), lo, hi), m and b per tensor or per channel (last axis).

    Rounding: `half_even` (ties to the even integer), `half_up` (ties towards +inf), `floor`.
    The type is [lo, hi], whatever can occur. infer raises GraphError if m*x + b could leave int64.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    lo: int
    hi: int
    rounding: Rounding = "half_even"

    def __init__(
        self,
        multiplier: ArrayLike | IntArray,
        offset: ArrayLike | IntArray,
        shift: int,
        lo: int,
        hi: int,
        rounding: Rounding = "half_even",
    ) -> None:
        self._set(
            multiplier=self._row(multiplier, "multiplier"),
            offset=self._row(offset, "offset"),
            shift=self.to_int("shift", shift, 0),
            lo=self.to_int("lo", lo),
            hi=self.to_int("hi", hi),
            rounding=rounding,
        )
        if self.shift > 62:
            raise self.error(f"shift must be at most 62, got {shift}")
        if self.lo > self.hi:
            raise self.error(f"lo <= hi is needed, got lo={lo}, hi={hi}")
        if rounding not in ("half_even", "half_up", "floor"):
            raise self.error(f"rounding must be half_even, half_up or floor, got {rounding!r}")

    def _row(self, values: ArrayLike | IntArray, name: str) -> IntArray:
        array = IntArray(values, f"Requant: {name}")
        if array.shape == ():
            array = IntArray(array.values.reshape(1))
        if len(array.shape) != 1 or not len(array):
            raise self.error(f"{name} must be an integer, (1,) or (C,), got shape {array.shape}")
        return array

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        check_channels(self, "multiplier", len(self.multiplier), x)
        check_channels(self, "offset", len(self.offset), x)
        m, b = (a.values.astype(object) for a in (self.multiplier, self.offset))
        for value in (m * x.lo, m * x.hi, m * x.lo + b, m * x.hi + b):
            if not INT64_MIN <= value.min() <= value.max() <= INT64_MAX:
                raise self.error(
                    f"m*x + b must fit in int64 for x in [{x.lo}, {x.hi}], got values from "
                    f"{value.min()} to {value.max()}; use a narrower multiplier and a smaller shift"
                )
        return Type(x.shape, self.lo, self.hi)

    def reference(self, *arrays: IntNd) -> IntNd:
        x, m, b = join_rows(arrays[0], self.multiplier.values, self.offset.values)
        value = m * x
        value += b
        if self.shift:
            rest = value & ((1 << self.shift) - 1)
            value >>= self.shift
            half = 1 << (self.shift - 1)
            if self.rounding == "half_up":
                value += rest >= half
            elif self.rounding == "half_even":
                rest += value & 1  # an odd floor rounds up from half on, an even one above half
                value += rest > half
        return np.clip(value, self.lo, self.hi, out=value).reshape(arrays[0].shape)


@dataclass(frozen=True)
class Add(Op):
    """y = sum_i multipliers[i] * x_i over inputs of one shape, one input per multiplier."""

    multipliers: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        self._set(multipliers=int_tuple(self.multipliers))
        if not self.multipliers:
            raise self.error("at least one multiplier (and input) is needed, got none")

    def infer(self, *types: Type) -> Type:
        if len(types) != len(self.multipliers):
            raise self.error(
                f"takes {len(self.multipliers)} inputs (one per multiplier), got {len(types)}"
            )
        shapes = [x.shape for x in types]
        if len(set(shapes)) > 1:
            raise self.error(f"all inputs must have one shape, got {shapes}")
        ends = [(m * x.lo, m * x.hi) for m, x in zip(self.multipliers, types, strict=True)]
        limit = sum(max(abs(a), abs(b)) for a, b in ends)
        if limit > INT64_MAX:
            raise self.error(
                f"sum |m_i * x_i| must fit in int64, got {limit}; use smaller multipliers"
            )
        return Type(shapes[0], sum(map(min, ends)), sum(map(max, ends)))

    def reference(self, *arrays: IntNd) -> IntNd:
        y = self.multipliers[0] * arrays[0]
        for m, x in zip(self.multipliers[1:], arrays[1:], strict=True):
            y += x if m == 1 else m * x
        return y


def check_channels(op: Op, name: str, count: int, x: Type) -> None:
    """GraphError unless there is one entry, or one per channel (last axis) of `x`."""
    channels = x.shape[-1]
    if count not in (1, channels):
        raise op.error(
            f"{name} must have 1 entry or {channels}, one per channel of the input {x.shape}, "
            f"got {count}"
        )
