"""Sparse products against the dense unit: cycles, resources and stored bits at equal throughput.

    python benchmarks/sparse_units.py [--out docs/sparse_units.md] [--cache FOLDER] [--only TEXT]

Random weights of int8, a tenth of them other than 0, or two of each four. The dense unit beside
each has the fold, among those it offers, of the fewest multipliers that is no slower. 27 yosys runs
of up to a few minutes, each remembered by its content; with `--only` just those of rows whose
layer and unit have the text, the others having estimates alone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwc.compiler.graph import Dense, GroupedMatMul, MatMul, Type
from hwc.hw.core import Core
from hwc.hw.unit import Unit
from hwc.hw.units.matvec.fold import ProductOp
from hwc.hw.units.matvec.unit import MatVec, MatVecFold
from hwc.hw.units.multiply import Style
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.sparse.rows import gaps_of
from hwc.hw.units.sparse.unit import SparseFold, SparseMatVec
from hwc.sim.synth import synthesize
from hwc.sim.toolchain import yosys

HEAD = """# Sparse units against the dense one

Made by `python benchmarks/sparse_units.py` with {version}. Random int8 weights, int8
activations, sums as outputs. *ideal*: ceil(nonzeros / multipliers) for sparse rows, ceil(weights /
multipliers * n / m) for n:m, ceil(weights / multipliers) for dense. *bits*: what the memory of the
weights holds, indices and fillers included; memories are as deep as the busiest element needs.
LUT, FF, DSP, BRAM18 by yosys, our estimate in brackets (alone: not synthesized); queues excluded.

"""
BOUND = """
## What bounds them

* **Rows, cycles.** Two losses: entries of weight 0 where a run of zeros is longer than an index of
  `gap` bits can say (3 to 4 % at a tenth and 5 bits, the number that makes the fewest stored bits),
  and the element that ends last (about 1 %: rows go to elements by their length). The beats of x
  and y take no cycles of their own.
* **Rows, memory.** An entry has 8 bits of weight, 5 of index and 1 that ends a row, so a tenth of
  the weights takes 0.18 of the bits of all. But every element reads its own copy of the vector, two
  of them, so that the next one is loaded meanwhile: a block RAM an element. That, not multipliers,
  is what many elements run out of.
* **n:m.** Half the multipliers in the same cycles, and 20 bits where four weights take 32, 0.62 of
  them. In LUTs the multiplexer of three inputs costs 8 and the multiplier behind it about 42. In
  DSP blocks the dense unit can make two products of one input in a block (*two in a DSP*), which
  n:m cannot, as its outputs look at different inputs: the blocks are then as many, and what remains
  of the gain is memory.
"""
ZEROS = """
## Zero activations

`SkipMatVec` (`--unit LAYER=skip`) is a dense product behind a memory of the beats that are not all
0: each block of outputs walks only those. A vector takes its beats or, if that is more, blocks
times kept beats. What it promises without data are the cycles of dense vectors, so the mapper never
takes it by itself; [timing_engine.md](timing_engine.md) says how it is timed for given inputs.
"""
COLUMNS = (
    "layer",
    "unit",
    "multipliers",
    "cycles",
    "cycles / ideal",
    "LUT",
    "FF",
    "DSP",
    "BRAM18",
    "bits",
)


@dataclass(frozen=True)
class Layer:
    """A product and what is sparse about it."""

    name: str
    op: ProductOp
    x: Type
    nm: tuple[int, int] | None = None

    @property
    def nonzeros(self) -> int:
        """Weights other than 0."""
        return int((self.op.weight.dense() != 0).sum())


def bytes_(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Weights from -127 to 127, none of them 0."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 128, shape) * rng.choice([-1, 1], shape)


def tenth(shape: tuple[int, ...]) -> Dense:
    """A tenth of all weights, in random places."""
    places = np.random.default_rng(1).random(shape) < 0.1
    return Dense(np.where(places, bytes_(shape, 0), 0))


def pattern(shape: tuple[int, ...]) -> Dense:
    """Two of each four."""
    full = bytes_(shape, 0).reshape(-1, 4)
    rank = np.argsort(np.random.default_rng(2).random(full.shape), axis=1)
    return Dense(np.where(rank < 2, full, 0).reshape(shape))


def fc(outputs: int, inputs: int) -> Iterator[Layer]:
    """A fully connected layer, both ways."""
    name, x = f"FC {inputs}x{outputs}", Type((inputs,), -128, 127)
    yield Layer(f"{name}, 10 %", MatMul(tenth((outputs, inputs))), x)
    yield Layer(f"{name}, 2:4", MatMul(pattern((outputs, inputs))), x, (2, 4))


def conv(channels: int, outputs: int, size: int, taps: int) -> Iterator[Layer]:
    """A convolution after its window, both ways."""
    shape = (1, outputs, taps, channels)
    name = f"conv {int(taps**0.5)}x{int(taps**0.5)} {channels}->{outputs} on {size}x{size}"
    x = Type((size, size, 1, taps, channels), -128, 127)
    yield Layer(f"{name}, 10 %", GroupedMatMul(tenth(shape)), x)
    yield Layer(f"{name}, 2:4", GroupedMatMul(pattern(shape)), x, (2, 4))


def cycles(unit: Unit) -> int:
    """Cycles of a frame."""
    return max(p.firings for p in unit.schedule().processes)


def dense(layer: Layer, most: int, style: Style) -> MatVec:
    """The dense unit that is no slower than ``most`` cycles, with the fewest multipliers."""
    folds = (u.fold for u in MatVec.candidates(layer.op, layer.x, limit=2000, near=most))
    units = [
        MatVec(layer.op, layer.x, None, replace(f, style=style, memory="bram"))
        for f in folds
        if f.memory != "wired" and f.order == "output"
    ]
    quick = [u for u in units if cycles(u) <= most]
    return min(quick, key=lambda u: (multipliers(u), u.resources().bram18, u.resources().lut))


def multipliers(unit: Unit) -> int:
    """Products a cycle."""
    if isinstance(unit, SparseMatVec):
        return unit.fold.pes * unit.fold.pixels
    if isinstance(unit, NMMatVec):
        return unit.fold.pixels * unit.plan.outputs * unit.plan.slots
    assert isinstance(unit, MatVec)
    return unit.fold.pixels * unit.plan.outputs * unit.plan.lanes


def sparse(layer: Layer, pes: int, style: Style) -> SparseMatVec:
    """Rows over ``pes`` elements; beats of x and y as wide as they have to be."""
    rows, taps, channels = SparseMatVec(layer.op, layer.x, None, SparseFold()).plan.shape
    goal, lanes, outs = -(-layer.nonzeros // pes), 1, 1
    while taps * -(-channels // lanes) > goal:
        lanes *= 2
    while -(-rows // outs) > goal:
        outs *= 2
    fold = SparseFold(pes, outs, lanes, memory="bram", buffer="bram", style=style)
    plan = SparseMatVec(layer.op, layer.x, None, fold).plan
    gap = gaps_of(layer.op.weight, plan.grid, plan.tile, plan.w.width)
    fold = SparseFold(pes, outs, lanes, gap=gap, memory="bram", buffer="bram", style=style)
    return SparseMatVec(layer.op, layer.x, None, fold)


def ideal(layer: Layer, unit: Unit) -> int:
    """The fewest cycles of so many multipliers."""
    pixels = math.prod(layer.x.shape[: -layer.op.weight.dense().ndim + 1])
    work = pixels * layer.op.weight.size
    if isinstance(unit, SparseMatVec):
        work = pixels * layer.nonzeros
    if isinstance(unit, NMMatVec):
        work = work * unit.n // unit.m
    return -(-work // multipliers(unit))


def row(layer: Layer, unit: Unit, cache: Path | None, only: str) -> str:
    """A row of the table, synthesized if its name has ``only``."""
    assert isinstance(unit, MatVec | NMMatVec | SparseMatVec)
    took, best, said = cycles(unit), ideal(layer, unit), unit.resources()
    kind = {MatVec: "dense", NMMatVec: "n:m", SparseMatVec: "rows"}[type(unit)]
    style = "two in a DSP" if unit.fold.style == "pair" else unit.fold.style.upper()
    cells = [layer.name, f"{kind}, {style}", str(multipliers(unit)), str(took)]
    cells.append(f"{took / best:.3f}")
    estimates = [f"({n})" for n in (said.lut, said.ff, said.dsp, said.bram18)]
    if only in f"{layer.name}, {kind}, {style}":
        found = synthesize(Core(unit), cache=cache).resources()
        counts = found.lut, found.ff, found.dsp, found.bram18
        estimates = [f"{n} {e}" for n, e in zip(counts, estimates, strict=True)]
    cells += [*estimates, str(unit.plan.rom.width * unit.plan.rom.depth)]
    return "| " + " | ".join(cells) + " |"


def units(layer: Layer) -> Iterator[Unit]:
    """The sparse unit in both styles, the dense one beside each; two products in a DSP block."""
    styles: tuple[Style, ...] = ("dsp", "lut")
    for style in styles:
        if layer.nm is None:
            unit = sparse(layer, 16 if isinstance(layer.op, MatMul) else 8, style)
            yield unit
            yield dense(layer, cycles(unit), style)
            continue
        fold = MatVecFold(lanes=8, outs=4, style=style, memory="bram")
        yield NMMatVec(layer.op, layer.x, None, fold, *layer.nm)
        yield MatVec(layer.op, layer.x, None, fold)
        if style == "dsp":
            yield MatVec(layer.op, layer.x, None, replace(fold, style="pair"))


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description="Write the table of sparse units.")
    parser.add_argument("--out", type=Path, default=Path("docs/sparse_units.md"))
    parser.add_argument("--cache", type=Path, default=None, help="folder for yosys results")
    parser.add_argument("--only", default="", help="synthesize rows whose layer and unit have this")
    options = parser.parse_args()
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * (len(COLUMNS) - 2)]
    print("\n".join(lines))
    for layer in (*fc(300, 784), *fc(1024, 1024), *conv(64, 64, 32, 9)):
        for unit in units(layer):
            lines.append(row(layer, unit, options.cache, options.only))
            print(lines[-1], flush=True)
    version = yosys().version
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(HEAD.format(version=version) + "\n".join(lines) + "\n" + BOUND + ZEROS)


if __name__ == "__main__":
    main()
