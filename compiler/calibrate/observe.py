"""What the float network's activations look like: extremes, and a sample of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hwc.compiler.calibrate.config import CalibrationError
from hwc.compiler.calibrate.scales import Floats
from hwc.compiler.source import Conv, ConvTranspose, Source, evaluate

__all__ = ["Observed", "batches", "frame_bytes", "observe"]

SAMPLE = 1 << 17
"""Values kept of each activation. All of them if there are no more; else about as many, drawn
evenly from all frames."""

BATCH_BYTES = 192 << 20
"""Memory that a batch of the float network may take, roughly."""


class Observed:
    """Extremes and sample of one activation."""

    def __init__(self, total: int, seed: int) -> None:
        self.low, self.high = np.inf, -np.inf
        self._share = min(1.0, SAMPLE / total)
        self._rng = np.random.default_rng(seed)
        self._parts: list[Floats] = []

    def add(self, x: np.ndarray) -> None:
        """Take in some frames."""
        flat = x.ravel()
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        if self._share < 1:
            count = max(1, round(flat.size * self._share))
            flat = flat[self._rng.integers(0, flat.size, count)]
        self._parts.append(np.array(flat, np.float64))

    @property
    def sample(self) -> Floats:
        """The values kept."""
        return np.concatenate(self._parts)


def observe(
    source: Source, frames: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, Observed]:
    """The named activations over all frames, which `source` evaluates in float64. Raises
    CalibrationError for one that is not finite."""
    count = len(next(iter(frames.values())))
    found = {
        name: Observed(count * int(np.prod(source.shapes[name])), seed)
        for seed, name in enumerate(names)
    }
    for part in batches(frames, max(1, BATCH_BYTES // frame_bytes(source))):
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused
            values = evaluate(source, part, np.float64, tuple(names))
        for name in names:
            if not np.isfinite(values[name]).all():
                raise CalibrationError(
                    f"'{name}' is infinite or not a number for some calibration frame; put a Clip "
                    "in front of the logarithm, reciprocal or root that gives it"
                )
            found[name].add(values[name])
    return found


def batches(frames: Mapping[str, np.ndarray], size: int) -> Iterator[dict[str, np.ndarray]]:
    """The frames in parts of at most `size`."""
    count = len(next(iter(frames.values())))
    for start in range(0, count, size):
        yield {name: x[start : start + size] for name, x in frames.items()}


def frame_bytes(source: Source) -> int:
    """Bytes `evaluate` needs for one frame: all values, and the windows of the widest layer."""
    shapes = source.shapes
    names = [i.name for i in source.inputs]
    names += [n.name for n in source.nodes if n.name not in source.constants]
    widest = max((_windows(source, node.name) for node in source.nodes), default=0)
    return 8 * (sum(int(np.prod(shapes[name])) for name in names) + 3 * widest)


def _windows(source: Source, name: str) -> int:
    """Elements of the windows of a convolution, for one frame."""
    node = source.node(name)
    if not isinstance(node.op, (Conv, ConvTranspose)):
        return 0
    shapes = source.shapes
    positions = int(np.prod(shapes[name][1:]))
    return positions * shapes[node.args[0]][0] * int(np.prod(shapes[node.args[1]][2:]))
