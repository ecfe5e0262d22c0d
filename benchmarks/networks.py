"""The demo networks from training to a verified bundle, as one table.

    python benchmarks/networks.py [--nets tfc-w1a1,...] [--work build/networks] [--data mnist5k]
    python benchmarks/networks.py --data noise:3x32x32 --nets cnv-w1a1,resnet-8-w8a8 --inputs 20

Trains what is not there yet, with its float twin, builds each network for pynq-z2 with the whole
test set as inputs of the accuracy figure and 1,000 of them through the RTL, and writes
docs/networks.md. On noise nothing is trained: weights are random and accuracies mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hwc.compiler.build import Options, build
from hwc.compiler.report import Report
from hwc.models import train

NETS = ("tfc-w1a1", "tfc-w2a2", "sfc-w1a1", "sfc-w2a2", "resnet-s-w4a4", "resnet-s-w8a8")
HEAD = """# The demo networks on pynq-z2

Made by `python benchmarks/networks.py` ({data}, 100 MHz, at most 70 % of the board, 2 cores).
Accuracy on the whole test set; *differing* counts outputs where the integers and the quantized
float64 network disagree. Cycles are the timing engine's, and in every row those counted in
Verilator are the same. Resources are estimates before synthesis. Frames are what went through the
RTL with stalls, every value and every transfer cycle compared.

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
)


def line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def row(report: Report) -> str:
    a, c, r = report.accuracy, report.cycles, report.estimated
    for pair in (c.latency, c.interval):
        assert pair.estimated == pair.measured, (report.model, pair)
    verify = report.seconds["verifying"]
    build_seconds = sum(report.seconds.values()) - verify
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
        f"{r.lut:,}",
        f"{r.ff:,}",
        r.dsp,
        f"{r.bram18 / 2:g}",
        frames,
        f"{build_seconds:.1f}",
        f"{verify:.1f}",
    )
    return line(cells)


def trained(net: str, data: str, path: Path) -> None:
    """Train a network and its float twin, unless there is nothing to learn, and save it."""
    noise = data.startswith("noise:")
    found = train(net, data, epochs=0 if noise else None, progress=False, float_twin=not noise)
    (replace(found, accuracy={}) if noise else found).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--work", type=Path, default=Path("build/networks"))
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/networks.md"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    text = HEAD.format(data=args.data) + line(COLUMNS) + line(["---"] * len(COLUMNS))
    for net in args.nets.split(","):
        model = args.work / f"{net}.pt"
        if not model.exists():
            trained(net, args.data, model)
        options = Options(
            model=model,
            board="pynq-z2",
            output=args.work / net,
            data=args.data,
            verify_inputs=args.inputs,
            overwrite=True,
            work=args.work / "cache",
        )
        text += row(build(options))
        print(text.splitlines()[-1], flush=True)
    args.out.write_text(text)


if __name__ == "__main__":
    main()
