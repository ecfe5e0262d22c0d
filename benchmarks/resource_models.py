"""Resource models of all units against synthesis, over a sampled sweep.

    python benchmarks/resource_models.py [--out docs/resource_models.md] [--cache FOLDER]

Writes a table; about 200 yosys runs of five seconds, each remembered by its content.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sampled import Sample, sampled, within

from hwc.hw.resources import Resources
from hwc.sim.toolchain import yosys

PAGE = Path(__file__).parents[1] / "docs" / "resource_models.md"

HEAD = """# Resource models against synthesis

Made by `python benchmarks/resource_models.py` with {version}. What each unit says it
costs, which is what the mapper goes by, beside what yosys makes of it (its mapper is `abc -luts
2:2,3,6:5`, LUTs as memory and shift registers included, nothing placed or routed). LUTs and
flip-flops count as right within a tenth, or within 8 where that is more; DSP48E1 and half block
RAMs have to be exact. `tests/hw/test_calibration.py` holds the models to that, in the slow lane.

| unit | sampled | LUT | FF | DSP48E1 | RAMB18 | LUT in all |
|---|---:|---:|---:|---:|---:|---:|
"""

NOTES = """
## What is not modelled

* Tables in LUTs come out as yosys maps them, which is 35 bits a LUT and not 64: its `abc` finds
  few of the multiplexers that F7 and F8 are for. Vendor tools need less.
* Random truth tables of 7 bits and more (`Table`, thresholds that never change) scatter by a third
  either way; the model takes the mean of permutations and the contents of smooth functions.
* Of weights in LUTs only equal columns are shared, from the number of words, and of those in block
  RAM bits that never change are left out up to 32 words. What else their values happen to simplify
  is not looked at, since thousands of folds are priced: with nine weights of ten pruned and 16
  words a product of 60 lanes says 998 LUTs and 977 flip-flops and takes 794 and 810.
* Pointers of queues of thousands of beats that are not powers of two: two LUTs a bit more.
* Of F(2x2, 3x3) with products in DSP blocks yosys keeps a seventh fewer flip-flops than are said;
  with products in LUTs the longest path is a level deeper.

"""

SAMPLES = """## All samples

Estimated / synthesized; what is outside is in bold.

| unit | fold | LUT | FF | DSP48E1 | RAMB18 |
|---|---|---:|---:|---:|---:|
"""

Row = tuple[Sample, Resources]


def right(row: Row) -> tuple[bool, bool, bool, bool]:
    """Whether LUT, FF, DSP and BRAM are what they have to be."""
    said, found = row[0].said, row[1]
    return (
        within(said.lut, found.lut),
        within(said.ff, found.ff),
        said.dsp == found.dsp,
        said.bram18 == found.bram18,
    )


def summary(name: str, rows: Sequence[Row]) -> str:
    """A kind of unit: how many of how many are right."""
    counts = [sum(column) for column in zip(*map(right, rows), strict=True)]
    said, found = sum(s.said.lut for s, _ in rows), sum(f.lut for _, f in rows)
    cells = " | ".join(f"{n} of {len(rows)}" for n in counts)
    return f"| {name} | {len(rows)} | {cells} | {100 * (said - found) / max(1, found):+.1f} % |\n"


def line(row: Row) -> str:
    """A sample."""
    (sample, found), cells = row, []
    said = sample.said
    for name, ok in zip(("lut", "ff", "dsp", "bram18"), right(row), strict=True):
        cell = f"{getattr(said, name)} / {getattr(found, name)}"
        cells.append(cell if ok else f"**{cell}**")
    return f"| {sample.kind} | {sample.what} | {' | '.join(cells)} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--cache", type=Path, help="where synthesis results are kept")
    args = parser.parse_args()
    rows: list[Row] = []
    for sample in sampled():
        rows.append((sample, sample.mapped(args.cache).resources()))
        print(line(rows[-1]), end="", flush=True)
    kinds = dict.fromkeys(sample.kind for sample, _ in rows)
    text = HEAD.format(version=yosys().version)
    text += "".join(summary(kind, [r for r in rows if r[0].kind == kind]) for kind in kinds)
    text += summary("all", rows) + NOTES + SAMPLES + "".join(map(line, rows))
    args.out.write_text(text)


if __name__ == "__main__":
    main()
