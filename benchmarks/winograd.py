"""A 3x3 convolution of 64 to 64 channels on 32x32 pixels, 8 bits: plain, and by minimal filtering.

    python benchmarks/winograd.py [--synth] [--out docs/winograd.md]

All forms take the same cycles a frame. Writes a table of the units' own estimates; with `--synth`
of what yosys makes of them as well (a quarter of an hour and more each, remembered by content).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwc.compiler.graph import (
    Conv2d,
    Dense,
    Gather,
    Graph,
    GroupedMatMul,
    Node,
    Requant,
    Type,
    Window,
    WinogradProduct,
    expand,
    winograd,
)
from hwc.hw.core import Core
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.gather.unit import GatherFold, GatherUnit
from hwc.hw.units.matvec.unit import MatVec, MatVecFold
from hwc.hw.units.window.unit import LineBuffer, WindowFold
from hwc.hw.units.winograd.unit import Winograd, WinogradFold
from hwc.sim.synth import synthesize

HEAD = """# Winograd convolutions

Made by `python benchmarks/winograd.py`. A 3x3 convolution of 64 to 64 channels on 32x32 pixels with
8-bit inputs, weights and outputs, all forms at about the same cycles a frame: the units' own
estimates, queues excluded. *products*: multiplications a cycle. *weight bits*: as stored, that is
transformed. *around*: line buffer in front and, for tiles, what puts pixels back in rows.

"""
TAIL = """
F(m x m, 3x3) multiplies (m + 2)^2 instead of 9 m^2 times for m x m outputs: 2.25 and 4 times less.
Factors of the transforms are moved to the outputs, so that operands have 10 x 12 bits for m = 2 and
15 x 14 for m = 4, where scaling all of G would make it 15 x 18. Sums over channels and the way back
are kept modulo a power of two, 2 and 6 bits wider than the result; the exact division is a shift
and, for m = 4, a product with the inverse of 9.

Two plain 8-bit products fit one DSP block, two of the wider ones do not: against that form F(2x2)
saves few blocks, and LUTs and weight memory are the price of either.
"""


def network() -> Graph:
    rng = np.random.default_rng(0)
    conv = Conv2d(Dense(rng.integers(-127, 128, (64, 3, 3, 64))), padding=(1, 1, 1, 1))
    nodes = (
        Node("conv", conv, ("x",)),
        Node("act", Requant(rng.integers(4, 20, 64), [0], 16, -128, 127), ("conv",)),
    )
    return Graph((("x", Type((32, 32, 64), -128, 127)),), nodes, ("act",)).verify()


def forms() -> Iterator[tuple[str, int, MatVec | Winograd, list[Unit]]]:
    """Name, products a cycle, the unit, and what stands around it."""
    plain = expand(network())
    window, product, act = plain.nodes
    assert isinstance(window.op, Window)
    assert isinstance(product.op, GroupedMatMul)
    assert isinstance(act.op, Requant)
    x = plain.types["x"]
    buffer = LineBuffer(window.op, x, WindowFold(4, taps=9))
    for style in ("dsp", "pair"):
        fold = MatVecFold(taps=9, lanes=4, outs=4, memory="bram", style=style)
        unit = MatVec(product.op, plain.types[window.name], act.op, fold)
        yield f"plain, style {style!r}", 144, unit, [buffer]
    for m, lanes in ((2, 4), (4, 1)):
        graph = winograd(network(), {"conv": m})
        window, product, act, gather = graph.nodes
        assert isinstance(window.op, Window)
        assert isinstance(product.op, WinogradProduct)
        assert isinstance(act.op, Requant)
        assert isinstance(gather.op, Gather)
        places = product.op.n**2
        parts = 4 if m == 2 else 16
        tile = WinogradFold(lanes, 1, places, parts, "bram", "dsp", "auto", 6, 1)
        unit = Winograd(product.op, graph.types[window.name], act.op, tile)
        around: list[Unit] = [LineBuffer(window.op, x, WindowFold(lanes, taps=places))]
        around.append(GatherUnit(gather.op, graph.types[act.name], GatherFold(1, 1)))
        yield f"F({m}x{m}, 3x3)", places * lanes, unit, around


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def cost(r: Resources) -> tuple[int, int, int, int]:
    return r.dsp, r.lut, r.ff, r.bram18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/winograd.md"))
    parser.add_argument("--synth", action="store_true", help="synthesize with yosys as well")
    options = parser.parse_args()
    names = ("form", "cycles", "products", "weight bits", "DSP48E1", "LUT", "FF", "BRAM18")
    names += ("around: LUT", "FF", "BRAM18", "levels")
    text = HEAD + row(*names) + row(*("---",) * len(names))
    found = []
    for name, products, unit, around in forms():
        cycles = max(p.firings for u in (unit, *around) for p in u.schedule().processes)
        bits = unit.plan.rom.width * unit.plan.words
        rest = sum((u.resources() for u in around), Resources.zero())
        text += row(
            name, cycles, products, bits, *cost(unit.resources()), *cost(rest)[1:], unit.levels()
        )
        if options.synth:
            netlist = synthesize(Core(unit))
            found.append(row(name, *cost(netlist.resources()), netlist.levels))
    if found:
        names = ("by yosys", "DSP48E1", "LUT", "FF", "BRAM18", "levels")
        text += "\n" + row(*names) + row(*("---",) * len(names)) + "".join(found)
    options.out.write_text(text + TAIL)


if __name__ == "__main__":
    main()
