"""Networks compressed in each way, built for pynq-z2 beside the uncompressed 8-bit build.

    python benchmarks/compressed_networks.py [--rows fc-ternary,...] [--frames 100]

A row is a network of benchmarks/recipes trained and compressed on real data (seed 0), then built at
the frames per second of its table and verified with stalls, every value and every transfer cycle.
The whole test set gives the accuracy. What is trained and built stays in build/compressed, so that
a row is done once; docs/compressed_networks.md has those that are done.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

from hwc.compiler.build import Options, build
from hwc.models import load_data
from hwc.models.compress import compress, load_recipe
from hwc.models.compress.networks import start

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "benchmarks" / "recipes"
KEPT = ROOT / "build" / "compressed"
DOC = ROOT / "docs" / "compressed_networks.md"


@dataclass(frozen=True)
class Row:
    """A recipe, and layer=form for what the mapper would not take by itself."""

    name: str
    recipe: str
    units: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Rows of one network; the first is what the others are compared with."""

    network: str
    data: str
    fps: float
    rows: Sequence[Row]


TABLES = (
    Table(
        "lenet-300-100",
        "mnist5k",
        50_000,
        (
            Row("fc-int8", "int8"),
            Row("fc-skip", "int8", ("fc1=skip", "fc2=skip")),
            Row("fc-int4", "int4"),
            Row("fc-binary", "binary_weight"),
            Row("fc-ternary", "ternary"),
            Row("fc-power_of_two", "power_of_two"),
            Row("fc-codebook", "kmeans"),
            Row("fc-codebook-forced", "kmeans", ("fc1=codebook", "fc2=codebook")),
            Row("fc-n_of_m", "n_of_m"),
            Row("fc-n_of_m-forced", "n_of_m", ("fc1=n_of_m", "fc2=n_of_m")),
            Row("fc-channels", "channels"),
            Row("fc-deep_compression", "deep_compression"),
        ),
    ),
    Table(
        "lenet-5",
        "fashion",
        5_000,
        (
            Row("conv-int8", "int8"),
            Row("conv-winograd2", "int8", ("conv2=winograd2",)),
            Row("conv-sparse", "sparse"),
            Row("conv-deep_compression", "deep_compression"),
        ),
    ),
)
HEAD = """# Compressed networks as hardware

Made by `python benchmarks/compressed_networks.py`. Each network is compressed on real data by its
recipe in benchmarks/recipes (seed 0), built for pynq-z2 at 100 MHz as cheap as its frames per
second allow, and run in Verilator with stalls: every value and every transfer cycle was as the
reference and the timing engine say, so *interval* is measured as well as predicted; where zeros of
images are skipped it is that of the images verified, beside what no image exceeds. *forms*: of each
layer with weights, in order; those with a star were asked for with `--unit`. *bits*: what memories
hold of the weights. LUT, FF, DSP and BRAM36 are estimates of the whole network, queues included,
the share of the first row in brackets. Accuracy on the whole test set.

"""
COLUMNS = (
    "compressed by",
    "forms",
    "float",
    "integers",
    "interval (cycles)",
    "LUT",
    "FF",
    "DSP",
    "BRAM36",
    "bits",
    "frames verified",
    "build s",
)


def model(table: Table, row: Row) -> Path:
    """The compressed network of a row; made once."""
    path = KEPT / f"{table.network}-{row.recipe}.pt"
    if not path.is_file():
        recipe = load_recipe(RECIPES / table.network / f"{row.recipe}.toml")
        data = load_data(table.data)
        begun = start(table.network, recipe, data, progress=False)
        compress(begun, recipe, data, name=table.network, progress=False).save(path)
    return path


def built(table: Table, row: Row, frames: int) -> dict:
    """The report of a row's build; made once."""
    bundle = KEPT / row.name
    if not (bundle / "report.json").is_file():
        options = Options(
            model=model(table, row),
            board="pynq-z2",
            output=bundle,
            target_fps=table.fps,
            units=tuple(row.units),
            verify_inputs=frames,
            data=table.data,
            overwrite=True,
            work=KEPT / "cache",
        )
        build(options)
    return json.loads((bundle / "report.json").read_text())


def line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def cells(table: Table, row: Row, report: dict, first: dict) -> list[str]:
    """One line of a table; ``first`` is the report that it is compared with."""
    forms = [layer["variant"] for layer in report["layers"] if layer["variant"]]
    asked = {unit.split("=")[1] for unit in row.units}
    used, base = (r["resources"]["estimated"] for r in (report, first))
    stored, dense = (r["weights"]["stored_bits"] for r in (report, first))
    accuracy, interval = report["accuracy"], report["cycles"]["interval"]
    assert interval["measured"] == interval["estimated"], report["model"]
    pace = f"{interval['measured']:,}"
    if (most := report["cycles"].get("most", 0)) > interval["measured"]:
        pace += f", at most {most:,}"
    seconds = {k: v for k, v in report["seconds"].items() if k != "verifying"}
    return [
        f"[{row.recipe}](../benchmarks/recipes/{table.network}/{row.recipe}.toml)",
        ", ".join(f"{form}*" if form in asked else form for form in forms),
        f"{accuracy['float']:.2%}",
        f"{accuracy['integer']:.2%}",
        pace,
        *(against(used[key], base[key]) for key in ("lut", "ff", "dsp", "bram36")),
        against(stored, dense),
        str(report["verified"]["frames"]),
        f"{sum(seconds.values()):.0f}",
    ]


def against(value: float, first: float) -> str:
    """A figure, and its share of the first row's."""
    text = f"{value:,.1f}".removesuffix(".0")
    return text + (f" ({value / first:.2f})" if first else "")


def measure(job: tuple[Table, Row, int]) -> dict:
    """The report of one row, in a process of its own."""
    return built(*job)


def page(frames: int, chosen: set[str]) -> str:
    """The tables of all rows that are chosen or done before."""
    text = HEAD
    for table in TABLES:
        reports: list[tuple[Row, dict]] = []
        for row in table.rows:
            done = (KEPT / row.name / "report.json").is_file()
            if row.name in chosen or done:
                with Pool(1) as pool:
                    reports.append((row, pool.apply(measure, ((table, row, frames),))))
                print(row.name, reports[-1][1]["resources"]["estimated"], flush=True)
        if not reports:
            continue
        text += f"## {table.network} on {table.data}, at {table.fps:,g} frames/s\n\n"
        text += line(COLUMNS) + line(["---"] * len(COLUMNS))
        first = reports[0][1]
        text += "".join(line(cells(table, row, report, first)) for row, report in reports) + "\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", help="names, with commas; all of them without")
    parser.add_argument("--frames", type=int, default=100, help="test images through the RTL")
    args = parser.parse_args()
    every = {row.name for table in TABLES for row in table.rows}
    chosen = set(args.rows.split(",")) if args.rows else every
    if unknown := chosen - every:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(sorted(every))}")
    KEPT.mkdir(parents=True, exist_ok=True)
    DOC.write_text(page(args.frames, chosen).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
