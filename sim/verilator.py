"""Simulates the Verilog of a design with Verilator, through a C++ harness.

simulation = compile(design, "build/sim", taps=("q_a_y__b_x",))
result = simulation.run({"x": frames}, stalls=Stalls("random", 1))
result.outputs["y"], result.cycles["y"], result.taps["q_a_y__b_x"].frames
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph.errors import HwcError
from hwc.hw.design import Design
from hwc.hw.layout import Layout
from hwc.hw.verilog import TOP, to_verilog
from hwc.sim import toolchain
from hwc.sim.stalls import Stalls

__all__ = ["Result", "Simulation", "SimulationError", "Tap", "compile"]

Ints = NDArray[np.int64]

HARNESS = Path(__file__).parent
CFLAGS = ("-std=c++17", "-DVERILATOR=1")
UNITY = 4_000_000
"""Bytes of C++ that are compiled as one file, about: each file costs a second for its headers."""
VERILATE = ("--cc", "--flatten", "--no-timing", "-O3", "--x-initial", "unique", "-Wno-lint")
DRAIN = 64
"""Cycles that a run goes on after its last beat, to see whether one too many comes."""


class SimulationError(HwcError):
    """A design cannot be built, does not finish or breaks a rule of streams."""

    exit_code = 2


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
            self._start(folder, limit, -1 if reset_at is None else reset_at, seed)
            return self._read(Path(folder))

    def _start(self, folder: str, limit: int, reset: int, seed: int) -> None:
        command = [str(self.program), folder, str(limit), str(DRAIN), str(reset), str(seed + 1)]
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
            taps[name] = Tap(_frames(stem, _layout(design, name)), _cycles(stem))
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
    names = {edge.name for edge in design.edges}
    if unknown := [name for name in taps if name not in names]:
        raise SimulationError(f"no edge {unknown[0]!r} to tap; there are {sorted(names)}")
    verilog = to_verilog(design)
    files = {"top.v": verilog, "taps.vlt": _config(taps), "streams.cpp": _bindings(design, taps)}
    directory = Path(directory).absolute()
    runtime = _runtime(directory)
    digest = _digest(*files.values(), runtime.name, *VERILATE, str(optimize))
    place = Path(directory) / f"model-{digest}"
    if not (place / "bench").exists():
        workers = jobs or os.cpu_count() or 1
        _build(place, lambda folder: _model(folder, files, runtime, optimize, workers))
    return Simulation(design, place / "bench", tuple(taps), verilog)


def _layout(design: Design, name: str) -> Layout:
    edge = next(e for e in design.edges if e.name == name)
    return design.layout(edge.dst, edge)


def _cycles(stem: Path) -> Ints:
    return np.fromfile(stem.with_suffix(".cycles"), np.int64)


def _frames(stem: Path, layout: Layout) -> Ints:
    rows = np.fromfile(stem.with_suffix(".bin"), np.uint8).reshape(-1, -(-layout.width // 8))
    return layout.unpack_bytes(rows[: len(rows) // layout.beats * layout.beats])


def mangle(name: str) -> str:
    """A Verilog name as Verilator writes it in C++: a double underscore hides the second one."""
    return name.replace("__", "___05F")


def _config(taps: tuple[str, ...]) -> str:
    lines = [
        f'public_flat_rd -module "{TOP}.{name}" -var "{signal}"\n'
        for name in taps
        for signal in ("pop", "head")
    ]
    return "`verilator_config\n" + "".join(lines)


def _bindings(design: Design, taps: tuple[str, ...]) -> str:
    """The table of streams and taps, as the C++ that fills it in."""
    lines = []
    for kind, streams in (("input", design.inputs), ("output", design.outputs)):
        for name, layout in streams.items():
            port = f"top.{mangle(name + '_')}"
            signals = f"{port}valid, {port}ready, {port}data"
            lines.append(f'model->{kind}("{name}", {signals}, {layout.width});')
    for name in taps:
        pop, head = (f"root.{TOP}__DOT__{mangle(name)}__DOT__{s}" for s in ("pop", "head"))
        lines.append(f"model->probe({pop}, {head}, {_layout(design, name).width});")
    return "\n".join(
        [
            '#include "harness.h"',
            '#include "Vtop.h"',
            '#include "Vtop___024root.h"',
            "std::unique_ptr<hwc::Model> hwc_open(VerilatedContext* context) {",
            "    auto model = std::make_unique<hwc::Verilated<Vtop>>(context);",
            "    [[maybe_unused]] auto& top = *model->top;",
            "    [[maybe_unused]] auto& root = *top.rootp;",
            *(f"    {line}" for line in lines),
            "    return model;",
            "}\n",
        ]
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _runtime(directory: Path) -> Path:
    """The harness and Verilator's own library, compiled once for all models of a directory."""
    sources = [(HARNESS / name).read_text() for name in ("harness.h", "harness.cpp")]
    version = toolchain.verilator_version()
    place = directory / f"runtime-{_digest(*sources, version, *CFLAGS)}"
    if not place.exists():
        include = toolchain.verilator_root() / "include"
        own = [include / f"verilated{part}.cpp" for part in ("", "_dpi", "_threads")]
        _build(place, lambda folder: _objects(folder, [HARNESS / "harness.cpp", *own]))
    return place


def _objects(folder: Path, sources: list[Path]) -> None:
    for source in sources:
        _call([*_compiler(1), "-c", str(source), "-o", f"{source.stem}.o"], folder)


def _compiler(optimize: int) -> list[str]:
    include = toolchain.verilator_root() / "include"
    paths = [HARNESS, include, include / "vltstd"]
    return [str(toolchain.find("g++")), *CFLAGS, f"-O{optimize}", *(f"-I{path}" for path in paths)]


def _model(folder: Path, files: Mapping[str, str], runtime: Path, optimize: int, jobs: int) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    names = ["--top-module", TOP, "--prefix", "Vtop", "--Mdir", "obj"]
    _call([str(toolchain.verilator()), *VERILATE, *names, "top.v", "taps.vlt"], folder)
    # What Verilator calls slow runs once, at the start.
    tasks = [(source, 0 if "Slow" in source else optimize) for source in _sources(folder / "obj")]
    tasks.append(("../streams.cpp", 0))

    def build(task: tuple[str, int]) -> None:
        source, level = task
        command = [*_compiler(level), "-I.", "-c", source, "-o", f"{Path(source).stem}.o"]
        _call(command, folder / "obj")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(build, tasks))
    objects = [*runtime.glob("*.o"), *(folder / "obj").glob("*.o")]
    _call([*_compiler(0), *sorted(map(str, objects)), "-o", "bench"], folder)
    shutil.rmtree(folder / "obj")


def _sources(folder: Path) -> list[str]:
    """The model's C++ files, gathered into as few as :data:`UNITY` allows; slow ones apart."""
    groups: list[tuple[bool, int, list[str]]] = []
    for path in sorted(folder.glob("*.cpp"), key=lambda path: ("Slow" in path.name, path.name)):
        slow, size = "Slow" in path.name, path.stat().st_size
        if not groups or groups[-1][0] != slow or groups[-1][1] + size > UNITY:
            groups.append((slow, 0, []))
        groups[-1] = (slow, groups[-1][1] + size, [*groups[-1][2], path.name])
    names = []
    for k, (slow, _, parts) in enumerate(groups):
        names.append(f"all{k}{'Slow' if slow else ''}.cpp")
        (folder / names[-1]).write_text("".join(f'#include "{part}"\n' for part in parts))
    return names


def _build(place: Path, make: Callable[[Path], None]) -> None:
    """Fill a folder next to ``place`` and rename it: an interrupted build leaves nothing there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
    try:
        make(folder)
        if not place.exists():
            folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise SimulationError(f"{Path(command[0]).name} failed: {words}")
