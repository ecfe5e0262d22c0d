"""The layout of every value: how ONNX axes lie in the source, and moving data where needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwc.compiler.onnx.builder import Builder
from hwc.compiler.onnx.values import Value
from hwc.compiler.source import Reshape, Shape, Transpose

__all__ = ["Layout"]


class Layout(Builder):
    """A builder that arranges values."""

    def shape(self, x: Value) -> Shape:
        """Shape of a value in ONNX."""
        source = (self.batch.size or 1, *self.shapes[x.name])
        return tuple(1 if axis is None else source[axis] for axis in x.axes)

    def is_batch(self, x: Value, axis: int) -> bool:
        """True if the axis counts samples and there may be several."""
        return x.axes[axis] == 0 and self.batch.size != 1

    def arranged(self, x: Value, order: Sequence[int]) -> Value:
        """x such that its source axes 1.. are the ONNX axes `order`, all others have size 1.

        A Transpose or Reshape of the source is added only where needed.
        """
        shape, source = self.shape(x), self.shapes[x.name]
        for axis in range(x.rank):
            if axis in order and self.is_batch(x, axis):
                self.mixes(f"axis {axis} is the batch")
            if axis not in order and x.axes[axis] != 0 and shape[axis] != 1:
                self.fail(f"axis {axis} of {shape} must have size 1 here")
        want = [x.axes[a] for a in order]
        kept = [k for k in want if k]
        large = [k for k in kept if source[k - 1] > 1]
        target, name = tuple(shape[a] for a in order) or (1,), x.name
        if large != sorted(large):
            left = [k for k in range(1, len(source) + 1) if k not in kept]
            name = self.move(name, Transpose((*kept, *left)))
        if self.shapes[name] != target:
            name = self.move(name, Reshape(target))
        place = {a: i for i, a in enumerate(order, 1)}
        axes = tuple(place.get(a, 0 if x.axes[a] == 0 else None) for a in range(x.rank))
        return replace(x, name=name, axes=axes)

    def channels(self, x: Value, axis: int) -> Value:
        """x such that the ONNX axis is the source's channels; other axes as they lie."""
        if x.axes[axis] == 1:
            return x
        rest = [a for a in range(x.rank) if x.axes[a] and a != axis]
        return self.arranged(x, [axis, *sorted(rest, key=lambda a: x.axes[a] or 0)])

    def inner(self, x: Value) -> list[int]:
        """The ONNX axes that are not the batch; axis 0 counts as the batch if it has size 1."""
        if 0 in x.axes:
            return [a for a in range(x.rank) if x.axes[a] != 0]
        first = x.rank > 1 and self.shape(x)[0] == 1
        return list(range(int(first), x.rank))

    def flat(self, x: Value) -> Value:
        """x as (K,) in row-major order of ONNX: axes (batch, 1)."""
        y = self.arranged(x, self.inner(x))
        size = int(np.prod(self.shapes[y.name]))
        name = y.name if len(self.shapes[y.name]) == 1 else self.move(y.name, Reshape((size,)))
        return Value(name, (0 if 0 in x.axes else None, 1), x.dtype, x.coding)
