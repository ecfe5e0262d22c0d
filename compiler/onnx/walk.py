"""The state of a walk over an ONNX graph, as operators' handlers use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from hwc.compiler.onnx.builder import Batch
from hwc.compiler.onnx.layout import Layout
from hwc.compiler.onnx.values import Value
from hwc.compiler.source import Affine, Reshape, SourceOp

__all__ = ["Batch", "Walk"]

MOST_CONSTANTS = 1 << 24
"""Constants that vary along several axes are written out for every element, up to so many."""


class Walk(Layout):
    """Emits source nodes for the ONNX node at hand, `node`, in which errors are reported. This
    part applies constants that broadcast."""

    def per_channel(
        self, x: Value, arrays: Sequence[np.ndarray], op: Callable[[int | None], SourceOp]
    ) -> Value:
        """op(x, *arrays) for constants that broadcast to x as in ONNX.

        `op` gets 1 if a constant varies along channels, else None. Constants that vary along
        several axes are applied to the flattened value.
        """
        rank = max([x.rank, *(a.ndim for a in arrays)])
        x = replace(x, axes=(None,) * (rank - x.rank) + x.axes)
        arrays = [self._squashed(x, a) for a in arrays]
        vary = sorted({i for a in arrays for i in range(rank) if a.shape[i] > 1})
        if len(vary) > 1:
            inner, shape = self.inner(x), self.shape(x)
            y = self.flat(x)
            if prod(shape[i] for i in inner) > MOST_CONSTANTS:
                self.fail(f"constants that vary along axes {vary} of {shape} are too large")
            full = tuple(shape[i] if i in inner else 1 for i in range(rank))
            flat = [np.broadcast_to(a, full).ravel() for a in arrays]
            name = self._apply(y, flat, op)
            back = self.move(name, Reshape(tuple(shape[i] for i in inner)))
            place = {a: i for i, a in enumerate(inner, 1)}
            batch = 0 if 0 in x.axes else None
            return replace(x, name=back, axes=tuple(place.get(i, batch) for i in range(rank)))
        y = self.channels(x, vary[0]) if vary else x
        return replace(y, name=self._apply(y, [a.ravel() for a in arrays], op))

    def _apply(
        self, x: Value, arrays: Sequence[np.ndarray], op: Callable[[int | None], SourceOp]
    ) -> str:
        axis = 1 if any(a.size > 1 for a in arrays) else None
        vectors = [a if a.size > 1 else a.reshape(()) for a in arrays]
        names = [self.tensor(v, "constant") for v in vectors]
        return self.emit(lambda: op(axis), x.name, *names)

    def _squashed(self, x: Value, array: np.ndarray) -> np.ndarray:
        """The array with x's rank, and size 1 along axes where it does not vary."""
        array = np.asarray(array).reshape((1,) * (x.rank - np.ndim(array)) + np.shape(array))
        for axis, (have, size) in enumerate(zip(array.shape, self.shape(x), strict=True)):
            if have == 1:
                continue
            first = np.take(array, [0], axis=axis)
            same = bool((array == first).all())
            if have != size and self.is_batch(x, axis):
                self.mixes(f"a constant has size {have} along the batch")
            if have != size:
                self.fail(f"a constant of shape {array.shape} would broadcast {self.shape(x)}")
            if not same and self.is_batch(x, axis):
                self.mixes("a constant differs between samples")
            array = first if same else array
        return array

    def affine(self, x: Value, scale: np.ndarray | float, shift: np.ndarray | float) -> Value:
        """scale * x + shift with constants that broadcast; nothing for 1 and 0."""
        scale, shift = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
        rank = max(scale.ndim, shift.ndim)
        if (scale == 1).all() and (shift == 0).all() and rank <= x.rank:
            return x
        return self.per_channel(x, [scale, shift], lambda axis: Affine())

    def decoded(self, x: Value) -> Value:
        """x as the numbers that ONNX sees."""
        if x.coding is None:
            return x
        scale, zero = self.along(x, x.coding.scale), self.along(x, x.coding.zero)
        return replace(self.affine(replace(x, coding=None), 1 / scale, zero), coding=None)

    def along(self, x: Value, vector: np.ndarray) -> np.ndarray:
        """A scalar, or a vector along the axis of x's coding, shaped to broadcast."""
        axis = x.coding.axis if x.coding else None
        if vector.ndim == 0 or axis is None:
            return vector
        return vector.reshape([-1 if i == axis else 1 for i in range(x.rank)])
