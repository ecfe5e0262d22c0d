"""The report on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from hwc.compiler.report import Accuracy, Layer, Report, Verified
from hwc.hw.resources import Resources

__all__ = ["show"]


def show(report: Report, folder: Path, console: Console | None = None) -> None:
    """Print layers, resources, cycles, accuracy and what was verified."""
    console = console or Console()
    console.print(_layers(report))
    console.print(_resources(report))
    clock = report.clock_mhz
    latency, interval = report.cycles.latency, report.cycles.interval
    why = report.record()["bottleneck"]["why"]
    console.print(
        f"Latency  {latency.estimated} cycles predicted, {latency.measured} measured "
        f"({report.latency_us:.2f} us at {clock:g} MHz)\n"
        f"Interval {interval.estimated} cycles predicted, {interval.measured} measured "
        f"({report.frames_per_second:,.0f} frames/s){_most(report)}; {why}",
        highlight=False,
    )
    if told := _accuracy(report.accuracy):
        console.print(f"Accuracy {told}", highlight=False)
    verified = report.verified
    if verified is not None:
        console.print(
            f"[green]Verified[/] {verified.frames} frames ({verified.inputs}) through the RTL: "
            f"{verified.mismatches} mismatches, {verified.cycle_errors} transfers off their "
            f"predicted cycle, {verified.taps} inner streams compared; stalls: "
            f"{', '.join(verified.stalls)}{_driven(verified)}",
            highlight=False,
        )
    if report.placed is not None:
        placed = report.placed
        speed = (
            "" if placed.max_mhz is None else f", {placed.max_mhz:.2f} MHz after place and route"
        )
        used = ", ".join(f"{name} {n}/{most}" for name, (n, most) in placed.used.items())
        console.print(f"[green]Placed[/] {placed.bitstream}{speed}; {used}", highlight=False)
    if report.calibration:
        outputs = [loss for loss in report.calibration if loss.kind == "output"]
        worst = min(report.calibration, key=lambda loss: loss.sqnr_db)
        found = ", ".join(f"{loss.name} {loss.sqnr_db:.1f} dB" for loss in outputs)
        console.print(
            f"Calibration: signal to noise of {found}; worst quantizer {worst.name} "
            f"{worst.sqnr_db:.1f} dB",
            highlight=False,
        )
    for warning in report.warnings:
        console.print(f"[yellow]Note[/] {warning}", highlight=False)
    console.print(f"Bundle   {folder}", highlight=False, soft_wrap=True)


def _most(report: Report) -> str:
    """What the interval can be with other data, if it depends on them."""
    cycles = report.cycles
    return "" if cycles.most == cycles.interval.estimated else f", at most {cycles.most}"


def _accuracy(accuracy: Accuracy) -> str:
    """What the file says of its test set, and what the integers reach on the build's inputs."""
    known = (("float", accuracy.float), ("fake-quantized", accuracy.fake_quant))
    parts = [", ".join(f"{name} {value:.2%}" for name, value in known if value is not None)]
    if parts[0]:
        parts[0] += " (test set, as the file says)"
    if accuracy.integer is not None:
        parts.append(f"integer {accuracy.integer:.2%} ({accuracy.inputs} inputs of this build)")
    return "; ".join(filter(None, parts))


def _layers(report: Report) -> Table:
    table = Table(title=f"{report.model} on {report.board}", title_justify="left")
    for name in ("layer", "unit", "fold"):
        table.add_column(name)
    for name in ("interval", "LUT", "FF", "DSP", "BRAM36"):
        table.add_column(name, justify="right")
    for layer in report.layers:
        table.add_row(
            layer.name, _unit(layer), layer.fold, str(layer.interval), *_row(layer.resources)
        )
    return table


def _unit(layer: Layer) -> str:
    return f"{layer.unit}, {layer.variant}" if layer.variant else layer.unit


def _row(r: Resources) -> tuple[str, ...]:
    return str(r.lut), str(r.ff), str(r.dsp), f"{r.bram18 / 2:g}"


def _resources(report: Report) -> Table:
    table = Table(title="Resources", title_justify="left")
    for name in ("", "LUT", "FF", "DSP", "BRAM36"):
        table.add_column(name, justify="right")
    used, there = report.estimated, report.available
    table.add_row("estimated", *_row(used))
    if report.synthesized is not None:
        keys = ("lut", "ff", "dsp", "bram36")
        table.add_row("synthesized", *(f"{report.synthesized[key]:g}" for key in keys))
    table.add_row("board", *_row(there))
    pairs = (
        (used.lut, there.lut),
        (used.ff, there.ff),
        (used.dsp, there.dsp),
        (used.bram18, there.bram18),
    )
    table.add_row("estimated share", *(f"{u / t:.1%}" if t else "-" for u, t in pairs))
    return table


def _driven(verified: Verified) -> str:
    """What the shipped driver has run as well."""
    if not verified.shell_frames:
        return ""
    return (
        f"; {verified.shell_frames} of them through driver and shell on a simulated board as well"
    )
