"""What sums of products cost, and how deep they are, against yosys."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module, Signal, Value

from hwc.hw.dot import Accumulator, ConstantDotSpec, DotSpec, Number, PairSpec, SumSpec
from hwc.sim.synth import Synthesis, synthesize

from .dotbench import Spec, numbers

pytestmark = pytest.mark.slow

BIPOLAR = Number(-1, 1, bipolar=True)
U = Number.unsigned
S = Number.two_complement

SPECS: list[Spec] = [
    DotSpec(BIPOLAR, BIPOLAR, 64, popcount=True),
    DotSpec(BIPOLAR, BIPOLAR, 48, masked=6, levels=4),
    DotSpec(U(2), S(2), 24),
    DotSpec(U(4), Number(-1, 1), 16),
    DotSpec(U(4), S(4), 16),
    DotSpec(S(8), S(8), 4, "lut"),
    DotSpec(S(8), S(8), 9, "dsp"),
    DotSpec(U(8), S(8), 2, "dsp", masked=1),
    DotSpec(S(25), S(18), 1, "dsp"),
    DotSpec(S(2), U(8), 3, "dsp"),
    ConstantDotSpec(U(4), (3, -7, 0, 11, 5, -2, 8, 1, -1, 6, 9, -13)),
    SumSpec(((S(8), 1),) * 9),
]


def mapped(spec: Spec) -> Synthesis:
    m = Module()
    ports = [Signal(n.width, name=f"i{k}") for k, n in enumerate(numbers(spec))]
    if isinstance(spec, DotSpec):
        n = spec.lanes
        mask = Signal(spec.masked, name="mask") if spec.masked else None
        ports = ports[: 2 * n] + ([] if mask is None else [mask])
        wires: list[Value] = list(ports)
        total = spec.build(m, wires[:n], wires[n : 2 * n], mask)
    else:
        total = spec.build(m, ports)
    out = Signal(total.shape(), name="o")
    m.d.comb += out.eq(total)
    return synthesize(m, [*ports, out])


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_estimate(spec: Spec) -> None:
    found, want = mapped(spec), spec.resources()
    print(f"{spec}: estimated {want}, yosys {found.resources()}, levels {found.levels}")
    assert found.dsp == want.dsp
    assert abs(found.lut - want.lut) <= max(2, 0.15 * found.lut)
    assert abs(found.ff - want.ff) <= max(4, 0.25 * found.ff)

    assert found.levels <= spec.worst_levels


def test_accumulator_takes_a_lut_a_bit() -> None:
    accumulator = Accumulator(S(12), S(20))
    m = Module()
    value, first, valid = Signal(12, name="value"), Signal(name="first"), Signal(name="valid")
    total = accumulator.build(m, value, first, valid)
    out = Signal(20, name="o")
    m.d.comb += out.eq(total)
    found = synthesize(m, [value, first, valid, out])
    assert (found.lut, found.ff, found.levels) == (20, 20, accumulator.worst_levels)


@pytest.mark.parametrize("w", [Number(-127, 127), S(8)], ids=str)
def test_pair_takes_one_block_for_two_products(w: Number) -> None:
    spec = PairSpec(U(8), w, 5)
    m = Module()
    x, u, v = ([Signal(8, name=f"{k}{i}") for i in range(5)] for k in "xuv")
    sums = spec.build(m, x, u, v)
    outs = [Signal(total.shape(), name=f"o{k}") for k, total in enumerate(sums)]
    m.d.comb += [out.eq(total) for out, total in zip(outs, sums, strict=True)]
    found, want = synthesize(m, [*x, *u, *v, *outs]), spec.resources()
    print(f"{spec}: estimated {want}, yosys {found.resources()}, levels {found.levels}")
    assert found.dsp == want.dsp == 5
    assert abs(found.lut - want.lut) <= max(2, 0.15 * found.lut)
    assert abs(found.ff - want.ff) <= max(4, 0.25 * found.ff)
    assert found.levels <= spec.worst_levels
