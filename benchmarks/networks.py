"""The demo networks from training to a verified bundle, as one table.

    python benchmarks/networks.py [--nets tfc-w1a1,...] [--work build/networks] [--data mnist5k]
    python benchmarks/networks.py --zoo [--nets lenet-5-w8a8=fashion,...] [--synth sfc-w1a1=fashion]

Trains what is not there yet, with its float twin, builds each network for pynq-z2 with the whole
test set as inputs of the accuracy figure and 1,000 of them through the RTL, and writes
docs/networks.md. With --zoo it is the larger networks, three epochs of full Fashion-MNIST where
the shape fits, 20 frames and docs/zoo.md; --synth names those to which what yosys finds is added,
a few minutes each. `net=data` names another data set; on
noise nothing is trained: weights are random and accuracies mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from hwc.compiler.build import Options, build
from hwc.compiler.report import Report
from hwc.models import train

NETS = ("tfc-w1a1", "tfc-w2a2", "sfc-w1a1", "sfc-w2a2", "resnet-s-w4a4", "resnet-s-w8a8")
HEAD = """# The demo networks on pynq-z2

Made by `python benchmarks/networks.py` ({data}, 100 MHz, at most 70 % of the board, 2 cores).
Accuracy on the whole test set; *differing* counts outputs where the integers and the quantized
float64 network disagree. Cycles are the timing engine's, and in every row those counted in
Verilator are the same. Resources are estimates before synthesis. Frames are what went through the
RTL with stalls, every value and every transfer cycle compared. Memory is the largest resident set
of the process or one of its tools; *levels* the longest path that yosys finds, if asked.

"""
ZOO = (
    "lenet-300-100-w8a8=fashion",
    "lenet-5-w4a4=fashion",
    "lenet-5-w8a8=fashion",
    "sfc-w1a1=fashion",
    "lfc-w1a1=fashion",
    "cnv-w1a1=fashion",
    "cnv-w1a1=noise:3x32x32",
    "resnet-8-w4a4=noise:3x32x32",
    "resnet-8-w8a8=noise:3x32x32",
)
ZOO_HEAD = """# Larger networks on pynq-z2

Made by `python benchmarks/networks.py --zoo` (100 MHz, at most 70 % of the board, 2 cores), each
network in a process of its own. Those of `fashion` are trained for three epochs of the 60,000
Fashion-MNIST images (CNV for one), to have weights as training makes them and not for a record; on
`noise` weights and inputs are random. Columns as in [networks.md](networks.md); LUT, FF, DSP and
BRAM36 are estimates, behind a stroke what yosys finds, *levels* its longest path; seconds are those
of a run without it on a quiet machine. Memory is the largest resident set of the process or one of
its tools.

"""
COLUMNS = (
    "network",
    "float",
    "fake-quant",
    "integer",
    "differing",
    "latency (cycles)",
    "interval (cycles)",
    "frames/s",
    "LUT",
    "FF",
    "DSP",
    "BRAM36",
    "frames verified",
    "build s",
    "verify s",
    "memory GiB",
    "levels",
)


def line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def resources(report: Report) -> tuple[str, ...]:
    """LUT, FF, DSP and BRAM36, beside them what synthesis found."""
    r, found = report.estimated, report.synthesized
    cells = f"{r.lut:,}", f"{r.ff:,}", f"{r.dsp:,}", f"{r.bram18 / 2:g}"
    if found is None:
        return cells
    keys = ("lut", "ff", "dsp", "bram36")
    return tuple(f"{cell} / {found[key]:,g}" for cell, key in zip(cells, keys, strict=True))


def row(report: Report) -> str:
    a, c = report.accuracy, report.cycles
    for pair in (c.latency, c.interval):
        assert pair.estimated == pair.measured, (report.model, pair)
    verify = report.seconds["verifying"]
    steps = {k: v for k, v in report.seconds.items() if not k.startswith("synthesizing")}
    build_seconds = sum(steps.values()) - verify
    frames = report.verified.frames if report.verified else 0
    cells = (
        report.model,
        "-" if a.float is None else f"{a.float:.2%}",
        "-" if a.fake_quant is None else f"{a.fake_quant:.2%}",
        "-" if a.integer is None else f"{a.integer:.2%}",
        a.differing_outputs,
        f"{c.latency.estimated:,}",
        f"{c.interval.estimated:,}",
        f"{report.frames_per_second:,.0f}",
        *resources(report),
        frames,
        f"{build_seconds:.1f}",
        f"{verify:.1f}",
    )
    kinds = (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    memory = max(usage.ru_maxrss for usage in kinds) / 2**20
    levels = "-" if report.synthesized_levels is None else report.synthesized_levels
    return line((*cells, f"{memory:.1f}", levels))


def trained(net: str, data: str, path: Path, epochs: int | None) -> None:
    """Train a network and its float twin, unless there is nothing to learn, and save it."""
    noise = data.startswith("noise:")
    found = train(net, data, epochs=0 if noise else epochs, progress=False, float_twin=not noise)
    (replace(found, accuracy={}) if noise else found).save(path)


def measure(entry: str, args: argparse.Namespace) -> str:
    """The row of one network."""
    net, _, data = entry.partition("=")
    data = data or args.data
    name = net if data == args.data else f"{net}-{data.replace(':', '-')}"
    model = args.work / f"{name}.pt"
    if not model.exists():
        trained(net, data, model, (1 if net.startswith("cnv") else 3) if args.zoo else None)
    options = Options(
        model=model,
        board="pynq-z2",
        output=args.work / name,
        data=data,
        verify_inputs=args.inputs,
        overwrite=True,
        synth=entry in args.synth.split(","),
        work=args.work / "cache",
    )
    return row(build(options)).replace(f"| {net} ", f"| {entry} ", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", action="store_true")
    parser.add_argument("--synth", default="")
    parser.add_argument("--nets")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.nets = args.nets or ",".join(ZOO if args.zoo else NETS)
    args.work = args.work or Path("build/zoo" if args.zoo else "build/networks")
    args.inputs = args.inputs or (20 if args.zoo else 1000)
    args.work.mkdir(parents=True, exist_ok=True)
    text = ZOO_HEAD if args.zoo else HEAD.format(data=args.data)
    text += line(COLUMNS) + line(["---"] * len(COLUMNS))
    for entry in args.nets.split(","):
        with Pool(1) as pool:
            text += pool.apply(measure, (entry, args))
        print(text.splitlines()[-1], flush=True)
    out = args.out or Path("docs") / ("zoo.md" if args.zoo else "networks.md")
    out.write_text(text)


if __name__ == "__main__":
    main()
