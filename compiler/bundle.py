"""What a build leaves behind: RTL, manifest, golden vectors. Same input, same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hwc.boards.board import Board
from hwc.compiler.c_driver import write_c_driver
from hwc.compiler.cocotb import write_bench
from hwc.compiler.deploy import DRIVER, deploy, memory
from hwc.compiler.files import MARK, sha256
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import Encoding, Lowered, Reading
from hwc.compiler.lower.steps import Bend, Step
from hwc.compiler.map.mapping import Mapping as Mapped
from hwc.compiler.source.nonlinear import Curve
from hwc.host.readings import STEPS
from hwc.hw.layout import Layout
from hwc.hw.verilog import TOP

__all__ = ["MANIFEST_VERSION", "check_outputs", "reading_section", "write_bundle"]

MANIFEST_VERSION = 1
RTL = "rtl/network.v"
CURVES = STEPS.keys() & get_args(Curve)
"""Curves that the driver computes behind an output."""

GOLDEN_FRAMES = 16
"""Frames kept for the self-test on a board."""

Ints = NDArray[np.int64]


def write_bundle(
    folder: Path,
    *,
    name: str,
    board: Board,
    clock_mhz: float,
    lowered: Lowered,
    mapped: Mapped,
    rtl: str,
    golden: tuple[Mapping[str, Ints], Mapping[str, Ints]],
    cycles: Mapping[str, int],
) -> None:
    """Write everything but the report into ``folder``.

    ``golden`` are raw inputs by stream and the integers that the reference gives for them, by
    stream; the first :data:`GOLDEN_FRAMES` frames are kept.
    """
    (folder / "rtl").mkdir()
    (folder / "golden").mkdir()
    (folder / RTL).write_text(rtl)
    files = {}
    for side, arrays in zip(("inputs", "outputs"), golden, strict=True):
        for stream, frames in arrays.items():
            path = f"golden/{stream}.npy"
            np.save(folder / path, frames[:GOLDEN_FRAMES].astype(np.int64), allow_pickle=False)
            files[stream] = {"file": path, "side": side}
    design = mapped.design
    places = memory(design)
    encodings = {e.name: e for e in lowered.inputs}
    readings: dict[str, list[Reading]] = {}
    for reading in lowered.outputs:
        readings.setdefault(reading.node, []).append(reading)
    nodes = {stream: tensor for tensor, stream in mapped.outputs.items()}
    manifest: dict[str, Any] = {
        "manifest_version": MANIFEST_VERSION,
        "model": name,
        "board": board.name,
        "clock_mhz": clock_mhz,
        "top": TOP,
        "rtl": {"file": RTL, "sha256": sha256(rtl)},
        "inputs": {
            stream: _stream(layout) | {"memory": places[stream]} | _encoding(encodings[stream])
            for stream, layout in design.inputs.items()
        },
        "outputs": {
            stream: _stream(layout)
            | {"memory": places[stream]}
            | _readings(readings[nodes[stream]])
            for stream, layout in design.outputs.items()
        },
        "golden": files,
        "cycles": dict(cycles),
    }
    if shell := deploy(folder, design, rtl, board, clock_mhz):
        manifest["shell"] = shell
        if shell["kind"] == "axi":
            write_c_driver(folder / DRIVER / "c", manifest)
            write_bench(folder)
    (folder / MARK).write_text(json.dumps(manifest, indent=2) + "\n")


def _stream(layout: Layout) -> dict[str, Any]:
    """How frames become beats: enough to pack and unpack without this package."""
    kind = layout.type
    return {
        "shape": list(kind.shape),
        "tile": list(layout.tile),
        "beats": layout.beats,
        "beat_bits": layout.width,
        "element_bits": kind.width,
        "signed": kind.signed,
        "bipolar": kind.bipolar,
        "lo": kind.lo,
        "hi": kind.hi,
    }


def _encoding(encoding: Encoding) -> dict[str, Any]:
    """How values become the integers that are streamed; see :class:`Encoding`."""
    return {
        "encoding": encoding.kind,
        "scale": list(encoding.scale),
        "zero": encoding.zero,
        "joint": encoding.joint,
        "source_shape": list(encoding.shape),
    }


def _readings(readings: Sequence[Reading]) -> dict[str, Any]:
    """The section of a stream; further outputs of the network that are read of the same integers
    (a softmax beside its logits) are under `also`."""
    first, *rest = readings
    return reading_section(first) | {"also": [reading_section(r) for r in rest]}


def reading_section(reading: Reading) -> dict[str, Any]:
    """What the integers mean: clip(slope * code + offset, low, high), fractions as text.

    `second` is the other line of a leaky ReLU, `steps` are functions that the driver computes.
    """
    second = reading.second
    return {
        "name": reading.source,
        "slope": _texts(reading.slope),
        "offset": _texts(reading.offset),
        "low": _texts(reading.low),
        "high": _texts(reading.high),
        "second": None
        if second is None
        else {
            "slope": _texts(second.slope),
            "offset": _texts(second.offset),
            "largest": [bool(flag) for flag in second.largest],
        },
        "steps": [_step(step) for step in reading.steps],
        "order": None if reading.order is None else list(reading.order),
        "source_shape": list(reading.shape),
    }


def _texts(values: Iterable[object]) -> list[str]:
    return [str(v) for v in values]


def check_outputs(lowered: Lowered) -> None:
    """HwcError for an output that ends in a function which the driver does not compute."""
    for reading in lowered.outputs:
        for step in reading.steps:
            if isinstance(step, Bend) and step.op.curve not in CURVES:
                raise HwcError(
                    f"output '{reading.source}' ends in {step.op.curve}, which the driver does not "
                    f"compute (it knows {', '.join(sorted(CURVES))} and softmax); put a Quant "
                    "after it, or leave it to the program that calls the driver"
                )


def _step(step: Step) -> list[Any]:
    """A function by its name and numbers."""
    name = step.op.curve if isinstance(step, Bend) else type(step).__name__.lower()
    return [name, *(_texts(vector) for vector in step.vectors)]
