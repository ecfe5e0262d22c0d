"""Builds the C++ model of a design: Verilator, the generated table of streams, the harness.

Builds are kept by the hash of all they are made from. The harness and Verilator's own library are
compiled once for all models of a directory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from hwc.compiler.graph.errors import HwcError
from hwc.hw.design import Design
from hwc.hw.layout import Layout
from hwc.hw.verilog import TOP, to_verilog
from hwc.sim import toolchain

__all__ = ["SimulationError", "build", "compile_program", "optimization", "tapped"]

HARNESS = Path(__file__).parent
_LIBRARY = ("verilated", "verilated_dpi", "verilated_threads")
CFLAGS = ("-std=c++17", "-DVERILATOR=1")
UNITY = 4_000_000
"""Bytes of C++ that are compiled as one file, about: each file costs a second for its headers."""
LONG = 50_000
"""Cycles from which on a faster simulation makes up for its longer compilation."""
VERILATE = ("--cc", "--flatten", "--no-timing", "-O3", "--x-initial", "unique", "-Wno-lint")


class SimulationError(HwcError):
    """A design cannot be built, does not finish or breaks a rule of streams."""

    exit_code = 2


def optimization(cycles: int) -> Literal[0, 1]:
    """What the C++ compiler should optimize for a simulation of so many cycles.

    Level 1 runs four to five times as fast as 0. Compiled, both are larger for larger designs, so
    that the number of cycles alone decides.
    """
    return 1 if cycles > LONG else 0


def build(
    design: Design, directory: Path, taps: tuple[str, ...], optimize: int, jobs: int | None
) -> tuple[Path, str]:
    """The simulator's program and the Verilog it was made from; see hwc.sim.verilator.compile."""
    names = {edge.name for edge in design.edges}
    if unknown := [name for name in taps if name not in names]:
        raise SimulationError(f"no edge {unknown[0]!r} to tap; there are {sorted(names)}")
    verilog = to_verilog(design)
    files = {"top.v": verilog, "taps.vlt": _config(taps), "streams.cpp": _bindings(design, taps)}
    directory = directory.absolute()
    runtime = _runtime(directory)
    parts = sorted(runtime.glob("*.o"))
    return _program(files, TOP, directory, parts, optimize, jobs), verilog


def compile_program(
    files: Mapping[str, str], top: str, source: str, directory: Path, optimize: int = 1
) -> Path:
    """The program of one C++ ``source`` with ``main`` around a Verilated ``top``, class Vtop.

    ``files`` are the Verilog texts by name. Kept in ``directory`` by the hash of everything.
    """
    directory = directory.absolute()
    runtime = _runtime(directory)
    parts = [runtime / f"{name}.o" for name in _LIBRARY]
    return _program({**files, "streams.cpp": source}, top, directory, parts, optimize, None)


def _program(
    files: Mapping[str, str],
    top: str,
    directory: Path,
    parts: list[Path],
    optimize: int,
    jobs: int | None,
) -> Path:
    """What :func:`_model` makes of these, built or taken from ``directory``."""
    names = [f"{part.parent.name}/{part.name}" for part in parts]
    digest = _digest(*files.values(), top, *names, *VERILATE, str(optimize))
    place = directory / f"model-{digest}"
    if not (place / "bench").exists():
        workers = jobs or os.cpu_count() or 1
        _build(place, lambda folder: _model(folder, files, parts, optimize, workers, top))
    return place / "bench"


def tapped(design: Design, name: str) -> Layout:
    """Layout of the beats in the queue of an edge."""
    edge = next(e for e in design.edges if e.name == name)
    return design.layout(edge.dst, edge)


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
        lines.append(f"model->probe({pop}, {head}, {tapped(design, name).width});")
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
        own = [include / f"{name}.cpp" for name in _LIBRARY]
        _build(place, lambda folder: _objects(folder, [HARNESS / "harness.cpp", *own]))
    return place


def _objects(folder: Path, sources: list[Path]) -> None:
    for source in sources:
        _call([*_compiler(1), "-c", str(source), "-o", f"{source.stem}.o"], folder)


def _compiler(optimize: int) -> list[str]:
    include = toolchain.verilator_root() / "include"
    paths = [HARNESS, include, include / "vltstd"]
    return [str(toolchain.find("g++")), *CFLAGS, f"-O{optimize}", *(f"-I{path}" for path in paths)]


def _model(
    folder: Path,
    files: Mapping[str, str],
    parts: list[Path],
    optimize: int,
    jobs: int,
    top: str,
) -> None:
    """``bench`` in ``folder``: the Verilated files, streams.cpp and the objects of ``parts``."""
    for name, text in files.items():
        (folder / name).write_text(text)
    names = ["--top-module", top, "--prefix", "Vtop", "--Mdir", "obj"]
    sources = [name for name in files if name.endswith((".v", ".vlt"))]
    _call([str(toolchain.verilator()), *VERILATE, *names, *sources], folder)
    # What Verilator calls slow runs once, at the start.
    tasks = [(source, 0 if "Slow" in source else optimize) for source in _sources(folder / "obj")]
    tasks.append(("../streams.cpp", 0))

    def build(task: tuple[str, int]) -> None:
        source, level = task
        command = [*_compiler(level), "-I.", "-c", source, "-o", f"{Path(source).stem}.o"]
        _call(command, folder / "obj")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(build, tasks))
    objects = [*parts, *(folder / "obj").glob("*.o")]
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
