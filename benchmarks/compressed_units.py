"""One table of every form of a product: what it saves against the dense unit at the same speed.

    python benchmarks/compressed_units.py [--only TEXT ...] [--most 12000] [--cache FOLDER]

Layers of real sizes with random weights that have what a form exploits; of each form the candidate
of the mapper that is fast enough and takes the smallest share of a PYNQ-Z2. Each goes through
yosys, half a minute or some, remembered by content; rows of more than ``--most`` estimated LUTs, or
that have none of the texts of ``--only``, have estimates alone. Writes docs/compressed_units.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from sampled.compressed import nonzero, pruned

from hwc.boards.board import get
from hwc.compiler.graph import (
    Conv2d,
    Dense,
    Gather,
    Graph,
    GroupedMatMul,
    MatMul,
    Node,
    Type,
    Window,
    WinogradProduct,
    expand,
    winograd,
)
from hwc.compiler.map.candidates import interval
from hwc.hw.core import Core
from hwc.hw.design import Design, Edge
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.centroids.unit import CentroidMatVec
from hwc.hw.units.gather.unit import GatherUnit
from hwc.hw.units.lookups.unit import LookupMatVec
from hwc.hw.units.matvec.fold import MatVecFold, ProductOp
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.shift.unit import ShiftMatVec
from hwc.hw.units.skip.unit import SkipMatVec
from hwc.hw.units.sparse.unit import SparseMatVec
from hwc.hw.units.window.unit import LineBuffer
from hwc.hw.units.winograd.unit import Winograd
from hwc.sim.synth import synthesize
from hwc.sim.timing import simulate
from hwc.sim.toolchain import yosys

PAGE = Path(__file__).parents[1] / "docs" / "compressed_units.md"
HEAD = """# Forms of a product against the dense one

Made by `python benchmarks/compressed_units.py` with {version}. Random weights, int8 activations,
sums as outputs; of each form the cheapest candidate (by the sum of its shares of a PYNQ-Z2) that is
no slower than the cycles a frame in the heading. *weights*: int8 and int4 any value; *10 %* so many
of int8 that are not 0; *2:4* two of each four neighbours; *4* and *16 values* so many different
int8; *pieces* blocks of four inputs, each one of 16 (product quantization); *powers to n* 0 and
±2^e up to n; *ternary* -1, 0, 1.

*saves*: what the form should have less of, *theory* by which factor, *reached* by which factor the
unit does. Multipliers: products of the layer over multipliers times cycles (theory: all weights
over those that are not 0, m / n, and m²r² / (m+r-1)² of F(m x m, r x r)). Bits: 8 for each weight
over what memories hold (theory: the logarithm of the number of values). LUT (LUT2 to LUT6 and LUTs
as memory), LC, FF, DSP, BRAM18 by yosys, our estimate in brackets (alone: not synthesized); queues
are left out. *around*: what stands before and behind a convolution, which tiles need more of.
[forms.md](forms.md) says what bounds each form.
"""
COLUMNS = ("weights", "unit", "multipliers", "cycles", "LUT", "LC", "FF", "DSP", "BRAM18", "bits")
COLUMNS += ("saves", "theory", "reached")
ZEROS = (0.0, 0.5, 0.8, 0.9)
SKIP = """
## Zeros among activations

`SkipMatVec` with int8 weights and beats of one input or two; cycles a vector by the timing engine,
which is exact for given frames, of 50 random ones with so many zeros. The speed-up is over the same
unit with no zeros, which is that of a dense one.

"""


@dataclass(frozen=True)
class Layer:
    """A layer: (rows, taps, channels) of its weights, pixels along a side, cycles a frame."""

    name: str
    shape: tuple[int, int, int]
    side: int
    goal: int

    @property
    def products(self) -> int:
        """Multiplications a frame without any of the forms."""
        return self.side**2 * math.prod(self.shape)

    def product(self, weight: np.ndarray) -> tuple[ProductOp, Type]:
        """The operation of these weights, and the windows that it sees."""
        if self.side == 1:
            return MatMul(Dense(weight[:, 0])), Type(self.shape[2:], -128, 127)
        x = Type((self.side, self.side, 1, *self.shape[1:]), -128, 127)
        return GroupedMatMul(Dense(weight[None])), x

    def network(self, weight: np.ndarray) -> Graph:
        """The convolution, with its window."""
        rows, taps, channels = self.shape
        kernel = math.isqrt(taps)
        pad = (kernel - 1) // 2
        shape = (rows, kernel, kernel, channels)
        conv = Conv2d(Dense(weight.reshape(shape)), padding=(pad, pad, pad, pad))
        nodes = (Node("conv", conv, ("x",)),)
        inputs = (("x", Type((self.side, self.side, channels), -128, 127)),)
        return Graph(inputs, nodes, ("conv",)).verify()


LAYERS = (
    Layer("FC 784 to 300", (300, 1, 784), 1, 4_000),
    Layer("FC 1024 to 1024", (1024, 1, 1024), 1, 16_384),
    Layer("conv 3x3, 64 to 64 channels on 32 x 32", (64, 9, 64), 32, 524_288),
    Layer("conv 3x3, 3 to 32 channels on 32 x 32", (32, 9, 3), 32, 65_536),
    Layer("conv 1x1, 128 to 128 channels on 16 x 16", (128, 1, 128), 16, 131_072),
)


@dataclass(frozen=True)
class Weights:
    """A kind of weights: its name, the values, and the fewest bits that say one of them."""

    name: str
    value: np.ndarray
    bits: float


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
    book = nonzero(rng, (taps, channels // size, count, size), 127)
    pick = rng.integers(0, count, (rows, taps, channels // size))
    tap, block = np.ogrid[:taps, : channels // size]
    return book[tap, block, pick].reshape(shape)


def kinds(shape: tuple[int, int, int]) -> Iterator[Weights]:
    """All kinds of weights that a layer can have."""
    rng = np.random.default_rng(0)
    yield Weights("int8", nonzero(rng, shape, 127), 8)
    yield Weights("10 %", np.where(rng.random(shape) < 0.1, nonzero(rng, shape, 127), 0), 8)
    if shape[2] % 4 == 0:
        yield Weights("2:4", pruned(rng, shape, 2, 4, 127).dense(), 8)
    for count in (16, 4):
        yield Weights(f"{count} values", few(rng, shape, count), math.log2(count))
    if shape[2] % 4 == 0:
        yield Weights("pieces", pieces(rng, shape, 16, 4), 1)
    yield Weights("powers to 64", powers(rng, shape, 6), math.log2(15))
    yield Weights("int4", rng.integers(-8, 8, shape), 4)
    yield Weights("powers to 4", powers(rng, shape, 2), math.log2(7))
    yield Weights("ternary", rng.integers(-1, 2, shape), math.log2(3))


def share(cost: Resources) -> float:
    """Sum of the shares of a PYNQ-Z2."""
    board = get("pynq-z2").budget
    names = "lut", "ff", "dsp", "bram18"
    return sum(getattr(cost, name) / getattr(board, name) for name in names)


def kind(unit: Unit, cost: Resources) -> str:
    """The form, and where its products are made."""
    style = getattr(getattr(unit, "fold", None), "style", "")
    place = "DSP" if cost.dsp else "LUT"
    form = {"dense": "dense", "n_of_m": "n:m", "sparse": "rows"}.get(unit.variant)
    if isinstance(unit, Winograd):
        form = f"F({unit.op.m}x{unit.op.m})"
    if form is None:
        return unit.variant
    return f"{form}, two in a DSP" if style == "pair" else f"{form}, {place}"


def candidates(layer: Layer, weights: Weights) -> Iterator[Unit]:
    """What computes these weights and exploits them; dense units for int8, int4 and ternary."""
    (op, x), near = layer.product(weights.value), layer.goal

    def dense() -> Iterator[MatVec]:
        found = MatVec.candidates(op, x, limit=200, near=near)
        return (u for u in found if u.variant != "wired")

    match weights.name:
        case "int8":
            yield from dense()
        case "int4" | "ternary":
            yield from (u for u in dense() if not u.resources().dsp)
        case "10 %":
            yield from SparseMatVec.candidates(op, x, limit=60, near=near)
        case "2:4":
            yield from NMMatVec.candidates(op, x, limit=200, near=near)
        case "4 values" | "16 values":
            yield from (u for u in dense() if u.variant == "codebook")
            yield from CentroidMatVec.candidates(op, x, limit=100, near=near)
        case "powers to 4" | "powers to 64":
            yield from ShiftMatVec.candidates(op, x, None, (u.fold for u in dense()))
    if weights.name in ("4 values", "pieces", "ternary"):
        yield from LookupMatVec.candidates(op, x, limit=100, near=near)


def best(units: Iterator[Unit], goal: int) -> dict[str, Unit]:
    """Form -> its cheapest unit that is fast enough."""
    found: dict[str, tuple[float, Unit]] = {}
    for unit in units:
        if interval(unit) > goal:
            continue
        cost = unit.resources()
        name, part = kind(unit, cost), share(cost)
        if name not in found or part < found[name][0]:
            found[name] = part, unit
    return {name: unit for name, (_, unit) in sorted(found.items())}


def multipliers(unit: Unit) -> int | None:
    """Products a cycle; None where that is not what a unit is made of."""
    match unit:
        case SparseMatVec():
            return unit.fold.pes * unit.fold.pixels
        case NMMatVec():
            return unit.fold.pixels * unit.plan.outputs * unit.plan.slots
        case ShiftMatVec() | SkipMatVec() | MatVec():
            return unit.fold.pixels * unit.plan.outputs * unit.plan.lanes
        case Winograd():
            return unit.fold.points * unit.fold.lanes * unit.fold.outs
        case _:
            return None


def saving(layer: Layer, weights: Weights, unit: Unit) -> tuple[str, float, float] | None:
    """What a form saves, by which factor in theory and in fact; None for dense int8."""
    many, full = multipliers(unit), math.prod(layer.shape)
    if weights.name in ("10 %", "2:4") or isinstance(unit, Winograd):
        assert many is not None
        theory = full / np.count_nonzero(weights.value)
        if isinstance(unit, Winograd):
            m, r = unit.op.m, math.isqrt(layer.shape[1])
            theory = (m * r / (m + r - 1)) ** 2
        return "multipliers", theory, layer.products / (many * interval(unit))
    if weights.bits < 8:
        return "bits", 8 / weights.bits, 8 * full / unit.stored_bits()
    return None


def line(cells: Iterable[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |\n"


def mapped(unit: Unit, wanted: bool, cache: Path | None) -> list[str]:
    """LUT, LC, FF, DSP and BRAM18, of yosys if that is wanted and estimated."""
    said = unit.resources()
    cells = [f"({said.lut})", "", f"({said.ff})", f"({said.dsp})", f"({said.bram18})"]
    if not wanted:
        return cells
    found = synthesize(Core(unit), cache=cache)
    counts = found.lut, found.lc, found.ff, found.dsp, found.bram18
    return [f"{n} {cell}".strip() for n, cell in zip(counts, cells, strict=True)]


def cheapest(units: Iterable[Unit]) -> Unit:
    """The one of the smallest share."""
    return min(units, key=lambda unit: share(unit.resources()))


def around(graph: Graph, unit: Unit, goal: int) -> Iterator[Unit]:
    """What stands before and behind the unit of the one product in ``graph``."""
    for node in graph.nodes:
        x = graph.types[node.args[0]]
        if isinstance(node.op, Window):
            pool = LineBuffer.candidates(node.op, x, [unit.inputs()["x"].tile])
        elif isinstance(node.op, Gather):
            pool = GatherUnit.candidates(node.op, x)
        else:
            continue
        yield cheapest(u for u in pool if interval(u) <= goal)


@dataclass(frozen=True)
class Writer:
    """Writes rows; those with one of the texts and at most so many LUTs go through yosys."""

    only: list[str]
    most: int
    cache: Path | None

    def costs(self, label: str, units: Sequence[Unit]) -> list[str]:
        """LUT, LC, FF, DSP and BRAM18 of units side by side, each with our estimate."""
        wanted = any(text in label for text in self.only)
        wanted &= sum(unit.resources().lut for unit in units) <= self.most
        each = [mapped(unit, wanted, self.cache) for unit in units]
        return [" + ".join(cells) for cells in zip(*each, strict=True)]

    def form(self, layer: Layer, weights: Weights, name: str, unit: Unit) -> str:
        """The row of one unit."""
        costs = self.costs(f"{layer.name}, {weights.name}, {name}", [unit])
        cells = [weights.name, name, str(multipliers(unit) or "-"), str(interval(unit)), *costs]
        cells.append(str(unit.stored_bits()))
        if saved := saving(layer, weights, unit):
            cells += [saved[0], f"{saved[1]:.2f}", f"{saved[2]:.2f}"]
        else:
            cells += ["-"] * 3
        return line(cells)

    def around(self, layer: Layer, form: str, graph: Graph, unit: Unit) -> str:
        """The row of what stands around a unit."""
        units = list(around(graph, unit, layer.goal))
        costs = self.costs(f"{layer.name}, int8, around, {form}", units)
        cells = ["int8", f"around, {form}", "-", str(max(map(interval, units))), *costs]
        return line([*cells, *["-"] * 4])

    def rows(self, layer: Layer) -> Iterator[str]:
        """The table of a layer."""
        for weights in kinds(layer.shape):
            units = best(candidates(layer, weights), layer.goal)
            yield from (self.form(layer, weights, name, unit) for name, unit in units.items())
            if weights.name == "int8" and layer.shape[1] > 1:
                network = layer.network(weights.value)
                yield self.around(layer, "plain", expand(network), cheapest(units.values()))
                yield from self.tiles(layer, weights, network)

    def tiles(self, layer: Layer, weights: Weights, network: Graph) -> Iterator[str]:
        """Rows of a convolution in tiles."""
        for m in (2, 4):
            graph = winograd(network, {"conv": m})
            node = next(n for n in graph.nodes if isinstance(n.op, WinogradProduct))
            assert isinstance(node.op, WinogradProduct)
            x = graph.types[node.args[0]]
            units = best(Winograd.candidates(node.op, x, near=layer.goal), layer.goal)
            if units:
                yield from (self.form(layer, weights, name, unit) for name, unit in units.items())
                yield self.around(layer, f"F({m}x{m})", graph, cheapest(units.values()))

    def skipping(self, layer: Layer, lanes: int) -> str:
        """A row of the table of zeros among activations."""
        op, x = layer.product(nonzero(np.random.default_rng(0), layer.shape, 127))
        beats, rows = math.prod(layer.shape[1:]) // lanes, layer.shape[0]
        outs = -(-rows // (layer.goal // (layer.side**2 * beats)))
        unit = SkipMatVec(
            op, x, None, MatVecFold(lanes=lanes, outs=outs, memory="bram", style="dsp")
        )
        edges = [Edge(("", "x"), ("unit", "x"), 2)]
        edges.append(Edge(("unit", "y"), ("", "y"), unit.schedule().latency["y"] + 2))
        design = Design("skip", {"unit": unit}, tuple(edges))
        rng, paces = np.random.default_rng(1), []
        for zeros in ZEROS:
            frames = np.where(rng.random((50, *x.shape)) < zeros, 0, rng.integers(1, 128, x.shape))
            timing = simulate(design, 50, conditions={"unit": unit.conditions({"x": frames})})
            ends = timing.last_out
            paces.append(float(ends[-1] - ends[9]) / 40 / layer.side**2)
        costs = self.costs(f"{layer.name}, skip", [unit])
        cells = [layer.name, str(lanes), str(multipliers(unit)), *costs]
        cells += [f"{pace:,.0f} ({paces[0] / pace:.1f})" for pace in paces]
        return line(cells)


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--cache", type=Path, default=None, help="folder for yosys results")
    parser.add_argument("--only", nargs="*", default=[""], help="synthesize rows that have a text")
    parser.add_argument("--most", type=int, default=12_000, help="most LUTs that yosys is asked of")
    options = parser.parse_args()
    writer = Writer(options.only, options.most, options.cache)
    text = HEAD.format(version=yosys().version)
    for layer in LAYERS:
        text += f"\n## {layer.name}, {layer.goal} cycles a frame\n\n{line(COLUMNS)}"
        text += f"|---|---|{'---:|' * (len(COLUMNS) - 5)}---|---:|---:|\n"
        for row in writer.rows(layer):
            print(row, end="", flush=True)
            text += row
    columns = ("layer", "inputs a beat", "multipliers", *COLUMNS[4:9])
    text += SKIP + line((*columns, *(f"{zeros:.0%} zeros" for zeros in ZEROS)))
    text += f"|---|{'---:|' * (len(columns) - 1 + len(ZEROS))}\n"
    for layer, lanes in product((LAYERS[0], LAYERS[-1]), (1, 2)):
        text += writer.skipping(layer, lanes)
    options.out.write_text(text)


if __name__ == "__main__":
    main()
