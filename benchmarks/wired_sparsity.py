"""LUTs of a matrix wired into logic against the share of its weights that are not 0.

    python benchmarks/wired_sparsity.py [--out FILE] [--synth 1500] [--cache FOLDER]

Random weights of 2 to 8 bits, activations of 8 bits, all outputs in one cycle: a weight that is 0
is no wire, another one the adders of its signed digits. The estimates are those of the mapper; the
smaller ones go through yosys as well, each run remembered by its content.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwc.compiler.graph import Dense, MatMul, Type
from hwc.hw.core import Core
from hwc.hw.units.matvec.unit import MatVec, MatVecFold
from hwc.sim.synth import synthesize
from hwc.sim.toolchain import yosys

PAGE = Path(__file__).parents[1] / "docs" / "wired_sparsity.md"
SIZES = (64, 256)
BITS = (2, 3, 4, 5, 6, 7, 8)
DENSITIES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)

HEAD = """# A sparse matrix as wires

Made by `python benchmarks/wired_sparsity.py` with {version}. A square matrix, fully
unrolled: 8-bit activations in, all sums out in every cycle, at most 6 levels of LUTs and carry
chains between registers. Weights other than 0 are uniform over what their bits can say. LUTs as the
mapper estimates them, in brackets as yosys makes them, for the smaller; *a nonzero*: estimated LUTs
for each weight other than 0.

"""


def unit(size: int, bits: int, density: float) -> MatVec:
    """A square matrix, wired."""
    rng = np.random.default_rng((size, bits, round(1000 * density)))
    half = 1 << bits - 1
    values = np.array([v for v in range(-half, half) if v])
    weights = rng.choice(values, (size, size)) * (rng.random((size, size)) < density)
    fold = MatVecFold(lanes=size, outs=size, memory="wired")
    return MatVec(MatMul(Dense(weights)), Type((size,), 0, 255), None, fold)


def rows(size: int, most: int, cache: Path | None) -> Iterator[str]:
    """A line for each width, a cell for each density."""
    for bits in BITS:
        cells = []
        for density in DENSITIES:
            made = unit(size, bits, density)
            said = made.resources().lut
            count = np.count_nonzero(made.op.weight.dense())
            text = f"{said:,}"
            if said <= most:
                text += f" ({synthesize(Core(made), cache=cache).resources().lut:,})"
            cells.append(f"{text}, {said / count:.1f} a nonzero")
        yield f"| int{bits} | {' | '.join(cells)} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--synth", type=int, default=1500, help="most LUTs that yosys is asked of")
    parser.add_argument("--cache", type=Path, help="where synthesis results are kept")
    args = parser.parse_args()
    text = HEAD.format(version=yosys().version)
    for size in SIZES:
        text += f"## {size} x {size}\n\n| weights |"
        text += "".join(f" {100 * d:g} % |" for d in DENSITIES)
        text += f"\n|---|{'---:|' * len(DENSITIES)}\n"
        for line in rows(size, args.synth, args.cache):
            print(size, line, end="", flush=True)
            text += line
        text += "\n"
    args.out.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
