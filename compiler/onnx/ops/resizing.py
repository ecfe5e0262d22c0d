"""Selection of positions along an axis, and resizing to the nearest position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.values import Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Concat, Slice, Upsample

__all__ = ["MOST_INDICES", "picked", "resize", "upsample"]

MOST_PARTS = 256
"""A selection is cut into at most so many slices."""

MOST_INDICES = 1 << 20
"""Elements along an axis that are selected one by one."""


def picked(walk: Walk, node: Node, x: Value, axis: int, wanted: Sequence[int]) -> Value:
    """The elements `wanted` of an ONNX axis, as slices that are put together."""
    size = walk.shape(x)[axis]
    if wanted == range(size):
        return x
    node.check(
        isinstance(wanted, range) or len(wanted) <= MOST_INDICES,
        f"{len(wanted)} indices are too many; at most {MOST_INDICES}",
    )
    if not isinstance(wanted, range) and wanted == list(range(size)):
        return x
    codes = x.coding is not None and x.coding.axis == axis
    node.check(not codes, "codes with a scale per channel are not supported; dequantize first")
    if not x.axes[axis]:
        x = walk.channels(x, axis)
    runs = [wanted] if isinstance(wanted, range) and wanted.step > 0 else _runs(wanted)
    node.check(
        len(runs) <= MOST_PARTS,
        f"the selection falls into {len(runs)} pieces; at most {MOST_PARTS}",
    )
    if len(runs) > 1:
        x = walk.channels(x, axis)
    at = x.axes[axis] or 1
    full = range(size)
    parts = [
        x.name if run == full else walk.emit(Slice(at, run.start, run[-1] + 1, run.step), x.name)
        for run in runs
    ]
    return x.renamed(parts[0] if len(parts) == 1 else walk.emit(Concat(), *parts))


def _runs(wanted: Sequence[int]) -> list[range]:
    """The indices as few ascending ranges of one step each."""
    runs, start = [], 0
    while start < len(wanted) and len(runs) <= MOST_PARTS:
        end, step = start + 1, 1
        if end < len(wanted) and wanted[end] > wanted[start]:
            step = wanted[end] - wanted[start]
            while end < len(wanted) and wanted[end] - wanted[end - 1] == step:
                end += 1
        if end - start == 2 and step > 1:  # two that are no progression: the next may begin one
            end = start + 1
        runs.append(range(wanted[start], wanted[end - 1] + 1, step))
        start = end
    return runs


def upsample(walk: Walk, node: Node) -> Value:
    """Mode nearest (operator set 9 and before)."""
    x = node.activation()
    old = node.opset < 9
    scales = node.floats("scales") if old else tuple(node.array(1, "scales").ravel().tolist())
    mode = node.string("mode", "nearest")
    node.check(mode == "nearest" and len(scales) == x.rank, f"mode {mode!r} must be nearest")
    maps = {
        a: [floor(i / s) for i in range(_size(node, n, s))]
        for a, (n, s) in enumerate(zip(walk.shape(x), scales, strict=True))
        if s != 1
    }
    return _remapped(walk, node, x, maps)


def _size(node: Node, size: int, scale: float) -> int:
    node.check(0 < scale and size * scale <= MOST_INDICES, f"scale {scale} must be positive")
    return floor(size * scale)


def resize(walk: Walk, node: Node) -> Value:
    """Mode nearest, where every position is repeated equally often or some are left out; all
    coordinate and rounding modes but tf_crop_and_resize."""
    x, shape = node.activation(), walk.shape(node.activation())
    mode = node.string("mode", "nearest")
    node.check(mode == "nearest", f"mode {mode!r} is not supported; only nearest")
    first = 1 if node.opset < 11 else 2
    axes = tuple(node.position(a, x.rank) for a in node.ints("axes", tuple(range(x.rank))))
    policy = node.string("keep_aspect_ratio_policy", "stretch")
    policies = {"stretch": None, "not_larger": min, "not_smaller": max}
    node.check(policy in policies, f"keep_aspect_ratio_policy {policy!r} is unknown")
    scales = node.optional(first, "scales")
    if scales is not None and scales.value.size:
        given = [float(s) for s in scales.value.ravel()]
        node.check(len(given) == len(axes), f"{len(given)} scales for axes {axes}")
        sizes = [_size(node, shape[a], s) for a, s in zip(axes, given, strict=True)]
    else:
        sizes = list(node.integers(first + 1, "sizes"))
        node.check(len(sizes) == len(axes) and min(sizes) > 0, f"{sizes} sizes for axes {axes}")
        given = [n / shape[a] for a, n in zip(axes, sizes, strict=True)]
        choose = policies[policy]
        if choose is not None:
            given = [choose(given)] * len(axes)
            sizes = [floor(given[0] * shape[a] + 0.5) for a in axes]
    node.check(max(sizes) <= MOST_INDICES, f"sizes {sizes} must be at most {MOST_INDICES}")
    maps = {
        a: _nearest(node, shape[a], n, s)
        for a, n, s in zip(axes, sizes, given, strict=True)
        if (n, s) != (shape[a], 1.0)
    }
    return _remapped(walk, node, x, maps)


def _nearest(node: Node, size: int, out: int, scale: float) -> list[int]:
    """The position that each of `out` positions takes."""
    legacy = node.opset < 11
    coordinates = "asymmetric" if legacy else "half_pixel"
    coordinates = node.string("coordinate_transformation_mode", coordinates)
    rounding = node.string("nearest_mode", "floor" if legacy else "round_prefer_floor")
    rounds = {
        "floor": floor,
        "ceil": ceil,
        "round_prefer_floor": lambda v: ceil(v - 0.5),
        "round_prefer_ceil": lambda v: floor(v + 0.5),
    }
    node.check(rounding in rounds, f"nearest_mode {rounding!r} is unknown")
    exact = size * scale
    adjust = out / exact if exact else 1.0
    places = {
        "asymmetric": lambda i: i / scale,
        "half_pixel": lambda i: (i + 0.5) / scale - 0.5,
        "half_pixel_symmetric": lambda i: size / 2 * (1 - adjust) + (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda i: (i + 0.5) / scale - 0.5 if out > 1 else -0.5,
        "align_corners": lambda i: i * (size - 1) / (out - 1) if out > 1 else 0.0,
    }
    node.check(
        coordinates in places,
        f"coordinate_transformation_mode {coordinates!r} is not supported",
    )
    place = places[coordinates]
    return [min(max(rounds[rounding](place(i)), 0), size - 1) for i in range(out)]


def _remapped(walk: Walk, node: Node, x: Value, maps: dict[int, list[int]]) -> Value:
    """x with the elements `maps[axis]` along each axis: repetitions and selections."""
    factors: dict[int, int] = {}
    for axis, wanted in maps.items():
        size = walk.shape(x)[axis]
        if walk.is_batch(x, axis):
            walk.mixes("the batch is resized")
        factor = len(wanted) // size if wanted else 0
        if factor > 1 and wanted == [i // factor for i in range(size * factor)]:
            factors[axis] = factor
        else:
            x = picked(walk, node, x, axis, wanted)
    if not factors:
        return x
    inner = [a for a in range(x.rank) if x.axes[a] or a in factors]
    inner.sort(key=lambda a: x.axes[a] or 1 << 30)
    free = [a for a in inner if a not in factors]
    node.check(bool(free), "one axis must keep its size")
    order = [free[0], *(a for a in inner if a != free[0])]
    y = walk.arranged(x, order)
    repeat = tuple(factors.get(a, 1) for a in order[1:])
    return replace(y, name=walk.emit(lambda: Upsample(repeat), y.name))
