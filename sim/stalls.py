"""Stall bits: when the two ends of a design hold still, as a pure function of (seed, port, cycle).

The timing engine, the C++ harness and the Python simulator all evaluate the same integer hash, so
a run under stalls is predicted to the cycle and can be repeated anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hwc.sim.records import KEY, SHIFT, SINGLE, THRESHOLD

__all__ = ["Gate", "Kind", "Stalls", "shut"]

Kind = Literal["none", "random", "bursts", "singles"]

_GAMMA = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1
BURST_SHIFT = 6
"""Bursts hold for blocks of ``2 ** 6`` cycles."""


def mix(z: int) -> int:
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014): 64 bits in, 64 well-mixed bits out."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _WORD
    return z ^ (z >> 31)


class Gate(NamedTuple):
    """What one port needs to know: the four integers that Python, numba and C++ share.

    The port is closed in cycle ``c`` if ``mix(key + (c >> shift) * gamma) >> 32 < threshold``;
    with ``single`` only where cycle ``c - 1`` would not have been closed by that rule as well.
    """

    key: int
    shift: int
    single: int
    threshold: int

    def open(self, cycles: ArrayLike) -> NDArray[np.bool_]:
        """Whether the port may transfer in each of ``cycles``."""
        now = np.atleast_1d(np.asarray(cycles, np.uint64))
        closed = self._closed(now)
        if self.single:
            closed &= ~self._closed(now - np.uint64(1))
        return ~closed

    def _closed(self, cycles: NDArray[np.uint64]) -> NDArray[np.bool_]:
        z = np.uint64(self.key) + (cycles >> np.uint64(self.shift)) * np.uint64(_GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        return (z >> np.uint64(32)) < np.uint64(self.threshold)


@njit
def shut(m, gate, cycle):
    """Not :meth:`Gate.open`, compiled: the gate lies at address ``gate`` of the engine's memory."""
    shut = False
    for back in range(m[gate + SINGLE] + 1):
        z = np.uint64(cycle - back) >> np.uint64(m[gate + SHIFT])
        z = np.uint64(m[gate + KEY]) + z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        low = np.int64(z >> np.uint64(32)) < m[gate + THRESHOLD]
        shut = low if back == 0 else shut and not low
    return shut


@dataclass(frozen=True)
class Stalls:
    """A pattern of stalls at the ends of a design.

    Parameters
    ----------
    kind
        ``none``; ``random``: each cycle by itself; ``bursts``: 64 cycles at a time; ``singles``:
        never two cycles in a row.
    seed
        Any integer of up to 64 bits.
    inputs, outputs
        Probability, below 1, that a source (a sink) stalls in a cycle.
    """

    kind: Kind = "none"
    seed: int = 0
    inputs: float = 0.3
    outputs: float = 0.3

    def __post_init__(self) -> None:
        for end, p in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not 0 <= p < 1:
                raise ValueError(f"stalls: {end} stall with a probability in [0, 1), not {p}")

    @property
    def idle(self) -> bool:
        """Whether no port ever stalls."""
        return self.kind == "none" or self.inputs == self.outputs == 0

    def gate(self, port: int, output: bool) -> Gate:
        """The stall rule of one port. Ports are numbered over the inputs, then the outputs."""
        key = mix((mix(self.seed + _GAMMA & _WORD) + (port + 1) * _GAMMA) & _WORD)
        share = 0.0 if self.kind == "none" else self.outputs if output else self.inputs
        shift = BURST_SHIFT if self.kind == "bursts" else 0
        return Gate(key, shift, int(self.kind == "singles"), int(share * 2**32))

    def open(self, port: int, output: bool, cycles: ArrayLike) -> NDArray[np.bool_]:
        """Whether a port may transfer in each of ``cycles``."""
        return self.gate(port, output).open(cycles)
