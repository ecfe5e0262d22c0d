"""LUTs of a folded unit per multiply-accumulate, beside a plain `sum(x * w)`.

A folded unit here is one output channel: operands come from registers (an input queue, a weight
ROM), `lanes` products are added up in a cycle, and an accumulator adds up 16 such sums. The plain
form is what one would write first: the same registers, the products summed with `sum`, the same
accumulator; yosys decides everything.

    python benchmarks/lut_per_mac.py [--out docs/lut_per_mac.md] [--cache FOLDER]

Writes a table; about 40 yosys runs of up to a minute or two, each remembered by its content.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Const, Module, Mux, Signal, Value

from hwc.hw.dot import Accumulator, DotSpec, Number, PairSpec
from hwc.hw.dot.spec import Style
from hwc.sim.synth import OPTIONS, Mapper, Synthesis, synthesize
from hwc.sim.toolchain import yosys

BEATS = 16
"""Sums that one output is made of."""

HEAD = """# LUTs per multiply-accumulate

Made by `python benchmarks/lut_per_mac.py` with {version}. A folded unit of one output
channel: operands from registers, `lanes` products a cycle, an accumulator for {beats} cycles; all
figures per product, accumulator included. Activations are unsigned, weights two's complement
(w1a1: both -1 and +1, counted as agreeing bits; t: weights -1, 0, 1). *plain* is the same unit with
`sum(x * w)`, for yosys to optimise; its sum is one combinational step, ours is pipelined to at most
6 levels of LUTs and carry chains. *two in a DSP* is a unit of two output channels, with weights
from -127 to 127 (or all 4-bit ones).

*LUT*: LUT2 to LUT6. *LC*: yosys' estimate of logic cells, which pairs small LUTs. *CARRY4*: of four
positions each. The mapper is `abc -luts 2:2,3,6:5`, what `synth_xilinx` ran until it turned to abc9
without its LUT7 and LUT8; the last column is the LUT figure with abc9 (which takes a LUT to delay
next to nothing and splits functions of six inputs into a LUT2 and LUT5s).
Nothing is placed or routed.

"""
COLUMNS = (
    "operands",
    "lanes",
    "form",
    "LUT",
    "LC",
    "FF",
    "CARRY4",
    "DSP48E1",
    "levels",
    "estimated LUT",
    "LUT, abc9",
)
BOUND = """
## What bounds ours

A LUT6 in front of a carry position takes one plain wire on the carry pin for nothing and has five
inputs left. All of the figures follow from what fits there:

* **Adding.** Five plain bits fit three columns, so three LUTs remove five bits: 0.6 LUT a bit. A
  two-operand adder removes one bit a LUT, a full adder of two LUTs half a bit. The second output of
  a LUT6 could remove up to two bits a LUT (ternary adders), but counts as a second LUT here.
* **w1a1.** Two XNORs and a bit fit two columns: 1 LUT an XNOR, and half a bit gone. That needs
  plain bits to add to, which three XNORs in two LUTs make. A long sum could so get to about 0.92;
  what is above it is the last adder and the accumulator.
* **w2a2, w3a3.** Products as planes of ANDs, each as an XNOR above: 0.95 LUT a pair of bits.
  A 3 x 3-bit product as a table would be 6 LUTs and 6 bits more to add, 9.6 in all.
* **w4a4, w8a8 in LUTs.** A digit of a Booth row takes two bits of the weight and is added to a
  running sum in the same LUT: width of the activation + 1 LUTs for each two bits of the weight,
  42 for w8a8, if the sum that it is added to is there. The first rows have none, and each row
  leaves a carry and a sign: 0.6 each.
* **w8a8 in DSP48E1.** One block a product, cascaded in groups of up to 8, so that only the sums of
  groups are added in LUTs; larger groups would trade LUTs for registers of later operands. Two
  products of one activation fit a block too, half as many blocks. Then the number of blocks bounds.

A carry in and a carry out take a position of a CARRY4 each that holds no LUT of ours. At four
positions a slice, the CARRY4 column says how many slices the chains touch; where it is above a
quarter of the LUT column, slices are left with free LUTs that only other logic can use.
"""


@dataclass(frozen=True)
class Case:
    """One row: operands, lanes and a form."""

    name: str
    x: Number
    w: Number
    lanes: int
    form: str

    @property
    def popcount(self) -> bool:
        return self.x.bipolar and self.w.bipolar

    @property
    def outputs(self) -> int:
        """Output channels."""
        return 2 if self.form.startswith("two") else 1

    @property
    def spec(self) -> DotSpec | PairSpec:
        """The sum of products."""
        if self.outputs == 2:
            return PairSpec(self.x, self.w, self.lanes)
        style: Style = "dsp" if self.form == "DSP" else "lut"
        return DotSpec(self.x, self.w, self.lanes, style, popcount=self.popcount)

    def elaborate(self) -> tuple[Module, list[Signal]]:
        """The unit and its ports."""
        m = Module()
        operands: list[list[Value]] = []
        ports: list[Signal] = []
        for kind, number in (("x", self.x), *((f"w{k}", self.w) for k in range(self.outputs))):
            port = Signal(number.width * self.lanes, name=kind)
            held = Signal(number.width * self.lanes, name=f"{kind}_held")
            m.d.sync += held.eq(port)
            ports.append(port)
            at = range(0, number.width * self.lanes, number.width)
            operands.append([held[i : i + number.width] for i in at])
        first, valid = Signal(name="first"), Signal(name="valid")
        build = self.plain if self.form.startswith("plain") else self.ours
        for k, total in enumerate(build(m, operands, first, valid)):
            out = Signal(total.shape(), name=f"out{k}")
            m.d.comb += out.eq(total)
            ports.append(out)
        return m, [*ports, first, valid]

    @property
    def total(self) -> Number:
        """The interval of the accumulator."""
        part = self.spec.result
        return Number(part.lo * BEATS, part.hi * BEATS)

    def ours(
        self, m: Module, operands: list[list[Value]], first: Signal, valid: Signal
    ) -> list[Signal]:
        """The generated unit."""
        spec = self.spec
        if isinstance(spec, PairSpec):
            values = spec.build(m, operands[0], operands[1], operands[2])
        else:
            values = (spec.build(m, operands[0], operands[1]),)
        accumulator = Accumulator(spec.result, self.total)
        return [accumulator.build(m, value, first, valid) for value in values]

    def plain(
        self, m: Module, operands: list[list[Value]], first: Signal, valid: Signal
    ) -> list[Signal]:
        """The unit as one would write it first."""

        def number(value: Value, kind: Number) -> Value:
            return value.as_signed() if kind.signed else value

        pairs = zip(*operands, strict=True)
        if self.popcount:
            products = [a == b for a, b in pairs]
        else:
            products = [number(a, self.x) * number(b, self.w) for a, b in pairs]
        part = Signal(range(self.spec.result.lo, self.spec.result.hi + 1), name="part")
        m.d.sync += part.eq(sum(products, Const(0)))
        total = Signal(Accumulator(self.spec.result, self.total).shape, name="total")
        with m.If(valid):
            m.d.sync += total.eq(part + Mux(first, 0, total))
        return [total]

    def synthesize(self, mapper: Mapper, cache: Path | None) -> Synthesis:
        options = OPTIONS if "DSP" in self.form else f"{OPTIONS} -nodsp"
        module, ports = self.elaborate()
        return synthesize(module, ports, cache=cache, options=options, mapper=mapper)


def cases() -> Iterator[Case]:
    """All rows."""
    bipolar, ternary = Number(-1, 1, bipolar=True), Number(-1, 1)
    u, s = Number.unsigned, Number.two_complement
    for name, x, w, lanes in (
        ("w1a1", bipolar, bipolar, 64),
        ("w2a2", u(2), s(2), 64),
        ("wta2", u(2), ternary, 64),
        ("w3a3", u(3), s(3), 64),
        ("w4a4", u(4), s(4), 32),
        ("w8a8", u(8), s(8), 16),
    ):
        forms = ["plain", "ours"] + (["plain, DSP", "DSP"] if name == "w8a8" else [])
        yield from (Case(name, x, w, lanes, form) for form in forms)
    yield Case("w8a8", u(8), Number(-127, 127), 16, "two in a DSP")
    yield Case("w4a4", u(4), s(4), 16, "two in a DSP")


def row(case: Case, cache: Path | None, log: Callable[[str], None]) -> str:
    """The table row of a case."""
    found = case.synthesize("abc", cache)
    other = case.synthesize("abc9", cache)
    each = case.lanes * case.outputs
    estimate = "-"
    if not case.form.startswith("plain"):
        luts = case.spec.resources().lut
        luts += case.outputs * Accumulator(case.spec.result, case.total).resources().lut
        estimate = f"{luts / each:.2f}"
    held = (case.x.width + case.w.width * case.outputs) * case.lanes
    cells = [case.name, str(case.lanes), case.form]
    cells += [f"{n / each:.2f}" for n in (found.lut, found.lc, max(0, found.ff - held))]
    cells += [f"{found.carry4 / each:.2f}", f"{found.dsp / each:g}", str(found.levels)]
    cells += [estimate, f"{other.lut / each:.2f}"]
    text = "| " + " | ".join(cells) + " |"
    log(text)
    return text


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description="Write the table of LUTs per product.")
    parser.add_argument("--out", type=Path, default=Path("docs/lut_per_mac.md"))
    parser.add_argument("--cache", type=Path, default=None, help="folder for yosys results")
    options = parser.parse_args()
    version = yosys().version
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * 3 + "---:|" * (len(COLUMNS) - 3)]
    print("\n".join(lines))
    lines += [row(case, options.cache, lambda text: print(text, flush=True)) for case in cases()]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    head = HEAD.format(version=version, beats=BEATS)
    options.out.write_text(head + "\n".join(lines) + "\n" + BOUND)


if __name__ == "__main__":
    main()
