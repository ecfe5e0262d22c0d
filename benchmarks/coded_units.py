"""Units for weights of few values or patterns, against dense ones: resources at equal throughput.

    python benchmarks/coded_units.py [--out docs/coded_units.md] [--cache FOLDER] [--synth TEXT ...]

Of each form the candidate of the mapper that is fast enough and takes the smallest share of a
PYNQ-Z2. Rows whose layer, weights and unit have one of the texts of ``--synth`` go through yosys, a
minute or some each, remembered by content; the others have estimates alone, which takes a minute
for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwc.boards.board import get
from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, Type
from hwc.hw.core import Core
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.centroids.unit import CentroidMatVec
from hwc.hw.units.lookups.unit import LookupMatVec
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.shift.unit import ShiftMatVec
from hwc.sim.synth import synthesize
from hwc.sim.toolchain import yosys

HEAD = """# Units for weights of few values

Made by `python benchmarks/coded_units.py` with {version}. Random weights, int8
activations, sums as outputs. Of each form the cheapest candidate (by the sum of its shares of a
PYNQ-Z2, the column *share*) that takes at most *goal* cycles a frame. *powers*: 0 and ±2^e; *n
values*: so many different int8; *pieces*: blocks of four inputs, each with a codebook of 16 pieces
of int8 (product quantization); *ternary*: -1, 0, 1. *bits*: what the memories of weights hold.
LUT, FF, DSP, BRAM18 by yosys, our estimate in brackets (alone: not synthesized); queues excluded.

"""
BOUND = """
## What bounds them

* **Shifts.** With 0, ±1, ±2, ±4 a bit of a product is a LUT of three shifted inputs, two bits that
  choose and a sign, and about 0.6 LUT to add it: 15 LUTs with int8 inputs, where any weight of int4
  takes 22. Up to ±64 a multiplexer of four shifts stands before a choice of two: 30, where int8
  takes 44. A code is 3 bits or 4, half of int8 or less. They are the cheapest form for such weights
  in all rows but one, where sums are long and centroids a hair cheaper. They lose against products
  with inputs of few bits and five sizes (22 LUTs against 21 at 4 bits); the mapper sees that in the
  estimates.
* **Centroids.** An input is added to the sum of its weight in a memory of a few words: a LUT a bit
  for the adder, about half of one for the memory, and no register, whatever the width of the
  weight. But each output and lane needs a memory of its own, and all of them stand still while the
  products are made: `outs / macs` cycles for each value. So they win where sums are long and values
  few: with 4 values in all layers here, with 16 in the fully connected ones. From 7 values on they
  lose on the convolution, and far if it has to be fast: its 576 inputs are then spread over many
  lanes, and products become most of the cycles.
* **Tables.** One product with each of 16 pieces serves all outputs, so what is left is looking up:
  a table in LUTs and an adder for four weights. Each output that looks up at the same time has a
  copy of the tables; sums of all outputs wait in a memory. With product quantization they win
  everywhere, and hold 0.14 to 0.38 of the bits, pieces included. Two or three ternary weights make
  a piece as well: fewer bits (27 pieces, 1.7 bits a weight), but adding and subtracting three
  inputs costs little more than looking their sum up: a tie for many outputs, and a loss for the 64
  of the convolution, which are too few to share 9 pieces.
* **Memories.** A memory deeper than a block RAM of its width has a multiplexer behind it, up to
  three LUTs a bit; a level that the paths do not count.
"""
COLUMNS = (
    "layer",
    "weights",
    "unit",
    "goal",
    "cycles",
    "LUT",
    "FF",
    "DSP",
    "BRAM18",
    "bits",
    "share",
)
SHAPES = {
    "FC 784x300": ((300, 1, 784), 1, (6000,)),
    "FC 1024x1024": ((1024, 1, 1024), 1, (6144,)),
    "conv 3x3 64->64 on 32x32": ((64, 9, 64), 32, (1179648, 147456)),
}


@dataclass(frozen=True)
class Layer:
    """A product, and cycles a frame that it may take."""

    name: str
    weights: str
    op: ProductOp
    x: Type
    goal: int


def powers(rng: np.random.Generator, shape: tuple[int, ...], most: int) -> np.ndarray:
    """0 and both signs of powers of two up to ``2**most``."""
    sizes = [0, *(1 << e for e in range(most + 1))]
    return rng.choice(sizes, shape) * rng.choice([-1, 1], shape)


def few(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> np.ndarray:
    """So many different values of int8, 0 among them, as k-means would leave them."""
    table = np.rint(60 * rng.standard_normal(4 * count)).clip(-127, 127).astype(int)
    table = np.append(0, np.unique(table[table != 0])[: count - 1])
    return rng.choice(table, shape)


def pieces(rng: np.random.Generator, shape: tuple[int, ...], count: int, size: int) -> np.ndarray:
    """Each block of ``size`` inputs of one of ``count`` pieces."""
    rows, taps, channels = shape
    book = rng.integers(-127, 128, (taps, channels // size, count, size))
    pick = rng.integers(0, count, (rows, taps, channels // size))
    tap, block = np.ogrid[:taps, : channels // size]
    return book[tap, block, pick].reshape(shape)


def layers() -> Iterator[Layer]:
    """Every shape with every kind of weights, at every goal."""
    for name, (shape, size, goals) in SHAPES.items():
        rng = np.random.default_rng(0)
        kinds = {
            "int4": rng.integers(-8, 8, shape),
            "powers to 4": powers(rng, shape, 2),
            "powers to 64": powers(rng, shape, 6),
            "4 values": few(rng, shape, 4),
            "16 values": few(rng, shape, 16),
            "ternary": rng.integers(-1, 2, shape),
            "pieces": pieces(rng, shape, 16, 4),
        }
        for goal in goals:
            for kind, weight in kinds.items():
                if size == 1:
                    op, x = MatMul(Dense(weight[:, 0])), Type(shape[2:], -128, 127)
                else:
                    op = GroupedMatMul(Dense(weight[None]))
                    x = Type((size, size, 1, *shape[1:]), -128, 127)
                yield Layer(name, kind, op, x, goal)


def cycles(unit: Unit) -> int:
    """Cycles of a frame."""
    return max(p.firings for p in unit.schedule().processes)


def share(cost: Resources) -> float:
    """Sum of the shares of a PYNQ-Z2."""
    board = get("pynq-z2").budget
    names = "lut", "ff", "dsp", "bram18"
    return sum(getattr(cost, name) / getattr(board, name) for name in names)


def kind(unit: Unit, cost: Resources) -> str:
    """The form; of the dense one, where its products are made."""
    if unit.variant != "dense":
        return unit.variant
    return "dense, DSP" if cost.dsp else "dense, LUT"


def units(layer: Layer) -> dict[str, Unit]:
    """Form -> its cheapest candidate that is fast enough; of "wired" none."""
    op, x, goal = layer.op, layer.x, layer.goal
    dense = list(MatVec.candidates(op, x, limit=200, near=goal))
    found: list[Unit] = [u for u in dense if u.variant != "wired"]
    found += ShiftMatVec.candidates(op, x, None, [u.fold for u in dense])
    found += CentroidMatVec.candidates(op, x, limit=100, near=goal)
    found += LookupMatVec.candidates(op, x, limit=100, near=goal)
    best: dict[str, tuple[float, Unit]] = {}
    for unit in found:
        if cycles(unit) > goal:
            continue
        cost = unit.resources()
        name = kind(unit, cost)
        if name not in best or share(cost) < best[name][0]:
            best[name] = share(cost), unit
    return {name: unit for name, (_, unit) in sorted(best.items())}


def row(layer: Layer, name: str, unit: Unit, cache: Path | None, texts: list[str]) -> str:
    """A row of the table, synthesized if its names have one of the texts."""
    said = unit.resources()
    cells = [layer.name, layer.weights, name, str(layer.goal), str(cycles(unit))]
    numbers = [f"({n})" for n in (said.lut, said.ff, said.dsp, said.bram18)]
    label = f"{layer.name}, {layer.weights}, {name}, {layer.goal}"
    if any(text in label for text in texts):
        found = synthesize(Core(unit), cache=cache).resources()
        counts = found.lut, found.ff, found.dsp, found.bram18
        numbers = [f"{n} {e}" for n, e in zip(counts, numbers, strict=True)]
    cells += [*numbers, str(unit.stored_bits()), f"{100 * share(said):.1f} %"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description="Write the table of units for few values.")
    parser.add_argument("--out", type=Path, default=Path("docs/coded_units.md"))
    parser.add_argument("--cache", type=Path, default=None, help="folder for yosys results")
    parser.add_argument("--synth", nargs="*", default=[], help="synthesize rows that have a text")
    options = parser.parse_args()
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|" + "---:|" * (len(COLUMNS) - 3)]
    print("\n".join(lines))
    for layer in layers():
        for name, unit in units(layer).items():
            lines.append(row(layer, name, unit, options.cache, options.synth))
            print(lines[-1], flush=True)
    version = yosys().version
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(HEAD.format(version=version) + "\n".join(lines) + "\n" + BOUND)


if __name__ == "__main__":
    main()
