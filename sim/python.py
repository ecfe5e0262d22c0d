"""The same run in Amaranth's own simulator: slow and small, an independent check of Verilator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwc.hw.design import Design, Top
from hwc.sim.stalls import Stalls
from hwc.sim.verilator import Result, SimulationError

__all__ = ["run"]

Ints = NDArray[np.int64]


def run(
    design: Design,
    frames: Mapping[str, Ints],
    *,
    stalls: Stalls | None = None,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    limit: int = 100_000,
) -> Result:
    """As :meth:`hwc.sim.verilator.Simulation.run`, without taps and resets."""
    rng = np.random.default_rng(seed)
    stalls = stalls or Stalls()
    cycles = np.arange(limit)
    opens = [
        stalls.open(k, k >= len(design.inputs), cycles)
        for k in range(len(design.inputs) + len(design.outputs))
    ]
    send = {name: layout.pack(frames[name], rng) for name, layout in design.inputs.items()}
    batch = max((len(x) for x in frames.values()), default=0)
    total = {
        name: (counts or {}).get(name, batch) * layout.beats
        for name, layout in design.outputs.items()
    }
    moved: dict[str, list[int]] = {name: [] for name in (*send, *total)}
    got: dict[str, list[int]] = {name: [] for name in total}
    top = Top(design)

    async def bench(ctx: Any) -> None:
        for cycle in range(limit):
            for k, (name, beats) in enumerate(send.items()):
                at = len(moved[name])
                ctx.set(getattr(top, f"{name}_valid"), int(at < len(beats) and opens[k][cycle]))
                if at < len(beats):
                    ctx.set(getattr(top, f"{name}_data"), beats[at])
            for k, name in enumerate(total, len(send)):
                ctx.set(getattr(top, f"{name}_ready"), int(opens[k][cycle]))
            for name in moved:
                if ctx.get(getattr(top, f"{name}_valid") & getattr(top, f"{name}_ready")):
                    moved[name].append(cycle)
                    if name in got:
                        got[name].append(ctx.get(getattr(top, f"{name}_data")))
            if all(len(moved[name]) >= n for name, n in total.items()) and all(
                len(moved[name]) == len(beats) for name, beats in send.items()
            ):
                return
            await ctx.tick()
        raise SimulationError(
            f"design {design.name!r} did not finish within {limit} cycles: "
            + ", ".join(f"{name} moved {len(c)} beats" for name, c in moved.items())
        )

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    outputs = {name: layout.unpack(got[name]) for name, layout in design.outputs.items()}
    return Result(outputs, {name: np.array(c, np.int64) for name, c in moved.items()})
