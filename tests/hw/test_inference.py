"""What is declared is what synthesis makes: a DSP48E1 a product, each memory in its form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value

from hwc.compiler.graph import Dense, GlobalSumPool, MatMul, Requant, Type, Window
from hwc.hw.core import Core
from hwc.hw.dot import DotSpec, Number, PairSpec
from hwc.hw.queue import Form, Queue
from hwc.hw.unit import Unit
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.matvec.fold import MatVecFold
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.requant import RequantPipe
from hwc.hw.units.rom import Rom, RomForm
from hwc.hw.units.window.unit import LineBuffer, WindowFold
from hwc.sim.synth import Synthesis, synthesize

pytestmark = pytest.mark.slow

U, S = Number.unsigned, Number.two_complement
BLOCK = ("RAMB18E1", "RAMB36E1")
DISTRIBUTED = (
    *("RAM32M", "RAM64M", "RAM32X1D", "RAM64X1D", "RAM128X1D"),
    *("RAM32X1S", "RAM64X1S", "RAM128X1S", "RAM256X1S"),
)


def forms(found: Synthesis) -> set[str]:
    """In what kinds of memory a netlist keeps words."""
    kinds = {"bram": BLOCK, "lutram": DISTRIBUTED}
    return {kind for kind, names in kinds.items() if found.count(*names)}


def mapped(unit: Unit | Queue) -> Synthesis:
    made = unit if isinstance(unit, Queue) else Core(unit)
    return synthesize(made)


def driven(m: Module, ports: list[Signal], values: Sequence[Value]) -> Synthesis:
    outs = [Signal(len(value), name=f"o{k}") for k, value in enumerate(values)]
    m.d.comb += [out.eq(value) for out, value in zip(outs, values, strict=True)]
    return synthesize(m, [*ports, *outs])


@pytest.mark.parametrize(
    ("x", "w"), [(U(8), S(8)), (S(8), S(8)), (S(25), S(18)), (U(3), S(6)), (U(16), U(17))], ids=str
)
@pytest.mark.parametrize("lanes", [1, 4, 9])
def test_a_block_a_product(x: Number, w: Number, lanes: int) -> None:
    """And nothing in LUTs but the sums of groups."""
    spec, m = DotSpec(x, w, lanes, "dsp"), Module()
    xs = [Signal(x.width, name=f"x{k}") for k in range(lanes)]
    ws = [Signal(w.width, name=f"w{k}") for k in range(lanes)]
    found = driven(m, [*xs, *ws], [spec.build(m, xs, ws)])
    assert found.dsp == spec.resources().dsp == lanes
    assert found.lut <= spec.resources().lut + 2


@pytest.mark.parametrize("lanes", [1, 5])
def test_a_block_for_two_products(lanes: int) -> None:
    spec, m = PairSpec(U(8), S(8), lanes), Module()
    x, u, v = ([Signal(8, name=f"{k}{i}") for i in range(lanes)] for k in "xuv")
    found = driven(m, [*x, *u, *v], list(spec.build(m, x, u, v)))
    assert found.dsp == spec.resources().dsp == lanes


@pytest.mark.parametrize(("bits", "blocks"), [(18, 1), (24, 1), (30, 2)])
def test_blocks_of_a_requantization(bits: int, blocks: int) -> None:
    """One up to 25 bits of the sum, then one for each slice."""
    op = Requant((40001, 65535, 33333), (5, 7, 1 << 20), bits + 8, -127, 127)
    pipe, m = RequantPipe(op, S(bits), 3, 1, style="dsp"), Module()
    x, step = Signal(S(bits).width, name="x"), Signal(2, name="step")
    found = driven(m, [x, step], pipe.build(m, [x.as_signed()], step, "r"))
    assert found.dsp == pipe.resources().dsp == blocks


@pytest.mark.parametrize(
    ("width", "depth", "form"),
    [(8, 1, "ff"), (8, 16, "lutram"), (20, 100, "lutram"), (36, 512, "bram"), (8, 33, "bram")],
)
def test_queues(width: int, depth: int, form: Form) -> None:
    found = mapped(Queue(width, depth, form))
    assert forms(found) == {form} - {"ff"}


@pytest.mark.parametrize("form", ["lutrom", "bram"])
@pytest.mark.parametrize(("width", "depth"), [(12, 40), (9, 300), (64, 512), (8, 4096)])
def test_tables(width: int, depth: int, form: RomForm) -> None:
    """Even where few words make a block RAM seem dear, or many make LUTs so."""
    if form == "lutrom" and depth > 512:
        depth = 512
    rng, m = np.random.default_rng(depth), Module()
    words = [int.from_bytes(rng.bytes(8)) % 2**width for _ in range(depth)]
    rom, at = Rom(width, depth, form), Signal(range(depth), name="at")
    found = driven(m, [at], [rom.build(m, words, at, "rom")])
    assert forms(found) == {form} - {"lutrom"}
    assert found.bram18 == rom.resources().bram18


def product(n: int, c: int, zeros: float = 0.0, **fold: object) -> MatVec:
    """Of 4-bit weights and inputs; a share of the weights is 0."""
    rng = np.random.default_rng(0)
    weights = Dense(np.where(rng.random((n, c)) < zeros, 0, rng.integers(-8, 8, (n, c))))
    return MatVec(MatMul(weights), Type((c,), 0, 15), None, MatVecFold(**fold))  # pyright: ignore


@pytest.mark.parametrize(
    ("unit", "want"),
    [
        (product(6, 20, lanes=20, outs=2), set()),
        (product(6, 20, lanes=4, outs=2), {"lutram"}),
        (product(6, 20, lanes=20, outs=2, memory="bram"), {"bram"}),
        (product(24, 40, 0.9, lanes=20, outs=3, memory="bram"), {"bram", "lutram"}),
        (product(4, 600, lanes=2, outs=2, memory="bram"), {"bram"}),
        (product(40, 12, lanes=4, outs=1, order="input"), {"lutram"}),
        (product(300, 4, lanes=2, outs=1, order="input", memory="bram"), {"bram"}),
        (product(4, 6, lanes=6, outs=4, memory="wired"), set()),
    ],
    ids=[
        "weights",
        "replay",
        "weights-bram",
        "pruned-bram",
        "replay-bram",
        "partial",
        "partial-bram",
        "wired",
    ],
)
def test_memories_of_products(unit: MatVec, want: set[str]) -> None:
    found = mapped(unit)
    assert forms(found) == want
    assert found.bram18 == unit.resources().bram18


@pytest.mark.parametrize(
    ("unit", "want"),
    [
        (LineBuffer(Window((3, 3)), Type((9, 9, 8), 0, 15), WindowFold(8, taps=9)), "lutram"),
        (LineBuffer(Window((3, 3)), Type((9, 64, 64), 0, 15), WindowFold(16)), "bram"),
        (GlobalPool(GlobalSumPool(), Type((6, 6, 32), 0, 15), 4), "lutram"),
        (GlobalPool(GlobalSumPool(), Type((6, 6, 400), 0, 15), 4), "bram"),
    ],
    ids=["lines", "lines-bram", "pool", "pool-bram"],
)
def test_memories_of_moving_units(unit: Unit, want: str) -> None:
    found = mapped(unit)
    assert forms(found) == {want}
    assert found.bram18 == unit.resources().bram18
