"""Compares a simulated design with what it should give, to the bit and to the cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph.errors import HwcError
from hwc.hw.layout import Layout
from hwc.sim.flatten import Conditions
from hwc.sim.stalls import Stalls
from hwc.sim.timing import Timer, Timing
from hwc.sim.verilator import DRAIN, Result, Simulation

__all__ = ["VerificationError", "Verified", "compare", "verify"]

Ints = NDArray[np.int64]


class VerificationError(HwcError):
    """A simulated value or cycle differs from what the reference or the timing engine says."""

    exit_code = 2


@dataclass(frozen=True)
class Verified:
    """What was compared without finding a difference: values are elements, not beats."""

    frames: int
    values: int
    transfers: int
    result: Result
    timing: Timing


def verify(
    simulation: Simulation,
    frames: Mapping[str, Ints],
    expected: Mapping[str, Ints],
    *,
    stalls: Stalls | None = None,
    conditions: Conditions | None = None,
    reset_at: int | None = None,
    seed: int = 0,
    timer: Timer | None = None,
) -> Verified:
    """Simulate ``frames`` and compare every value and the cycle of every transfer.

    Parameters
    ----------
    frames
        Per input stream ``(batch, *shape)``.
    expected
        Frames per output stream, and per tapped edge if wanted, as the reference gives them.
        All output streams must be there.
    stalls, reset_at, seed
        As in :meth:`Simulation.run`.
    conditions
        Per instance what its data-dependent masks look at, as ``Unit.conditions`` gives it.
    timer
        One made earlier for this design and number of frames, to save time.

    Raises VerificationError at the first difference: stream, frame, index, values and cycle.
    """
    design = simulation.design
    if missing := sorted(set(design.outputs) - set(expected)):
        raise VerificationError(f"nothing to compare output stream {missing[0]!r} with")
    if unknown := sorted(set(expected) - set(design.outputs) - set(simulation.taps)):
        raise VerificationError(f"{unknown[0]!r} is neither an output stream nor tapped")
    batch = max(len(x) for x in frames.values())
    timer = timer or Timer(design, batch, conditions)
    counts = {name: len(x) for name, x in frames.items()}
    counts |= {name: len(expected[name]) for name in design.outputs}
    timing = timer.run(stalls=stalls, watch=simulation.taps, counts=counts)
    last = max((int(c[-1]) for c in timing.cycles.values() if len(c)), default=0)
    inner = max(
        (int(timing.taken[t][-1]) for t in simulation.taps if len(timing.taken[t])), default=0
    )
    result = simulation.run(
        frames,
        stalls=stalls,
        reset_at=reset_at,
        seed=seed,
        counts=counts,
        # If it is late it is wrong anyway; a little more shows by how much.
        limit=2 * max(last, inner) + 1000,
        drain=DRAIN + max(0, inner - last),
    )
    values = compare(simulation, result, expected)
    transfers = _cycles(result, timing)
    return Verified(batch, values, transfers, result, timing)


def compare(simulation: Simulation, result: Result, expected: Mapping[str, Ints]) -> int:
    """Compare values only; how many were equal. Raises VerificationError at the first that is not.

    Taps come first in the order of the design's edges, so that the error is nearest to its cause.
    """
    design, count = simulation.design, 0
    for edge in design.edges:
        if edge.name in expected:
            tap, layout = result.taps[edge.name], design.layout(edge.dst, edge)
            want = expected[edge.name]
            count += _values(f"edge {edge.name!r}", want, tap.frames, tap.cycles, layout)
    for name, layout in design.outputs.items():
        got, cycles = result.outputs[name], result.cycles[name]
        count += _values(f"stream {name!r}", expected[name], got, cycles, layout)
    return count


def _values(what: str, want: Ints, got: Ints, cycles: Ints, layout: Layout) -> int:
    if want.shape != got.shape:
        raise VerificationError(
            f"{what}: {len(want)} frames of {want.shape[1:]} expected, "
            f"got {len(got)} of {got.shape[1:]}"
        )
    wrong = np.argwhere(want != got)
    if not len(wrong):
        return want.size
    place = tuple(int(i) for i in wrong[0])
    flat = np.ravel_multi_index(place[1:], want.shape[1:])
    beat = int(np.argwhere(layout.order() == flat)[0, 0])
    raise VerificationError(
        f"{what}, frame {place[0]}, index {place[1:]}: expected {want[place]}, got {got[place]}; "
        f"beat {beat} of the frame, in cycle {cycles[place[0] * layout.beats + beat]}; "
        f"{len(wrong)} of {want.size} values differ"
    )


def _cycles(result: Result, timing: Timing) -> int:
    """Compare all transfer cycles; the earliest difference is reported."""
    pairs = [(f"stream {n!r}", result.cycles[n], c) for n, c in timing.cycles.items()]
    pairs += [(f"edge {n!r}", tap.cycles, timing.taken[n]) for n, tap in result.taps.items()]
    found: list[tuple[int, str]] = []
    for what, got, want in pairs:
        if len(got) != len(want):
            found.append((0, f"{what}: {len(want)} transfers predicted, {len(got)} seen"))
            continue
        wrong = np.flatnonzero(got != want)
        if len(wrong):
            k = int(wrong[0])
            text = f"{what}: beat {k} moved in cycle {got[k]}, predicted was {want[k]}"
            found.append((int(min(got[k], want[k])), text))
    if found:
        raise VerificationError(f"{min(found)[1]}; {len(found)} of {len(pairs)} streams differ")
    return sum(len(got) for _, got, _ in pairs)
