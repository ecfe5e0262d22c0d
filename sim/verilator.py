"""Simulates the Verilog of a design with Verilator, through a C++ harness.

simulation = compile(design, "build/sim", taps=("q_a_y__b_x",))
result = simulation.run({"x": frames}, stalls=Stalls("random", 1))
result.outputs["y"], result.cycles["y"], result.taps["q_a_y__b_x"].frames
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwc.hw.design import Design
from hwc.hw.layout import Layout
from hwc.sim.model import SimulationError, build, tapped
from hwc.sim.stalls import Stalls

__all__ = ["Result", "Simulation", "SimulationError", "Tap", "compile"]

Ints = NDArray[np.int64]

DRAIN = 64
"""Cycles that a run goes on after its last beat, to see whether one too many comes."""


@dataclass(frozen=True)
class Tap:
    """What went through the queue of an edge: whole frames, and the cycle of every pop."""

    frames: Ints
    cycles: Ints


@dataclass(frozen=True)
class Result:
    """``outputs`` per stream: frames. ``cycles`` per stream, inputs too: the cycle of every
    transfer, 0 being the first after reset. ``taps`` per edge."""

    outputs: dict[str, Ints]
    cycles: dict[str, Ints]
    taps: dict[str, Tap] = field(default_factory=dict)


@dataclass(frozen=True)
class Simulation:
    """A compiled design. ``program`` is the harness linked with the model."""

    design: Design
    program: Path
    taps: tuple[str, ...]
    verilog: str = field(repr=False)

    def run(
        self,
        frames: Mapping[str, Ints],
        *,
        stalls: Stalls | None = None,
        reset_at: int | None = None,
        seed: int = 0,
        counts: Mapping[str, int] | None = None,
        limit: int = 1_000_000,
        drain: int = DRAIN,
    ) -> Result:
        """Send frames in and collect what comes out.

        Parameters
        ----------
        frames
            Per input stream ``(batch, *shape)``.
        stalls
            At all outside streams.
        reset_at
            Reset for one cycle after this many, then start all over: only the second run counts.
        seed
            Of the padding bits of input beats and of everything that has no initial value.
        counts
            Frames of each output stream that gives another number than the inputs take.
        limit
            Cycles after which the run is given up.
        drain
            Cycles to go on after the last outside transfer: beats too many show, and beats that a
            pool ignores at the end of a frame still move inside.

        Raises SimulationError if beats are missing after ``limit`` cycles or too many come.
        """
        design, rng = self.design, np.random.default_rng(seed)
        if set(frames) != set(design.inputs):
            raise SimulationError(f"streams in are {sorted(design.inputs)}, not {sorted(frames)}")
        batch = max((len(x) for x in frames.values()), default=0)
        with tempfile.TemporaryDirectory(dir=self.program.parent) as folder:
            lines = []
            for i, (name, layout) in enumerate(design.inputs.items()):
                rows = layout.pack_bytes(frames[name], rng)
                (Path(folder) / f"in{i}.bin").write_bytes(rows.tobytes())
                lines.append((len(rows), *(stalls or Stalls()).gate(i, False)))
            for i, (name, layout) in enumerate(design.outputs.items(), len(design.inputs)):
                total = (counts or {}).get(name, batch) * layout.beats
                lines.append((total, *(stalls or Stalls()).gate(i, True)))
            text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
            (Path(folder) / "streams.txt").write_text(text)
            self._start(folder, limit, drain, -1 if reset_at is None else reset_at, seed)
            return self._read(Path(folder))

    def _start(self, folder: str, limit: int, drain: int, reset: int, seed: int) -> None:
        command = [str(self.program), folder, str(limit), str(drain), str(reset), str(seed + 1)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 3:
            raise SimulationError(
                f"design {self.design.name!r} did not finish within {limit} cycles: "
                f"{done.stderr.strip()}"
            )
        if done.returncode:
            what = done.stderr.strip() or f"the simulator ended with {done.returncode}"
            raise SimulationError(f"design {self.design.name!r}: {what}")

    def _read(self, folder: Path) -> Result:
        design = self.design
        cycles = {n: _cycles(folder / f"in{i}") for i, n in enumerate(design.inputs)}
        outputs = {}
        for i, (name, layout) in enumerate(design.outputs.items()):
            cycles[name] = _cycles(folder / f"out{i}")
            outputs[name] = _frames(folder / f"out{i}", layout)
        taps = {}
        for i, name in enumerate(self.taps):
            stem = folder / f"tap{i}"
            taps[name] = Tap(_frames(stem, tapped(design, name)), _cycles(stem))
        return Result(outputs, cycles, taps)


def compile(
    design: Design,
    directory: str | Path,
    *,
    taps: tuple[str, ...] = (),
    optimize: Literal[0, 1, 2] = 1,
    jobs: int | None = None,
) -> Simulation:
    """Build a simulation of ``design``, or take it from ``directory`` if nothing has changed.

    Parameters
    ----------
    directory
        Where builds are kept, each in a folder named by the hash of all it is made from.
    taps
        Names of edges whose queues are to be watched. The Verilog stays the same: a configuration
        file asks Verilator to keep their signals.
    optimize
        Of the C++ compiler. 0 compiles three times as fast as 1 and runs three times as slowly;
        2 compiles twice as long for a tenth more speed.
    jobs
        Compilers at a time, by default one a processor.

    Raises MissingTool, or SimulationError with the compiler's words.
    """
    program, verilog = build(design, Path(directory), taps, optimize, jobs)
    return Simulation(design, program, tuple(taps), verilog)


def _cycles(stem: Path) -> Ints:
    return np.fromfile(stem.with_suffix(".cycles"), np.int64)


def _frames(stem: Path, layout: Layout) -> Ints:
    rows = np.fromfile(stem.with_suffix(".bin"), np.uint8).reshape(-1, -(-layout.width // 8))
    whole = len(rows) // layout.beats * layout.beats
    if not whole:  # a tap may end within its first frame
        return np.zeros((0, *layout.type.shape), np.int64)
    return layout.unpack_bytes(rows[:whole])
