"""Evaluates a design frame by frame until all is done or repeats: the compiled loop's one entry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwc.sim.kernel import settle
from hwc.sim.steady import lasting, repeats

__all__ = ["run"]

Ints = NDArray[np.int64]

MAX_PERIOD = 8
"""Frames after which a steady state may repeat."""


def _compiled(stamp: str) -> Callable[..., tuple[int, int]]:
    """The loop over frames. It is kept on disk, together with all it calls, under ``stamp``."""

    @njit(cache=True)
    def loop(m, processes, count, queues, edges, frames, static, horizon):
        assert stamp
        streak = np.zeros(MAX_PERIOD + 1, np.int64)
        for frame in range(frames):
            if not settle(m, processes, count, frame + 1) and static:
                return frame, 0
            if horizon == 0:
                continue
            for period in range(1, min(MAX_PERIOD, frame) + 1):
                if not repeats(m, processes, count, frame, period):
                    streak[period] = 0
                    continue
                streak[period] += 1
                if streak[period] >= horizon + period and lasting(
                    m, processes, count, queues, edges, frame, period
                ):
                    return frame + 1, period
        return frames, 0

    return loop


def _stamp() -> str:
    """Changes with any source of what is compiled; numba by itself looks at one file only."""
    names = ("kernel", "loop", "records", "stalls", "steady")
    texts = [(Path(__file__).parent / f"{name}.py").read_bytes() for name in names]
    return hashlib.sha256(b"".join(texts)).hexdigest()


_loop = _compiled(_stamp())


def run(
    memory: Ints,
    processes: tuple[int, int],
    queues: tuple[int, int],
    *,
    frames: int,
    static: bool,
    horizon: int,
) -> tuple[int, int]:
    """Evaluate ``frames`` frames, or fewer if ``horizon > 0`` and all repeat before that.

    Parameters
    ----------
    memory
        The records, changed in place.
    processes, queues
        Address of the first one and number.
    static
        Whether no mask depends on data; then the first frame that cannot be completed ends it.
    horizon
        Frames that a firing can look back, plus one; 0 to evaluate all frames in any case.

    Returns
    -------
    The number of frames evaluated and the period of the steady state in frames, 0 if there is none.
    """
    done, period = _loop(memory, *processes, *queues, frames, static, horizon)
    return int(done), int(period)
