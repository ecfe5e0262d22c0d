"""Sums of shifted operands: exact, in time, in few bits, and cheaper than products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, ClockDomain, Module, Signal
from amaranth.sim import Simulator

from hwc.hw.dot import DotError, DotSpec, Number, ShiftSpec
from hwc.hw.dot.powers import shifters
from hwc.sim.synth import synthesize

U = Number.unsigned
S = Number.two_complement


def octaves(low: int, high: int, zero: bool = True, minus: bool = True) -> tuple[int, ...]:
    sizes = [1 << e for e in range(low, high + 1)]
    return tuple(sorted((0,) * zero + tuple(sizes) + tuple(-s for s in sizes if minus)))


SETS = {
    "ternary": octaves(0, 0),
    "three sizes": octaves(0, 2),
    "nibbles": (-8, *octaves(0, 2)),
    "seven sizes": octaves(0, 6),
    "bytes": (-128, *octaves(0, 6)),
    "nine sizes": octaves(0, 8),
    "twelve sizes": octaves(3, 14),
    "no zero": octaves(0, 3, zero=False),
    "no sign": octaves(0, 4, minus=False),
    "neither": octaves(2, 5, zero=False, minus=False),
    "all negative": (-16, -4, -1),
    "far apart": (-256, 0, 1, 256),
    "one size": (-4, 4),
    "holes": (-64, -2, 0, 1, 8, 64),
}


class Bench:
    """A sum with the memory's codes as operands."""

    def __init__(self, m: Module, spec: ShiftSpec) -> None:
        self.spec = spec
        bits = spec.shifter.code_bits
        self.x = Signal(spec.x.width * spec.lanes)
        self.w = Signal(bits * spec.lanes)
        words = [spec.decode(self.w.word_select(i, bits)) for i in range(spec.lanes)]
        values = [self.x.word_select(i, spec.x.width) for i in range(spec.lanes)]
        self.total = spec.build(m, values, words)

    def set(self, ctx: Any, x: np.ndarray, w: np.ndarray) -> None:
        width, bits, codes = self.spec.x.width, self.spec.shifter.code_bits, self.spec.shifter.codes
        mask = (1 << width) - 1
        ctx.set(self.x, sum((int(v) & mask) << i * width for i, v in enumerate(x)))
        ctx.set(self.w, sum(codes[int(v)] << i * bits for i, v in enumerate(w)))


def simulate(specs: list[ShiftSpec], rows: int, seed: int = 0) -> None:
    """New operands each cycle, each sum in the cycle that was promised."""
    m, rng = Module(), np.random.default_rng(seed)
    m.domains.sync = ClockDomain(reset_less=True)
    benches = [Bench(m, spec) for spec in specs]
    data = []
    for spec in specs:
        x = rng.integers(spec.x.lo, spec.x.hi + 1, (rows, spec.lanes))
        x[::3] = rng.choice([spec.x.lo, spec.x.hi], x[::3].shape)
        data.append((x, rng.choice(spec.values, (rows, spec.lanes))))
    most = max(spec.latency for spec in specs)

    async def bench(ctx: Any) -> None:
        for cycle in range(rows + most):
            for b, (x, w) in zip(benches, data, strict=True):
                if cycle < rows:
                    b.set(ctx, x[cycle], w[cycle])
            for b, (x, w) in zip(benches, data, strict=True):
                row = cycle - b.spec.latency
                if 0 <= row < rows:
                    want = int((x[row] * w[row]).sum())
                    assert ctx.get(b.total) == want, (b.spec, x[row], w[row])
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("name", SETS)
def test_every_kind_of_values(name: str) -> None:
    values = SETS[name]
    kinds = (U(1), U(4), S(4), Number(3, 9), Number(-9, -3), Number(-1, 1))
    simulate([ShiftSpec(x, values, 1 + i % 3) for i, x in enumerate(kinds)], 60)


@pytest.mark.parametrize("levels", [5, 6, 12])
def test_many_lanes(levels: int) -> None:
    specs = [ShiftSpec(U(8), SETS[n], 9, levels) for n in ("nibbles", "bytes", "twelve sizes")]
    simulate([*specs, ShiftSpec(S(8), SETS["three sizes"], 17, levels)], 30)


def test_a_weight_of_zero_gives_zero_for_any_bits() -> None:
    """x may be no number of its interval: padding."""
    for values in SETS.values():
        if 0 in values:
            spec, m = ShiftSpec(Number(3, 9), values, 2), Module()
            m.domains.sync = ClockDomain(reset_less=True)
            bench = Bench(m, spec)

            async def check(ctx: Any, b: Bench = bench) -> None:
                for noise in range(256):
                    b.set(ctx, np.array([noise, noise >> 4]), np.zeros(2, int))
                    for _ in range(b.spec.latency):
                        await ctx.tick()
                    assert ctx.get(b.total) == 0

            sim = Simulator(m)
            sim.add_clock(1e-6)
            sim.add_testbench(check)
            sim.run()


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("three sizes", 3),
        ("nibbles", 3),
        ("seven sizes", 4),
        ("bytes", 4),
        ("nine sizes", 5),
        ("no zero", 3),
        ("no sign", 3),
        ("neither", 2),
        ("one size", 1),
    ],
)
def test_bits_in_memory(name: str, bits: int) -> None:
    """A sign and the number of the exponent; zero takes a place that is left, if there is one."""
    for shifter in shifters(SETS[name]):
        assert shifter.code_bits == bits
        assert sorted(shifter.codes) == sorted(SETS[name])
        assert len(set(shifter.codes.values())) == len(SETS[name])
        assert max(shifter.codes.values()) < 1 << bits


def test_what_is_decoded_says_what_the_value_needs() -> None:
    """Code and decoded bits together are the control word, but where 0 does not care."""
    for values in SETS.values():
        for s in shifters(values):
            for value, code in s.codes.items():
                word = s.control(value)
                got = 0
                for k in range(s.control_bits):
                    at = s.place(k)
                    got |= (s.decoded[k][code] if at is None else code >> at & 1) << k
                if value:
                    assert got == word, (s, value)
                else:
                    assert got >> s.fine_bits & (1 if s.way_codes == (1, 3) else 3) == 0 or not (
                        s.select_bits
                    ), (s, value)


def test_cheaper_than_products_of_the_same_width() -> None:
    """Of int4, and of int8 even more."""
    for x in (U(4), U(8), S(8)):
        for name, w in (("three sizes", S(4)), ("seven sizes", S(8)), ("bytes", S(8))):
            shift, dense = ShiftSpec(x, SETS[name], 16), DotSpec(x, w, 16, "lut")
            assert shift.resources().lut < 0.85 * dense.resources().lut, (x, name)
            assert shift.resources().dsp == 0


def test_what_waits() -> None:
    """Inputs wait for several outputs together only as long as they were not shifted."""
    plain, fine = ShiftSpec(S(8), SETS["three sizes"], 16), ShiftSpec(S(8), SETS["bytes"], 16)
    assert len(plain.shifter.fines) == 1
    assert len(fine.shifter.fines) > 1
    assert fine.waiting()[0] == 0
    assert plain.waiting()[0] % 8 == 0


def test_errors() -> None:
    for values, why in (
        ((0, 3), "0 and"),
        ((0,), "several of 0 and"),
        ((32,), "several of 0 and"),
        (octaves(0, 20), "too wide"),
    ):
        with pytest.raises(DotError, match=why):
            ShiftSpec(U(4), values, 1)
    with pytest.raises(DotError, match="lanes >= 1"):
        ShiftSpec(U(4), (1, 2), 0)
    with pytest.raises(DotError, match="worth powers of two"):
        ShiftSpec(Number(-1, 1, bipolar=True), (1, 2), 1)
    with pytest.raises(DotError, match="levels between registers"):
        ShiftSpec(U(4), (1, 2), 1, levels=1)


@pytest.mark.slow
@pytest.mark.parametrize("x", [U(4), S(8)], ids=str)
@pytest.mark.parametrize("name", ["three sizes", "nibbles", "seven sizes", "bytes", "nine sizes"])
def test_estimate(name: str, x: Number) -> None:
    """Against yosys."""
    spec = ShiftSpec(x, SETS[name], 8)
    m = Module()
    bits = spec.shifter.code_bits
    xs = [Signal(x.width, name=f"x{i}") for i in range(8)]
    ws = [Signal(bits, name=f"w{i}") for i in range(8)]
    total = spec.build(m, xs, [spec.decode(w) for w in ws])
    out = Signal(total.shape(), name="o")
    m.d.comb += out.eq(total)
    found, want = synthesize(m, [*xs, *ws, out]), spec.resources()
    luts = want.lut + 8 * len(spec.shifter.decoded)
    print(f"{name} {x}: estimated {luts} {want.ff}, yosys {found.resources()} {found.levels}")
    assert found.dsp == 0
    assert abs(found.lut - luts) <= 0.1 * found.lut
    assert abs(found.ff - want.ff) <= max(4, 0.25 * found.ff)
    assert found.levels <= spec.worst_levels
    assert len(Cat(*xs)) == 8 * x.width
