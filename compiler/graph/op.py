"""What every operation of the integer graph states: its type rule and its exact values."""

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import Any

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.types import INT64_MAX, INT64_MIN, Type, int_tuple


@dataclass(frozen=True)
class Op(ABC):
    """An integer operation: a value, compared and hashed by its fields.

    A subclass is a frozen dataclass; it checks its fields when built and its inputs in `infer`.
    """

    @abstractmethod
    def infer(self, *types: Type) -> Type:
        """Type of the result; GraphError if the op cannot take these types."""

    @abstractmethod
    def reference(self, *arrays: IntNd) -> IntNd:
        """Exact result. Arrays are int64 with a leading batch axis and satisfy `infer`'s types."""

    def error(self, message: str) -> GraphError:
        """A GraphError that names this op (to be raised by the caller)."""
        return GraphError(f"{type(self).__name__}: {message}")

    def one(self, types: tuple[Type, ...]) -> Type:
        """The only input type of an op with one input; GraphError for any other number."""
        if len(types) != 1:
            raise self.error(f"takes 1 input, got {len(types)}")
        return types[0]

    def result(self, shape: tuple[int, ...], lo: int, hi: int) -> Type:
        """Type(shape, lo, hi); GraphError that names this op if the interval leaves int64."""
        if not INT64_MIN <= lo <= hi <= INT64_MAX:
            raise self.error(
                f"results must fit in int64, got [{lo}, {hi}]; use a narrower input or constant"
            )
        return Type(shape, lo, hi)

    def _set(self, **values: Any) -> None:
        """Fields of this frozen value; only for constructors."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_ints(self, name: str, count: int, low: int) -> None:
        """Makes field `name` a tuple of `count` plain ints >= low; only for constructors."""
        values = getattr(self, name)
        if not isinstance(values, tuple | list) or len(values) != count:
            raise self.error(f"{name} takes {count} integers, got {values!r}")
        self._set(**{name: tuple(self.to_int(name, value, low) for value in values)})

    def to_int(self, name: str, value: int, low: int = INT64_MIN) -> int:
        """`value` as a plain int in [low, INT64_MAX]; GraphError that names the field otherwise."""
        try:
            (number,) = int_tuple((value,))
        except GraphError:
            raise self.error(f"{name} must be an integer, got {value!r}") from None
        if not low <= number <= INT64_MAX:
            rule = "fit in int64" if low == INT64_MIN else f"be >= {low} and fit in int64"
            raise self.error(f"{name} must {rule}, got {number}")
        return number

    def __str__(self) -> str:
        """Name and the fields that differ from their defaults; one value alone goes unnamed."""
        shown = []
        for i, field in enumerate(fields(self)):
            value = getattr(self, field.name)
            if field.default is MISSING or value != field.default:
                shown.append(f"{value}" if i == 0 else f"{field.name}={value}")
        return f"{type(self).__name__}({', '.join(shown)})"
