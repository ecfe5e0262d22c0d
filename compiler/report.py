"""What a build found out, as Python objects, as `report.json` and on the terminal."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwc.compiler.calibrate import Loss
from hwc.compiler.map.variants import Other
from hwc.hw.resources import Resources

__all__ = ["SCHEMA_VERSION", "Accuracy", "Cycles", "Layer", "Pair", "Report", "Verified", "Weights"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Accuracy:
    """Share of right top-1 answers, 0 to 1; None where it was not measured."""

    float: float | None = None
    fake_quant: float | None = None
    integer: float | None = None
    inputs: int = 0
    """Labelled inputs that the integer figure was measured on."""
    differing_outputs: int | None = None
    """Outputs of these inputs where integers and fake-quantized float64 do not agree."""


@dataclass(frozen=True)
class Layer:
    """One unit of the design."""

    name: str
    op: str
    unit: str
    fold: str
    interval: int
    """Cycles per frame that its busiest process fires."""
    latency: int
    """Cycles from a firing to its beat, through the unit's pipeline."""
    levels: int
    resources: Resources
    synthesized: Resources | None = None
    weights: str = ""
    """Form and bits of its weights, such as "Sparse, 8.1 % of 235,200 nonzero, 180,231 bits"."""
    variant: str = ""
    """How it is computed, as `--unit` names it."""
    stored_bits: int = 0
    """Bits of weights in its memories."""
    others: tuple[Other, ...] = ()
    """The variants that it was not built in, and why."""


@dataclass(frozen=True)
class Pair:
    """The timing engine's figure and the one counted in simulation."""

    estimated: int
    measured: int | None


@dataclass(frozen=True)
class Cycles:
    """First input beat to last output beat of a frame alone; frame to frame when busy, and at most.

    They are those of the frames that ran, of which only units that skip zeros take notice.
    """

    latency: Pair
    interval: Pair
    most: int
    """What no frame exceeds; the interval, unless the network skips zeros."""


@dataclass(frozen=True)
class Verified:
    """What the simulation compared with the reference, and the RTL it ran."""

    inputs: str
    """Where the inputs came from."""
    frames: int
    mismatches: int
    stalls: tuple[str, ...]
    taps: int
    """Inner streams whose every beat was compared as well."""
    cycle_errors: int
    """Transfers that did not happen in the predicted cycle."""
    rtl_sha256: str
    shell_frames: int = 0
    """Frames that the shipped driver also ran through the board's shell; 0 if not asked for."""


@dataclass(frozen=True)
class Weights:
    """Three sizes of the weights, never to be mixed up; what is wired into logic is not stored."""

    count: int
    nonzero_ratio: float
    encoded_bits: int
    stored_bits: int


@dataclass(frozen=True)
class Placed:
    """What the board's tools made: file in the bundle, clock that is reached in MHz (None where the
    tool only says that the wanted one is), cells used of those there are, by the tool's names."""

    bitstream: str
    max_mhz: float | None
    used: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Report:
    """Everything `report.json` says; `schema_version` changes when a field changes its meaning.

    ``seconds`` differs between runs; everything else is the same for the same input.
    """

    model: str
    board: str
    part: str
    clock_mhz: float
    max_path_levels: int
    slowest_path: str
    accuracy: Accuracy
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]
    verified: Verified | None
    cycles: Cycles
    estimated: Resources
    available: Resources
    weights: Weights
    tool_versions: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)
    synthesized: Mapping[str, float] | None = None
    """Sums of the mapped parts (lut, lc, ff, dsp, bram36); None unless synthesis was asked for."""
    synthesized_levels: int | None = None
    placed: Placed | None = None
    """After place and route; None unless a bitstream was asked for."""
    calibration: tuple[Loss, ...] = ()
    """What each quantizer costs; empty unless the build calibrated the network."""
    calibrated: Mapping[str, Any] | None = None
    """The data and the options of the calibration."""
    schema_version: int = SCHEMA_VERSION

    @property
    def latency_us(self) -> float:
        return self.cycles.latency.estimated / self.clock_mhz

    @property
    def frames_per_second(self) -> float:
        return self.clock_mhz * 1e6 / self.cycles.interval.estimated

    def record(self) -> dict[str, Any]:
        """The content of `report.json`."""
        out = dataclasses.asdict(self)
        for loss in out["calibration"]:
            exact = math.isinf(loss["sqnr_db"])  # JSON has no infinity
            loss["sqnr_db"] = None if exact else round(loss["sqnr_db"], 2)
        out["resources"] = {
            "estimated": _resources(self.estimated),
            "synthesized": out.pop("synthesized"),
            "available": _resources(self.available),
        }
        del out["estimated"], out["available"]
        for layer, source in zip(out["layers"], self.layers, strict=True):
            layer["resources"] = _resources(source.resources)
            for other, left in zip(layer["others"], source.others, strict=True):
                other["resources"] = left.resources and _resources(left.resources)
            if source.synthesized is not None:
                layer["synthesized"] = _resources(source.synthesized)
        slowest = max(self.layers, key=lambda layer: layer.interval)
        out["bottleneck"] = {"layer": slowest.name, "why": _why(slowest, self)}
        out["latency_us"] = round(self.latency_us, 3)
        out["frames_per_second"] = round(self.frames_per_second, 1)
        return {"schema_version": out.pop("schema_version"), **out}

    def to_json(self) -> str:
        return json.dumps(self.record(), indent=2, sort_keys=False) + "\n"


def _resources(r: Resources) -> dict[str, float]:
    return {"lut": r.lut, "ff": r.ff, "dsp": r.dsp, "bram36": r.bram18 / 2}


def _why(layer: Layer, report: Report) -> str:
    share = f"{layer.name} fires {layer.interval} times a frame"
    interval = report.cycles.interval.estimated
    if interval > layer.interval:
        return f"{share}; waiting for its neighbours makes it {interval} cycles"
    return f"{share} and sets the interval; no faster set of folds was found within the limits"
